package server_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/server"
	"countersign.dev/internal/server/wire"
)

// answered is what a request gets from an endpoint that a test answers.
func (h *house) answered(people bool, r *http.Request, handler func(http.ResponseWriter, *http.Request) error) reply {
	h.t.Helper()
	front, err := server.New(h.options)
	if err != nil {
		h.t.Fatal(err)
	}
	w := httptest.NewRecorder()
	front.Handling(people, handler).ServeHTTP(w, r)
	return reply{h.t, w.Code, w.Header(), w.Body.String()}
}

// forAnybody is a request.
func forAnybody() *http.Request { return httptest.NewRequest(http.MethodGet, "/", nil) }

func TestAPanicIsAFailureThatTheLogTellsAndNoClientReads(t *testing.T) {
	const cause = "the cause of the panic"
	for name, row := range map[string]struct {
		people bool
		before string // what was answered before
	}{"a program": {false, ""}, "a person": {true, ""}, "half an answer": {false, "half"}} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			r := h.answered(row.people, forAnybody(), func(w http.ResponseWriter, _ *http.Request) error {
				if row.before != "" {
					_, _ = w.Write([]byte(row.before))
				}
				panic(cause)
			})
			line := h.wantLine("ERROR", "panic", "cause", cause)
			status := http.StatusInternalServerError
			if row.before != "" {
				if status = http.StatusOK; r.body != row.before {
					t.Errorf("what had begun goes on with %q", r.body)
				}
			} else if !strings.Contains(r.body, fmt.Sprint(line["request"])) || strings.Contains(r.body, cause) {
				t.Errorf("the log says %v, its client %s", line, r.body)
			}
			if said := h.lines("request"); r.status != status || said[len(said)-1]["status"] != float64(status) {
				t.Errorf("answered %d, logged %v", r.status, said)
			}
		})
	}
}

// Who panics with http.ErrAbortHandler wants the connection cut off, which net/http does.
func TestAnAnswerThatIsGivenUpIsCutOffAndNoFailure(t *testing.T) {
	h := newHouse(t)
	defer func() {
		if cause := recover(); !errors.Is(cause.(error), http.ErrAbortHandler) {
			t.Errorf("%v", cause)
		}
		if found := h.lines("panic"); len(found) > 0 {
			t.Errorf("%v", found)
		}
	}()
	h.answered(false, forAnybody(), func(http.ResponseWriter, *http.Request) error { panic(http.ErrAbortHandler) })
	t.Error("it went on")
}

func TestTheLogSaysTheStatusThatWasSent(t *testing.T) {
	for name, row := range map[string]struct {
		answer func(w http.ResponseWriter)
		status int
	}{
		"a body alone":        {func(w http.ResponseWriter) { _, _ = w.Write([]byte("x")) }, 200},
		"a status and a body": {func(w http.ResponseWriter) { w.WriteHeader(http.StatusNotFound); _, _ = w.Write([]byte("x")) }, 404},
		"two statuses": {func(w http.ResponseWriter) {
			w.WriteHeader(http.StatusCreated)
			w.WriteHeader(http.StatusInternalServerError)
		}, 201},
	} {
		h := newHouse(t)
		r := h.answered(false, forAnybody(), func(w http.ResponseWriter, _ *http.Request) error {
			row.answer(w)
			return nil
		})
		if h.wantLine("DEBUG", "request", "status", float64(row.status)); r.status != row.status || len(h.lines("panic")) > 0 {
			t.Errorf("%s: %d, want %d", name, r.status, row.status)
		}
	}
}

func TestALineThatIsOfNoRequestNamesNone(t *testing.T) {
	var log bytes.Buffer
	slog.New(wire.NewLogHandler(slog.NewJSONHandler(&log, nil))).Info("x")
	if strings.Contains(log.String(), `"request"`) {
		t.Errorf("%s", log.String())
	}
}

// Nobody reads the answer to a request whose client has gone; what failed otherwise
// is still told.
func TestAClientThatHasGoneIsNoFailure(t *testing.T) {
	gone, leave := context.WithCancel(t.Context())
	leave()
	broken := errors.New("broken")
	for name, row := range map[string]struct {
		ctx    context.Context //nolint:containedctx // a row of a table
		err    error
		logged bool
	}{
		"gone":                        {gone, context.Canceled, false},
		"gone, and something failed":  {gone, broken, true},
		"there, and given up for it":  {t.Context(), context.Canceled, true},
		"there, and something failed": {t.Context(), broken, true},
	} {
		h := newHouse(t)
		r := h.answered(false, forAnybody().WithContext(row.ctx), func(http.ResponseWriter, *http.Request) error { return row.err })
		if logged := len(h.lines("request failed")) == 1; logged != row.logged || (r.body != "") != row.logged {
			t.Errorf("%s: logged %v, answered %s", name, logged, r.body)
		}
	}
}

func TestT09_ARefusalKeepsToTheCharactersOfTheRFC(t *testing.T) {
	h := newHouse(t)
	refused := func(people bool, code authz.Code, description string) reply {
		return h.answered(people, forAnybody(), func(http.ResponseWriter, *http.Request) error {
			return &authz.Error{Code: code, Description: description, Scope: description}
		})
	}
	const given, said = " ~ say \"x\" \\ \x1f\x7fé\n!", " ~ say 'x'  !"
	if r := refused(false, authz.InvalidGrant, given); r.text("error_description") != said {
		t.Errorf("%s", r.body)
	}
	for code, want := range map[authz.Code]string{authz.InvalidToken: `error_description="` + said + `"`, authz.InsufficientScope: `scope="` + said + `"`} {
		if got := refused(false, code, given).header.Get("WWW-Authenticate"); !strings.Contains(got, want) {
			t.Errorf("%s: %q", code, got)
		}
	}
	// What better-auth clients read is where they look for it, and nowhere else.
	for code, want := range map[authz.Code]string{authz.VouchRequired: said, authz.InvalidGrant: ""} {
		if r := refused(false, code, given); r.text("message") != want || (r.text("code") == "") != (want == "") {
			t.Errorf("%s: %s", code, r.body)
		}
	}
	// A code without an answer of its own is our failure.
	refused(false, "nobody-knows-this", given).wantError(http.StatusInternalServerError, "nobody-knows-this")
	refused(true, "nobody-knows-this", given).wantPage(http.StatusInternalServerError)
}

func TestTheHeadersOfPagesAreThoseOfPages(t *testing.T) {
	h := newHouse(t)
	d := h.ask("pub-a", "openid")
	for target, signs := range map[string]bool{"/device?code=" + d.userCode: true, "/account": true, "/device": false, "/": false} {
		policy := h.send(http.MethodGet, target, "", "Accept", "text/html").header.Get("Content-Security-Policy")
		if policy == "" || strings.Contains(policy, "localhost:21000") != signs {
			t.Errorf("%s: %s", target, policy)
		}
	}
	cookie := h.signIn("alice")
	review, _ := h.review(cookie, d.userCode)
	if policy := review.header.Get("Content-Security-Policy"); !strings.Contains(policy, "localhost:21000") {
		t.Errorf("a review: %s", policy)
	}
	if policy := h.send(http.MethodGet, "/account", "", "Cookie", cookie).header.Get("Content-Security-Policy"); strings.Contains(policy, "localhost:21000") {
		t.Errorf("an account: %s", policy)
	}
	// What other sites' pages may read, and what watches a server, is no page.
	for _, target := range []string{"/api/auth/jwks", "/.well-known/openid-configuration", "/healthz"} {
		for _, header := range []string{"Content-Security-Policy", "Cross-Origin-Resource-Policy", "X-Frame-Options"} {
			if got := h.send(http.MethodGet, target, "").header.Get(header); got != "" {
				t.Errorf("%s: %s: %s", target, header, got)
			}
		}
	}
	if got := h.send(http.MethodGet, "/device", "").header.Get("Strict-Transport-Security"); got != "" {
		t.Errorf("over http: %q", got)
	}
}

func TestEachPathTakesItsMethodsAndHEADWhereGET(t *testing.T) {
	h := newHouse(t)
	for target, want := range map[string]struct {
		get, post bool
		allow     string
	}{
		"/api/sessions": {true, false, "GET, HEAD"}, "/api/auth/sign-out": {false, true, "POST"}, "/device": {true, true, "GET, HEAD, POST"},
		codePath: {false, true, "POST"}, "/healthz": {true, false, "GET, HEAD"},
	} {
		for method, takes := range map[string]bool{http.MethodGet: want.get, http.MethodHead: want.get, http.MethodPost: want.post, http.MethodDelete: false} {
			r := h.send(method, target, "")
			if (r.status != http.StatusMethodNotAllowed) != takes || (!takes && r.header.Get("Allow") != want.allow) {
				t.Errorf("%s %s: %d, Allow: %q", method, target, r.status, r.header.Get("Allow"))
			}
		}
		if r := h.send(http.MethodOptions, target, ""); r.status != http.StatusNoContent || r.header.Get("Allow") != want.allow+", OPTIONS" {
			t.Errorf("OPTIONS %s: %d, Allow: %q", target, r.status, r.header.Get("Allow"))
		}
	}
	// A program that looks for a document is told in JSON, whatever it would take.
	h.send(http.MethodGet, "/.well-known/nothing", "", "Accept", "text/html").wantError(http.StatusNotFound, "not_found")
	h.options.URL = &url.URL{Scheme: "http"}
	if _, err := server.New(h.options); err == nil {
		t.Error("a server without a host can be made")
	}
}

func TestAFormThatNoPageOfOursSendsIsRefusedInWords(t *testing.T) {
	h := newHouse(t)
	d := h.ask("pub-a", "openid")
	cookie := h.signIn("alice")
	good := "code=" + d.userCode
	const form = "application/x-www-form-urlencoded"
	for name, row := range map[string]struct {
		contentType, body string
		status            int
		says              string
	}{
		"as it should be":    {form, good, http.StatusSeeOther, ""},
		"with its encoding":  {form + "; charset=utf-8", good, http.StatusSeeOther, ""},
		"nothing at all":     {"", "", http.StatusBadRequest, "That is not a code"},
		"another kind":       {"text/plain", good, http.StatusUnsupportedMediaType, "This form cannot be read"},
		"no kind":            {"", good, http.StatusUnsupportedMediaType, "This form cannot be read"},
		"a broken escape":    {form, good + "&x=%zz", http.StatusBadRequest, "This form cannot be read"},
		"what is no text":    {form, good + "&x=%00", http.StatusBadRequest, "This form cannot be read"},
		"as large as it may": {form, good + "&x=" + strings.Repeat("x", 64<<10-len(good)-3), http.StatusSeeOther, ""},
		"larger than that":   {form, good + "&x=" + strings.Repeat("x", 64<<10-len(good)-2), http.StatusRequestEntityTooLarge, ""},
		"packed":             {form, good, http.StatusUnsupportedMediaType, "This form cannot be read"},
	} {
		header := []string{"Cookie", cookie, "Origin", testIssuer}
		if row.contentType != "" {
			header = append(header, "Content-Type", row.contentType)
		}
		if name == "packed" {
			header = append(header, "Content-Encoding", "gzip")
		}
		r := h.send(http.MethodPost, "/device", row.body, header...)
		if r.status != row.status || (row.status != http.StatusSeeOther && !strings.Contains(r.body, row.says)) {
			t.Errorf("%s: %d, want %d and %q", name, r.status, row.status, row.says)
		}
	}
}

// A page is offered in another language at an address where it is found: an answer to
// a form has none of its own, and what is not ours is nobody's to lead to.
func TestTheOtherLanguagesOfAPageAreWhereItIs(t *testing.T) {
	h := newHouse(t)
	cookie := h.signIn("alice")
	d := h.ask("pub-a", "openid")
	visit := h.page("/device", cookie, url.Values{"code": {d.userCode}}).header.Get("Location")
	for request, want := range map[string]string{
		"GET /device": "/device", "HEAD /device": "/device", "POST /device": "/device", "GET /account": "/account", "GET " + visit: visit,
		"GET /device/done/x%2Fy": "/device/done/x%2Fy", "HEAD /device/done/x": "/device/done/x", "POST /device/decide": "/device", "POST /account/sessions/end": "/account",
		"DELETE /device/done/x": "/device", "GET /device.html": "/device", "GET /accounts": "/account", "GET /nothing": "/", "GET /": "/",
	} {
		method, target, _ := strings.Cut(request, " ")
		r := h.send(method, target, "", "Accept", "text/html", "Cookie", cookie)
		if !strings.Contains(r.body, `<a href="`+want+`?lang=ja"`) {
			t.Errorf("%s: not at %s", request, want)
		}
	}
	// A code in the address does not go on: the visit does.
	r := h.send(http.MethodGet, "/device?code="+d.userCode, "", "Cookie", cookie)
	if strings.Contains(r.body, "?lang=ja\"") && !strings.Contains(r.body, `<a href="/device/request/`) {
		t.Errorf("%s", r.body)
	}
}

func TestAnAddressThatIsTooLongForAQRCodeHasNone(t *testing.T) {
	for issuer, shown := range map[string]bool{"https://id.example": true, "https://id.example/" + strings.Repeat("x", 3000): false, testIssuer: false} {
		h := newHouse(t, func(s *authz.Settings) { s.Issuer = issuer })
		r := h.send(http.MethodGet, "/device?code="+h.ask("pub-a", "openid").userCode, "")
		if r.wantPage(http.StatusOK); strings.Contains(r.body, "QR code") != shown {
			t.Errorf("%.40s: shown %v", issuer, !shown)
		}
		// Its corner is black, with a white ring in it.
		if corner := strings.Contains(r.body, "M4 4h1v1h-1z") && !strings.Contains(r.body, "M5 5h1v1h-1z"); corner != shown {
			t.Errorf("%.40s: it has a corner: %v", issuer, corner)
		}
		// The command line looks for the default by itself.
		if named := strings.Contains(r.body, "--server "+issuer); named != (issuer != testIssuer) {
			t.Errorf("%.40s: the command line is told of it: %v", issuer, named)
		}
		// Without a code there is nothing to go on with on a phone.
		r = h.send(http.MethodGet, "/account", "")
		if r.wantPage(http.StatusOK); strings.Contains(r.body, "QR code") || strings.Contains(r.body, "data-address") {
			t.Errorf("%.40s: the account page leads to a code", issuer)
		}
	}
}
