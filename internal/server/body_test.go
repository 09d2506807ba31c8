package server_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"countersign.dev/bitcoinauth"
)

// members are what each endpoint that takes JSON asks its body for.
var members = map[string][]string{
	"POST " + codePath:                              {"client_id", "client_secret", "client_assertion", "client_assertion_type", "scope", "nonce", "approval", "device_name", "device_platform"},
	"POST " + pollPath:                              {"client_id", "client_secret", "client_assertion", "client_assertion_type", "device_code"},
	"POST " + tokenPath:                             {"client_id", "client_secret", "client_assertion", "client_assertion_type", "device_code"},
	"POST " + introspectPath:                        {"client_id", "client_secret", "client_assertion", "client_assertion_type", "token"},
	"POST " + revokePath:                            {"client_id", "client_secret", "client_assertion", "client_assertion_type", "token"},
	"POST " + signInPath:                            {"bapId", "aud"},
	"POST " + signUpPath:                            {"bapId", "intent", "aud"},
	"POST " + clientsPath:                           {"clientId", "ownerBapId", "name", "accountPubkey", "aud"},
	"POST " + passkeySignInPath:                     {"ceremony", "credential"},
	"POST " + approvePath:                           {"userCode", "scope", "match", "statement"},
	"POST " + denyPath:                              {"userCode", "aud"},
	"POST " + passkeySignInPath + "/options":        nil,
	"POST " + passkeysPath + "/options":             nil,
	"POST " + passkeysPath:                          {"ceremony", "name", "credential", "aud"},
	"POST " + backupPath:                            {"encryptedBackup", "bapId", "aud"},
	"POST " + backupPath + "/remove":                {"bapId", "aud"},
	"PUT /api/bap/profile":                          {"bapId", "name", "given_name", "family_name", "picture", "description", "aud"},
	"POST " + identitiesPath:                        {"bapId", "name", "aud"},
	"POST " + identitiesPath + "/mzxw6ytboi/remove": {"aud"},
	"POST /api/grants/mzxw6ytboi/revoke":            {"aud"},
	"POST /api/grants/revoke":                       {"aud"},
	"POST /api/sessions/mzxw6ytboi/end":             {"aud"},
	"POST /api/sessions/end-others":                 {"aud"},
	"POST /api/passkeys/mzxw6ytboi/remove":          {"aud"},
}

// TestABodyIsJSONAndEachOfItsMembersAText sends every endpoint what is neither. None of
// it may count as if it were not there.
func TestABodyIsJSONAndEachOfItsMembersAText(t *testing.T) {
	h := newHouse(t)
	cookie := h.signIn("alice")
	open := map[string]bool{codePath: true, pollPath: true, tokenPath: true, revokePath: true, introspectPath: true}
	for endpoint, names := range members {
		method, target, _ := strings.Cut(endpoint, " ")
		good := map[string]any{"grant_type": deviceGrant}
		for _, name := range names {
			good[name] = "x"
		}
		send := func(contentType string, body map[string]any) reply {
			text, err := json.Marshal(body)
			if err != nil {
				t.Fatal(err)
			}
			header := []string{"Content-Type", contentType, "Cookie", cookie}
			if !open[target] && target != passkeySignInPath {
				header = append(header, bitcoinauth.Header, "nonsense")
			}
			return h.send(method, target, string(text), header...)
		}
		for _, name := range names {
			for _, wrong := range []any{5, true, []string{"x"}, map[string]any{}} {
				bad := maps.Clone(good)
				bad[name] = wrong
				if r := send("application/json", bad); r.status != http.StatusBadRequest || r.text("error_description") != name+" must be a text" {
					t.Errorf("%s with %v for %s: %d %s", endpoint, wrong, name, r.status, r.body)
				}
			}
		}
		for _, contentType := range []string{"text/plain", "", "application/json; charset", "application/jsonp", "multipart/form-data; boundary=x"} {
			send(contentType, good).wantError(http.StatusUnsupportedMediaType, "invalid_request")
		}
		if r := send("application/x-www-form-urlencoded", good); (r.status == http.StatusUnsupportedMediaType) == open[target] {
			t.Errorf("%s as a form: %d", endpoint, r.status)
		}
		if r := send("application/json; charset=utf-8", good); r.status == http.StatusUnsupportedMediaType || r.status >= http.StatusInternalServerError {
			t.Errorf("%s: %d %s", endpoint, r.status, r.body)
		}
		r := h.send(method, target, "{", "Content-Type", "application/json", "Cookie", cookie)
		r.wantError(http.StatusBadRequest, "invalid_request")
		if strings.Contains(r.body, "missing") {
			t.Errorf("%s: what is no JSON was read: %s", endpoint, r.body)
		}
	}
	for _, target := range []string{codePath, pollPath, tokenPath, revokePath} {
		r := h.send(http.MethodPost, target, "client_id=pub-a&token=x&grant_type="+url.QueryEscape(deviceGrant)+"&device_code=%zz", "Content-Type", "application/x-www-form-urlencoded")
		r.wantError(http.StatusBadRequest, "invalid_request")
	}
}

func TestABodyIsReadToItsEndAndNoFurther(t *testing.T) {
	h := newHouse(t)
	const most = 64 << 10
	form := "client_id=pub-a&x="
	whole := form + strings.Repeat("x", most-len(form))
	for name, row := range map[string]struct {
		body   string
		length int64 // as the request says; negative where it does not
		status int
	}{
		"as it says":                   {form, int64(len(form)), http.StatusOK},
		"in chunks":                    {form, -1, http.StatusOK},
		"as long as it may be":         {whole, most, http.StatusOK},
		"as long as it may, in chunks": {whole, -1, http.StatusOK},
		"longer":                       {whole + "x", most + 1, http.StatusRequestEntityTooLarge},
		"longer, in chunks":            {whole + "x", -1, http.StatusRequestEntityTooLarge},
		"it ends early":                {form, int64(len(form)) + 1, http.StatusBadRequest},
		"it is said to be endless":     {form, 1 << 62, http.StatusRequestEntityTooLarge},
	} {
		r := httptest.NewRequest(http.MethodPost, codePath, strings.NewReader(row.body))
		r.RemoteAddr, r.ContentLength = h.peer, row.length
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		w := httptest.NewRecorder()
		h.handler.ServeHTTP(w, r)
		if w.Code != row.status || (row.status == http.StatusBadRequest) != strings.Contains(w.Body.String(), "ended early") {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
}

// RFC 7240: the server says what of a preference it takes up.
func TestAPreferredWaitIsReadHoweverItIsWritten(t *testing.T) {
	h := newHouse(t)
	for prefer, want := range map[string]string{
		"": "", "wait": "", "wait=": "", "wait=0": "", "wait=x": "", "wait=-5": "", "wait=5s": "", "wait=1:": "", "wait=1/": "", "await=5": "",
		"wait=5": "wait=5", `wait="7"`: "wait=7", "WAIT = 19 ; x=1": "wait=19", "respond-async, wait=20": "wait=20", "wait=5, wait=9": "wait=5", "handling=lenient; wait=4, wait=08": "wait=8",
		"wait=30": "wait=30", "wait=31": "wait=30", "wait=86400": "wait=30", "wait=86401": "wait=30", "wait=9223372036854775808": "wait=30", "wait=99999999999999999999": "wait=30",
	} {
		form := url.Values{"grant_type": {deviceGrant}, "device_code": {"csd_x"}, "client_id": {"pub-a"}}
		if got := h.postForm(pollPath, form, "Prefer", prefer).header.Get("Preference-Applied"); got != want {
			t.Errorf("%q: %q, want %q", prefer, got, want)
		}
	}
}

// Two tabs, or two clicks, want the same.
func TestWhatIsDoneAlreadyIsNoMistakeOfAForm(t *testing.T) {
	h := newHouse(t)
	cookie := h.signIn("alice")
	grant := h.approveSigned("alice", h.ask("pub-a", "openid").userCode)
	h.signInFrom("alice", "Elsewhere", "")
	elsewhere := h.sessions(cookie)[0].ID
	a := h.registered("alice")
	form := url.Values{"form": {h.formToken(cookie)}}
	for _, target := range []string{
		"/account/grants/" + grant + "/revoke", "/account/sessions/" + elsewhere + "/end", "/account/passkeys/" + b64(a.id) + "/remove",
		"/account/grants/revoke", "/account/sessions/end",
	} {
		for range 2 {
			r := h.page(target, cookie, form)
			if to, _, _ := strings.Cut(r.header.Get("Location"), "?"); r.status != http.StatusSeeOther || to != "/account" {
				t.Errorf("%s: %d %q", target, r.status, r.header.Get("Location"))
			}
		}
	}
}
