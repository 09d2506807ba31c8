package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// odd is a server that approves at once and answers in its own way.
type odd struct {
	*httptest.Server
	token    string // the token answer, at each refresh with another access token
	userInfo http.HandlerFunc
	renewed  int
}

func newOdd(t *testing.T, token string) *odd {
	t.Helper()
	o := &odd{token: token}
	o.Server = httptest.NewServer(http.HandlerFunc(o.serve))
	t.Cleanup(o.Close)
	return o
}

func (o *odd) serve(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	switch r.URL.Path {
	case "/.well-known/oauth-authorization-server":
		userInfo := ""
		if o.userInfo != nil {
			userInfo = `,"userinfo_endpoint":"` + o.URL + `/me"`
		}
		fmt.Fprintf(w, `{"issuer":%q,"device_authorization_endpoint":"%s/code","token_endpoint":"%s/token"%s}`, o.URL, o.URL, o.URL, userInfo)
	case "/code":
		fmt.Fprintf(w, `{"device_code":"d","user_code":"BCDF-GHJK","verification_uri":"%s/device","expires_in":"600","interval":"1"}`, o.URL)
	case "/token":
		if r.FormValue("grant_type") == "refresh_token" {
			o.renewed++
		}
		fmt.Fprintf(w, o.token, o.renewed)
	case "/me":
		o.userInfo(w, r)
	}
}

// command runs countersign in a directory, ahead of time by so much, and returns
// what it printed.
func command(t *testing.T, dir string, ahead time.Duration, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, said bytes.Buffer
	settings := map[string]string{
		"COUNTERSIGN_CONFIG_DIR": dir, "COUNTERSIGN_KEYRING": "off", "COUNTERSIGN_PASSWORD": "correct horse battery staple",
	}
	code = Main(args, &Env{
		Stdin: strings.NewReader(""), Stdout: &out, Stderr: &said, Rand: SystemEnv().Rand,
		Now: func() time.Time { return time.Now().Add(ahead) }, Getenv: func(name string) string { return settings[name] },
	})
	return code, strings.TrimSpace(out.String()), said.String()
}

func TestB10_AnIssuedTokenIsKeptWhateverElseTheServerLacks(t *testing.T) {
	inFull(t)
	t.Parallel()
	someone := func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"sub":"them","name":"Them"}`) }
	for name, row := range map[string]struct {
		token    string
		userInfo http.HandlerFunc
		says     string
		ends     bool // it is said when the token ends
	}{
		"a lifetime that is a text": {`{"access_token":"at%d","expires_in":"3600"}`, someone, "Signed in as Them", true},
		"no lifetime":               {`{"access_token":"at%d"}`, someone, "until it is taken back", false},
		"no userinfo":               {`{"access_token":"at%d","expires_in":3600}`, nil, "The server does not say who you are", true},
		"userinfo that fails": {`{"access_token":"at%d","expires_in":3600}`, func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "<h1>Bad Gateway</h1>", http.StatusBadGateway)
		}, "The server does not say who you are", true},
		"userinfo that is no JSON": {`{"access_token":"at%d","expires_in":3600}`, func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, "them")
		}, "The server does not say who you are", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o, dir := newOdd(t, row.token), filepath.Join(t.TempDir(), "conf")
			o.userInfo = row.userInfo
			code, _, said := command(t, dir, 0, "login", "--server", o.URL)
			if code != int(ExitDone) || !strings.Contains(said, row.says) {
				t.Fatalf("login: exit code %d: %s", code, said)
			}
			code, printed, said := command(t, dir, 0, "token", "--format", "json")
			var got map[string]any
			if err := json.Unmarshal([]byte(printed), &got); err != nil || code != int(ExitDone) || got["access_token"] != "at0" {
				t.Errorf("token: exit code %d: %s%s", code, printed, said)
			}
			if _, ends := got["expires_at"]; ends != row.ends {
				t.Errorf("token: %s", printed)
			}
		})
	}
}

func TestA11_ATokenIsRenewedWhenTheClockSaysNothingOfIt(t *testing.T) {
	inFull(t)
	t.Parallel()
	o, dir := newOdd(t, `{"access_token":"at%d","expires_in":3600,"refresh_token":"rt"}`), filepath.Join(t.TempDir(), "conf")
	if code, _, said := command(t, dir, 0, "login", "--server", o.URL); code != int(ExitDone) {
		t.Fatalf("exit code %d: %s", code, said)
	}
	var got []string
	for _, ahead := range []time.Duration{0, 50 * time.Minute, 2 * time.Hour, time.Hour, 0} {
		code, token, said := command(t, dir, ahead, "token")
		if code != int(ExitDone) {
			t.Errorf("%v ahead: exit code %d: %s", ahead, code, said)
		}
		got = append(got, token)
	}
	// Good; good; over; got an hour from now; got an hour before that.
	if want := []string{"at0", "at0", "at1", "at2", "at3"}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

func TestA11_ATokenThatCannotBeRenewedIsUsedWhateverTheClockSaysOfItsBeginning(t *testing.T) {
	inFull(t)
	t.Parallel()
	o, dir := newOdd(t, `{"access_token":"at%d","expires_in":3600}`), filepath.Join(t.TempDir(), "conf")
	if code, _, said := command(t, dir, 0, "login", "--server", o.URL); code != int(ExitDone) {
		t.Fatalf("exit code %d: %s", code, said)
	}
	if code, token, said := command(t, dir, -2*time.Hour, "token"); code != int(ExitDone) || token != "at0" {
		t.Errorf("exit code %d: %s%s", code, token, said)
	}
	if code, _, said := command(t, dir, 2*time.Hour, "token"); code != int(ExitNotSignedIn) {
		t.Errorf("exit code %d: %s", code, said)
	}
}

func TestAServerThatDoesNotAnswerIsNoTimeoutOfTheCallers(t *testing.T) {
	t.Parallel()
	for name, silent := range map[string]http.HandlerFunc{
		"silent": func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"half an answer": func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, "{")
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		},
	} {
		server := httptest.NewServer(silent)
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		_, _, err = exchange(httpClient, req, 50*time.Millisecond)
		var f *Failure
		if !errors.As(serverFailure("asking", server.URL, err), &f) || f.Code != ExitNetwork {
			t.Errorf("%s: %v is told as %+v", name, err, f)
		}
		server.Close()
	}
}
