package cli

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode"

	"golang.org/x/oauth2"

	"countersign.dev/bap"
	"countersign.dev/deviceflow"
	"countersign.dev/receipt"
)

// badServer answers whatever a test wants, and remembers what it was sent.
type badServer struct {
	*httptest.Server
	mu     sync.Mutex
	answer http.HandlerFunc // guarded by mu
	sent   []string         // guarded by mu
}

func newBadServer(t *testing.T) *badServer {
	b := &badServer{}
	b.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.sent = append(b.sent, r.Method+" "+r.URL.Path)
		_, _ = io.Copy(io.Discard, r.Body)
		b.answer(w, r)
	}))
	t.Cleanup(b.Close)
	return b
}

// answers sets what is answered to everything, and forgets what was sent.
func (b *badServer) answers(answer http.HandlerFunc) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.answer, b.sent = answer, nil
}

func (b *badServer) wasSent() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.sent
}

func answering(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// as runs what a command does for an owner, or what one does without, and returns the
// exit code and all that was printed.
func as(server string, act func(c *owner) error) (code int, out string) {
	var both bytes.Buffer
	env := &Env{Stdin: strings.NewReader(""), Stdout: &both, Stderr: &both, Getenv: func(string) string { return "" }, Now: time.Now, Rand: rand.Reader}
	c := &owner{env: env, server: server, entry: identityEntry{Name: "satoshi", BAPID: satoshi().BAPID()}, identity: satoshi()}
	if err := act(c); err != nil {
		return int(report(env, err, false)), both.String()
	}
	return 0, both.String()
}

var satoshi = sync.OnceValue(func() *bap.Identity {
	key, err := bap.NewKey(rand.Reader)
	if err != nil {
		panic(err)
	}
	i, err := bap.NewIdentity("satoshi", key)
	if err != nil {
		panic(err)
	}
	return i
})

// yes are the options of an approval that nobody is asked about.
var yes = approveOptions{yes: true, expectClient: "my-app", expectScope: "openid"}

// escapes is a name that would own a terminal that printed it.
const escapes = "Nice\x1b]0;owned\x07\x1b[2J\u009b31m\u202egnp.exe\u200b\r\n\x00name"

// isPlain reports whether a text holds nothing but lines of visible characters.
func isPlain(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool {
		return r != '\n' && unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp)
	})
}

// hostile are answers that no command may take for success. elsewhere is where one
// sends its asker to.
func hostile(elsewhere string) map[string]http.HandlerFunc {
	wild, _ := json.Marshal(escapes)
	answers := map[string]http.HandlerFunc{
		"nothing": answering(200, ""), "null": answering(200, "null"), "a list": answering(200, "[]"), "a number": answering(200, "7"), "a text": answering(200, `"x"`), "an empty object": answering(200, "{}"),
		"half an object": answering(200, `{"success":`), "a page": answering(200, "<html>hello"), "bytes": answering(200, "\x00\xff\x1b[31m"), "two objects": answering(200, "{}{}"),
		"deep nesting": answering(200, strings.Repeat(`{"a":`, 100_000)), "two megabytes": answering(200, `{"a":"`+strings.Repeat("x", 2<<20)+`"}`),
		"no content": answering(204, ""), "a bare failure": answering(500, ""), "a failure's page": answering(502, "<html>\x1b[31mBad gateway"),
		"an error of another type": answering(400, `{"error":7,"error_description":[]}`), "null for an error": answering(400, `{"error":null}`),
		"an error that writes to the terminal": answering(400, `{"error":`+string(wild)+`,"error_description":`+string(wild)+`}`),
		"an endless error":                     answering(400, `{"error":"x","error_description":"`+strings.Repeat("é: ", 300_000)+`"}`),
		"an error that ends after its colon":   answering(400, `{"error":"x","error_description":"x: "}`),
		"a redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere+r.URL.RequestURI(), http.StatusTemporaryRedirect)
		},
	}
	for _, value := range []string{"null", "7", "true", `""`, "[]", "{}", string(wild)} {
		members := make([]string, 0, 16)
		for _, name := range []string{
			"success", "grants", "grant_id", "statement", "user_code", "client", "scopes", "match", "seen", "device", "lasts", "bapId", "sub", "issuer", "device_code",
		} {
			members = append(members, `"`+name+`":`+value)
		}
		if value == "true" { // a server may well say that it did what was asked
			members = members[1:]
		}
		if value == "[]" {
			members = append(members[:1], members[2:]...)
		}
		answers["all members "+value] = answering(200, "{"+strings.Join(members, ",")+"}")
	}
	return answers
}

func TestABadServersAnswersEndInOneSentenceAndAnExitCode(t *testing.T) {
	other, bad := newBadServer(t), newBadServer(t)
	other.answers(answering(200, `{"success":true}`))
	ctx := t.Context()
	for command, act := range map[string]func(c *owner) error{
		"approve":            func(c *owner) error { return c.approve(ctx, "BCDF-GHJK", yes) },
		"deny":               func(c *owner) error { return c.deny(ctx, "BCDF-GHJK", true) },
		"grants list":        func(c *owner) error { return c.listGrants(ctx, "", false) },
		"grants list --json": func(c *owner) error { return c.listGrants(ctx, "", true) },
		"grants revoke":      func(c *owner) error { return c.revokeGrant(ctx, "mzxw6ytboi", false) },
		"receipt show":       func(c *owner) error { _, err := c.receipt(ctx, "mzxw6ytboi"); return err },
		"identity profile":   func(c *owner) error { return c.setProfile(ctx, profileBody{Name: "Satoshi"}) },
		"whoami": func(c *owner) error {
			info, err := userInfo(ctx, deviceflow.Endpoint{Issuer: c.server, UserInfoURL: c.server + "/userinfo"}, storedToken{AccessToken: "token"})
			if strings.Contains(info.text("sub"), "owned") { // anything may be a sub
				return errors.New(info.text("sub"))
			}
			return err
		},
		"login": func(c *owner) error { return login(ctx, c.env, loginOptions{server: c.server, asJSON: true}) },
	} {
		for name, answer := range hostile(other.URL) {
			bad.answers(answer)
			code, out := as(bad.URL, act)
			if code == 0 || len(out) > 2000 || strings.Count(out, "\n") > 3 || !isPlain(out) || strings.TrimSpace(out) == "" {
				t.Errorf("%s, answered %s, ended with %d: %d bytes: %.300q", command, name, code, len(out), out)
			}
			if sent := bad.wasSent(); strings.Contains(strings.Join(sent, " "), "POST "+receipt.ApprovalPath) {
				t.Errorf("%s, answered %s, signed an approval", command, name)
			}
		}
	}
	sent := slices.DeleteFunc(other.wasSent(), func(sent string) bool { return strings.HasPrefix(sent, "GET /.well-known/") }) // which anybody may read
	if len(sent) != 0 {
		t.Errorf("a redirect was followed with a signed request: %v", sent)
	}
}

// goodFacts are what a good server answers about a request of my-app.
func goodFacts(server, bapID string, change func(facts map[string]any, s *receipt.Statement)) string {
	s := receipt.Statement{
		Version: receipt.StatementVersion, Issuer: server, Purpose: receipt.PurposeDeviceApproval, UserCodeHash: receipt.UserCodeHash("BCDFGHJK"),
		ClientID: "my-app", Scope: "openid", BAPID: bapID, Nonce: "mzxw6ytboi", IssuedAt: time.Now().Unix(), ExpiresAt: time.Now().Add(5 * time.Minute).Unix(),
	}
	f := map[string]any{
		"user_code": "BCDF-GHJK", "client": map[string]any{"client_id": "my-app", "client_name": escapes}, "scopes": []any{map[string]any{"scope": "openid", "text": escapes, "weight": escapes}},
		"seen": map[string]any{"network": escapes, "user_agent": escapes, "origin": escapes}, "device": map[string]any{"name": escapes, "platform": escapes},
		"match": map[string]any{"kind": "letters"}, "imitates": escapes, "lasts": 3600,
	}
	if change != nil {
		change(f, &s)
	}
	if f["statement"] == nil {
		f["statement"] = s.Encode()
	}
	b, _ := json.Marshal(f)
	return string(b)
}

func TestNothingIsSignedThatIsNotWhatWasAskedForAndShown(t *testing.T) {
	bad := newBadServer(t)
	type change = func(f map[string]any, s *receipt.Statement)
	code := func(shown string) change {
		return func(f map[string]any, s *receipt.Statement) {
			f["user_code"], s.UserCodeHash = shown, receipt.UserCodeHash(shown)
		}
	}
	client := func(id string) change {
		return func(f map[string]any, s *receipt.Statement) {
			f["client"], s.ClientID = map[string]any{"client_id": id}, id
		}
	}
	member := func(name string, value any) change {
		return func(f map[string]any, _ *receipt.Statement) { f[name] = value }
	}
	resource := func(shown string, named ...string) change {
		return func(f map[string]any, s *receipt.Statement) {
			f["resources"], s.Resource = []any{map[string]any{"resource": shown, "name": "Bank", "host": "api.example"}}, named
		}
	}
	for name, c := range map[string]change{
		"no code": code(""), "a letter of it": code("B"), "its end": code("GHJK"), "its beginning": code("BCDF"), "more of it": code("BCDF-GHJKL"), "another": code("BCDF-GHJL"),
		"dashes": code("--------"), "in small letters": code("bcdf-ghjk"), "hidden letters": code("BCDF\u200b-GHJK"), "a code that is null": member("user_code", nil), "a code that is a number": member("user_code", 7),
		"no statement": member("statement", ""), "a statement that is null": member("statement", "null"), "a statement with more in it": member("statement", "{}"),
		"another server's":                func(_ map[string]any, s *receipt.Statement) { s.Issuer = "https://other.example" },
		"another client's":                func(_ map[string]any, s *receipt.Statement) { s.ClientID = "other" },
		"a client that was not expected":  client("your-app"),
		"a client that looks like it":     client("my-app\u200b"),
		"a client that ends beyond sight": client("my-app" + strings.Repeat(" ", 600) + "x"),
		"more scope":                      func(_ map[string]any, s *receipt.Statement) { s.Scope = "openid admin:all" },
		"scope that hides": func(f map[string]any, s *receipt.Statement) {
			f["scopes"], s.Scope = []any{map[string]any{"scope": "openid\u2060"}}, "openid\u2060"
		},
		"no scopes":               func(f map[string]any, s *receipt.Statement) { f["scopes"], s.Scope = nil, "" },
		"another identity's":      func(_ map[string]any, s *receipt.Statement) { s.BAPID = "2dRHPZkCh9ygtq3VPARw8Z5e1vEL" },
		"a resource":              func(_ map[string]any, s *receipt.Statement) { s.Resource = []string{"https://bank.example"} },
		"another resource":        resource("https://api.example", "https://bank.example"),
		"a resource that hides":   resource("https://api.example\u2060", "https://api.example\u2060"),
		"no resource":             resource("https://api.example"),
		"an agent":                func(_ map[string]any, s *receipt.Statement) { s.Agent = &receipt.Agent{Name: "x", JKT: "y"} },
		"what has expired":        func(_ map[string]any, s *receipt.Statement) { s.ExpiresAt = time.Now().Unix() - 1 },
		"what is good for a year": func(_ map[string]any, s *receipt.Statement) { s.ExpiresAt += 365 * 86400 },
	} {
		bad.answers(answering(200, goodFacts(bad.URL, satoshi().BAPID(), c)))
		ended, out := as(bad.URL, func(c *owner) error { return c.approve(t.Context(), "BCDF-GHJK", yes) })
		if ended != int(ExitVerification) && ended != int(ExitExpired) && ended != int(ExitNetwork) {
			t.Errorf("%s: ended with %d: %s", name, ended, out)
		}
		if sent := bad.wasSent(); len(sent) != 1 || !isPlain(out) {
			t.Errorf("%s: %v was sent, and printed %q", name, sent, out)
		}
	}
}

func TestAGoodRequestIsApprovedWhateverItCallsItself(t *testing.T) {
	bad := newBadServer(t)
	answer := `{"success":true,"grant_id":"mzxw6ytboi"}`
	for _, typed := range []string{"BCDF-GHJK", "bcdfghjk", bad.URL + "/device?code=BCDF-GHJK", "https://x.example/?a=b&user_code=bcdf-ghjk#top"} {
		bad.answers(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPost {
				answering(200, answer)(w, r)
				return
			}
			answering(200, goodFacts(bad.URL, satoshi().BAPID(), nil))(w, r)
		})
		code, out := as(bad.URL, func(c *owner) error { return c.approve(t.Context(), typed, yes) })
		if code != 0 || len(bad.wasSent()) != 2 || !isPlain(out) || !strings.Contains(out, "Approved.") {
			t.Errorf("%q: %d %v %q", typed, code, bad.wasSent(), out)
		}
	}
	// Whose API it is for is shown, and then signed.
	bad.answers(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			answering(200, answer)(w, r)
			return
		}
		answering(200, goodFacts(bad.URL, satoshi().BAPID(), func(f map[string]any, s *receipt.Statement) {
			f["resources"], s.Resource = []any{map[string]any{"resource": "https://api.example/v1", "name": "My bank", "host": "api.example"}}, []string{"https://api.example/v1"}
		}))(w, r)
	})
	code, out := as(bad.URL, func(c *owner) error { return c.approve(t.Context(), "BCDF-GHJK", yes) })
	if code != 0 || !strings.Contains(out, `To use:  "My bank" at api.example (https://api.example/v1)`) {
		t.Errorf("%d %q", code, out)
	}
	for _, answer = range []string{"", "null", "{}", `{"grant_id":""}`, `{"grant_id":"another"}`, `{"grant_id":7}`} {
		if code, out := as(bad.URL, func(c *owner) error { return c.approve(t.Context(), "BCDF-GHJK", yes) }); code == 0 || strings.Contains(out, "Approved.") {
			t.Errorf("answered %s: %d %q", answer, code, out)
		}
	}
}

func TestWhatAServerListsIsPrintedAsPlainLines(t *testing.T) {
	bad := newBadServer(t)
	grants, _ := json.Marshal(map[string]any{"grants": []any{map[string]any{
		"id": escapes, "client_name": escapes, "scope": escapes, "created_at": -1 << 62, "expires_at": int64(1) << 62, "note": "\U000e0001\u061c",
	}}})
	bad.answers(answering(200, string(grants)))
	for _, asJSON := range []bool{false, true} {
		code, out := as(bad.URL, func(c *owner) error { return c.listGrants(t.Context(), "", asJSON) })
		if code != 0 || !isPlain(out) {
			t.Errorf("%d %q", code, out)
		}
		if asJSON {
			var same, want any
			if err := json.Unmarshal([]byte(out), &same); err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal(grants, &want); err != nil || fmt.Sprint(same) != fmt.Sprint(want) {
				t.Errorf("%v is not what was answered: %v", same, want)
			}
		}
	}
}

func TestATokenThatIsNoneIsNotKept(t *testing.T) {
	for _, token := range []string{"a b", "a\nb", "a\x1b[31m", "é", "a\x7f", "\u200b"} {
		for _, t2 := range []*oauth2.Token{{AccessToken: token}, {AccessToken: "good", RefreshToken: token}} {
			if kept, err := keep(t2, nil, time.Now()); err == nil {
				t.Errorf("%q was kept: %v", token, kept)
			}
		}
	}
	if _, err := keep(&oauth2.Token{AccessToken: "eyJ.a-b_c", RefreshToken: "csr_x"}, nil, time.Now()); err != nil {
		t.Error(err)
	}
}
