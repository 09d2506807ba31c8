//go:build e2e

package e2e

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"countersign.dev/e2e/browser"
)

// The tests in page_*_test.go look at the pages with the eyes of people: in a
// real browser (package browser). What they hold is true of the pages however
// they look: they find things by the names of form fields and the values of
// buttons, and ask the device what became of it.

// instance is a server as people reach it with a browser.
type instance struct {
	*process
	// base is the issuer's origin, which is where the browser goes.
	base string

	data  string
	flags []string
}

func startInstance(t *testing.T, flags ...string) *instance {
	t.Helper()
	h := &instance{data: t.TempDir(), flags: flags}
	h.process = startProcess(t, h.data, flags...)
	_, port, _ := strings.Cut(strings.TrimPrefix(h.url, "http://"), ":")
	h.base = "http://localhost:" + port
	return h
}

// startInstanceWithPath is startInstance for one whose issuer has a path.
func startInstanceWithPath(t *testing.T) *instance {
	t.Helper()
	h := startInstance(t)
	h.flags = append(h.flags, "--issuer", h.base+"/api/auth")
	h.restart(t)
	return h
}

// restart ends the server and starts it again where it was.
func (h *instance) restart(t *testing.T) {
	t.Helper()
	h.stop(t)
	listen := []string{"--listen", strings.TrimPrefix(h.url, "http://")}
	h.process = startProcess(t, h.data, append(listen, h.flags...)...)
}

// guest gives somebody who is signed in nowhere a browser.
func (h *instance) guest(t *testing.T) *browser.Tab {
	t.Helper()
	return browser.NewTab(t)
}

// resident gives an owner who is signed in a browser.
func (h *instance) resident(t *testing.T) *browser.Tab {
	t.Helper()
	return h.residentAs(t, newOwner(t))
}

func (h *instance) residentAs(t *testing.T, o *owner) *browser.Tab {
	t.Helper()
	tab := browser.NewTab(t)
	o.signIn(t, h.url)
	name, value, _ := strings.Cut(o.cookie, "=")
	tab.SetCookie(h.base, name, value)
	return tab
}

// tv is a device that has asked and shows its code.
type tv struct {
	server, clientID        string
	deviceCode, code, match string
}

// ask lets a device ask. fields are added to the form, and headers, which come in
// pairs, to the request.
func (h *instance) ask(t *testing.T, fields url.Values, headers ...string) *tv {
	t.Helper()
	d := h.tryAsk(t, fields, headers...)
	if d == nil {
		t.Fatalf("no code for %v", fields)
	}
	return d
}

// tryAsk returns nil if the device is refused.
func (h *instance) tryAsk(t *testing.T, fields url.Values, headers ...string) *tv {
	t.Helper()
	form := url.Values{"client_id": {"living-room-tv"}, "scope": {"openid profile"}}
	for name, values := range fields {
		form[name] = values
	}
	authenticate(form)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, h.url+"/api/auth/device/code", strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	var answer struct {
		DeviceCode  string `json:"device_code"`
		UserCode    string `json:"user_code"`
		MatchNumber string `json:"match_number"`
	}
	decodeAnswer(t, req, &answer)
	if answer.UserCode == "" {
		return nil
	}
	return &tv{server: h.url, clientID: form.Get("client_id"), deviceCode: answer.DeviceCode, code: answer.UserCode, match: answer.MatchNumber}
}

// authenticate adds the secret of the one client that has one.
func authenticate(form url.Values) {
	if form.Get("client_id") == "radio" {
		form.Set("client_secret", radioSecret)
	}
}

// told waits until the device's request is decided or over, and returns the error
// the device gets, or "ok" with its tokens. A device asks once.
func (d *tv) told(t *testing.T) string {
	t.Helper()
	if answer := d.redeem(t); answer.AccessToken == "" {
		return answer.Error
	}
	return "ok"
}

// tokens are what a device gets in the end, or the error.
type tokens struct {
	AccessToken  string `json:"access_token"`
	RefreshToken string `json:"refresh_token"`
	Scope        string `json:"scope"`
	Error        string `json:"error"`
}

// redeem waits as told does, and returns the whole answer.
func (d *tv) redeem(t *testing.T) tokens {
	t.Helper()
	form := url.Values{
		"grant_type": {"urn:ietf:params:oauth:grant-type:device_code"}, "device_code": {d.deviceCode}, "client_id": {d.clientID},
	}
	authenticate(form)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, d.server+"/api/auth/device/token", strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Prefer", "wait=30")
	var answer tokens
	decodeAnswer(t, req, &answer)
	return answer
}

func (d *tv) wantTold(t *testing.T, want string) {
	t.Helper()
	if got := d.told(t); got != want {
		t.Errorf("the device is told %q, want %q", got, want)
	}
}

func decodeAnswer(t *testing.T, req *http.Request, into any) {
	t.Helper()
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(into); err != nil {
		t.Fatal(err)
	}
}

// What people find on the pages.
const (
	codeField     = "input[name=code]"
	letterField   = "input[name=match]:not([type=radio])"
	numberField   = "input[name=match][type=radio]"
	denyButton    = "button[value=deny]"
	approveButton = "button[value=approve]"
	reportButton  = "button[value=report]"
	anyDecision   = denyButton + "," + approveButton + "," + reportButton
)

// enter types a code in.
func (h *instance) enter(tab *browser.Tab, code string) {
	tab.Open(h.base + "/device")
	tab.Type(codeField, code)
	tab.Press("Enter")
}

// review enters the code of a device and waits until the request is shown.
func (h *instance) review(tab *browser.Tab, d *tv) {
	h.enter(tab, d.code)
	tab.WaitFor(denyButton)
}

// decide presses a button of the review and waits for the page after it. Where
// the page wants to know what the device shows, it is told.
func decide(tab *browser.Tab, d *tv, button string) {
	if button == approveButton {
		switch {
		case tab.Shows(numberField):
			tab.Click(numberField + "[value='" + d.match + "']")
		case tab.Shows(letterField):
			_, letters, _ := strings.Cut(d.code, "-")
			tab.Type(letterField, letters)
		}
	}
	tab.Click(button)
	tab.WaitGone(anyDecision)
	tab.WaitFor("h1")
}
