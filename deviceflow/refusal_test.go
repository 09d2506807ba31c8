package deviceflow_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/oauth2"

	"countersign.dev/deviceflow"
)

// answers is a server whose answers are made by a function, with statuses that no
// server of net/http would send.
type answers func(r *http.Request) (status int, header http.Header, body string)

func (a answers) RoundTrip(r *http.Request) (*http.Response, error) {
	status, header, body := a(r)
	if header == nil {
		header = http.Header{}
	}
	return &http.Response{StatusCode: status, Header: header, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
}

func TestAStatusSaysWhetherAnAnswerIsASuccess(t *testing.T) {
	const token = `{"access_token":"at"}`
	for status, says := range map[int]string{199: "answered 199", 200: "", 299: "", 300: "redirects", 399: "redirects", 400: "answered 400", 599: "answered 599"} {
		c := device(&http.Client{Transport: answers(func(*http.Request) (int, http.Header, string) { return status, nil, token })})
		_, err := c.Refresh(t.Context(), "rt")
		var lost *deviceflow.TransportError
		if (err == nil) != (says == "") || (err != nil && (!errors.As(err, &lost) || lost.Status != status || !strings.Contains(err.Error(), says))) {
			t.Errorf("%d: %v", status, err)
		}
	}
}

// TestARefusalIsToldInTheServersWords asks for everything there is.
func TestARefusalIsToldInTheServersWords(t *testing.T) {
	for body, want := range map[string]deviceflow.Error{
		`{"error":"invalid_grant"}`:                               {Code: "invalid_grant"},
		`{"error":"slow_down","error_description":"not so fast"}`: {Code: "slow_down", Description: "not so fast"},
		`{"error":"slow_down","interval":3599}`:                   {Code: "slow_down", Interval: 3599 * time.Second},
		`{"error":"slow_down","interval":3600}`:                   {Code: "slow_down"},
		`{"error":"slow_down","interval":0}`:                      {Code: "slow_down"},
		`{"error":"slow_down","interval":-7}`:                     {Code: "slow_down"},
		`{"error":"x","access_token":"at","device_code":"dc"}`:    {Code: "x"},
	} {
		c := device(&http.Client{Transport: answers(func(*http.Request) (int, http.Header, string) { return 400, nil, body })})
		want.Status = http.StatusBadRequest
		for name, ask := range map[string]func() error{
			"request":    func() error { _, err := c.Request(t.Context()); return err },
			"refresh":    func() error { _, err := c.Refresh(t.Context(), "rt"); return err },
			"revocation": func() error { return c.Revoke(t.Context(), "rt") },
		} {
			var refused *deviceflow.Error
			if err := ask(); !errors.As(err, &refused) || *refused != want {
				t.Errorf("%s: %s: %v", name, body, err)
			}
		}
	}
	plain, described := &deviceflow.Error{Code: "x"}, &deviceflow.Error{Code: "x", Description: "y"}
	if plain.Error() != "x" || described.Error() != "x: y" {
		t.Errorf("%q, %q", plain, described)
	}
	if !errors.Is(plain, deviceflow.Code("x")) || errors.Is(plain, deviceflow.ErrDenied) || errors.Is(&deviceflow.Error{}, io.EOF) {
		t.Error("it is another code")
	}
}

func TestARetryAfterWithoutADateIsReadByThisMachinesClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, date := range []string{"", "yesterday"} {
			c := device(&http.Client{Transport: answers(func(*http.Request) (int, http.Header, string) {
				return 503, http.Header{"Date": {date}, "Retry-After": {time.Now().Add(40 * time.Second).UTC().Format(http.TimeFormat)}}, ""
			})})
			var lost *deviceflow.TransportError
			if _, err := c.Refresh(t.Context(), "rt"); !errors.As(err, &lost) || lost.RetryAfter != 40*time.Second {
				t.Errorf("%q: %+v", date, lost)
			}
		}
	})
}

// What a person reads, or a terminal shows, has none of the characters that hide or
// turn others.
func TestB30_OfACodeOnlyWhatCanBeSeenIsShown(t *testing.T) {
	var hidden, seen strings.Builder
	for _, bounds := range [][2]rune{{0x00, 0x1f}, {0x7f, 0x9f}, {0x200b, 0x200f}, {0x202a, 0x202e}, {0x2066, 0x2069}} {
		for r := bounds[0]; r <= bounds[1]; r++ {
			hidden.WriteRune(r)
		}
		for _, r := range []rune{bounds[0] - 1, bounds[1] + 1} {
			if r >= ' ' {
				seen.WriteRune(r)
			}
		}
	}
	body := fmt.Sprintf(`{"device_code":"dc","user_code":%s,"verification_uri":"https://a.example/","expires_in":9,"match_number":%[1]s}`, inJSON(seen.String()+hidden.String()+"B"))
	c := device(&http.Client{Transport: always(body)})
	a, err := c.Request(t.Context())
	if err != nil || a.UserCode != seen.String()+"B" || a.MatchNumber != seen.String()+"B" {
		t.Errorf("%+v, %v", a, err)
	}
}

func inJSON(text string) string {
	var b strings.Builder
	for _, r := range text {
		fmt.Fprintf(&b, `\u%04x`, r)
	}
	return `"` + b.String() + `"`
}

// A device is told what failed on the way: it is not always time.
func TestWhatFailsOnTheWayIsToldAsWhatItIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := device(connect(t, raw("")))
		if _, err := c.Refresh(t.Context(), "rt"); !errors.Is(err, io.EOF) {
			t.Errorf("a hang-up: %v", err)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		c := device(connect(t, http.HandlerFunc(hold)))
		c.HTTPClient.Timeout = 4 * time.Second
		if _, err := c.Refresh(t.Context(), "rt"); err == nil || errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "cannot be reached in time") {
			t.Errorf("the client's own time: %v", err)
		}
	})
	c := device(nil)
	c.Endpoint = deviceflow.Endpoint{DeviceAuthorizationURL: "http://[", TokenURL: "http://[", RevocationURL: "http://["}
	var lost *deviceflow.TransportError
	_, err := c.Request(t.Context())
	_, err2 := c.Refresh(t.Context(), "rt")
	for _, err := range []error{err, err2, c.Revoke(t.Context(), "rt")} {
		if !errors.As(err, &lost) {
			t.Errorf("an address that is none: %v", err)
		}
	}
	c.Endpoint.RevocationURL = ""
	if err := c.Revoke(t.Context(), "rt"); err != nil {
		t.Errorf("a server that cannot revoke: %v", err)
	}
}

func TestAPublicClientSendsNoSecret(t *testing.T) {
	for _, inForm := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			c := device(connect(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.PostForm.Has("client_secret") || r.Header.Get("Authorization") != "" {
					t.Errorf("%v, Authorization: %q", r.PostForm, r.Header.Get("Authorization"))
				}
				grant(w, r)
			})))
			c.Endpoint.SecretInForm = inForm
			if _, err := c.Refresh(t.Context(), "rt"); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestRedirectsAreFollowedAsTheCallersClientDoesAndNotForEver(t *testing.T) {
	asked := 0
	again := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		http.Redirect(w, r, r.URL.Path, http.StatusFound)
	})
	synctest.Test(t, func(t *testing.T) {
		if _, err := deviceflow.Discover(t.Context(), connect(t, again), "http://server.example"); err == nil || asked != 10 {
			t.Errorf("%v after %d requests", err, asked)
		}
	})
	asked = 0
	none := errors.New("none is followed")
	synctest.Test(t, func(t *testing.T) {
		client := connect(t, again)
		client.CheckRedirect = func(*http.Request, []*http.Request) error { return none }
		if _, err := deviceflow.Discover(t.Context(), client, "http://server.example"); !errors.Is(err, none) || asked != 1 {
			t.Errorf("%v after %d requests", err, asked)
		}
	})
	asked = 0
	synctest.Test(t, func(t *testing.T) {
		nothing := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { asked++; http.NotFound(w, r) })
		if _, err := deviceflow.Discover(t.Context(), connect(t, nothing), "http://server.example"); err == nil || asked != 2 {
			t.Errorf("%v: there are two places to look, and %d requests", err, asked)
		}
	})
}

// A token is used until ten seconds before its end, and one without an end until it is
// refused.
func TestATokenIsRefreshedInTimeAndNoSooner(t *testing.T) {
	for name, row := range map[string]struct {
		token *oauth2.Token
		left  time.Duration // of its life; zero: it does not end
		want  string
		asked int
	}{
		"long before":     {&oauth2.Token{AccessToken: "old", RefreshToken: "rt"}, time.Hour, "old", 0},
		"just before":     {&oauth2.Token{AccessToken: "old", RefreshToken: "rt"}, 10*time.Second + 1, "old", 0},
		"ten seconds":     {&oauth2.Token{AccessToken: "old", RefreshToken: "rt"}, 10 * time.Second, "at", 1},
		"it does not end": {&oauth2.Token{AccessToken: "old", RefreshToken: "rt"}, 0, "old", 0},
		"it has none":     {&oauth2.Token{RefreshToken: "rt"}, time.Hour, "at", 1},
		"over, for good":  {&oauth2.Token{AccessToken: "old"}, time.Second, "", 0},
		"no token":        {nil, 0, "", 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			asked := 0
			c := device(connect(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if asked++; asked > 1 {
					w.WriteHeader(http.StatusServiceUnavailable)
					return
				}
				grant(w, r)
			})))
			if row.left > 0 {
				row.token.Expiry = time.Now().Add(row.left)
			}
			source := c.TokenSource(t.Context(), row.token, nil)
			got, err := source.Token()
			if (err == nil) != (row.want != "") || asked != row.asked || (err == nil && got.AccessToken != row.want) {
				t.Errorf("%s: %+v, %v, %d requests", name, got, err, asked)
			}
			if row.asked == 0 {
				return
			}
			time.Sleep(2 * time.Hour) // the test's own clock
			if got, err := source.Token(); err == nil || got != nil {
				t.Errorf("%s: a token that could not be refreshed: %+v", name, got)
			}
		})
	}
}
