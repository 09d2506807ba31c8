//go:build e2e

package e2e

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
)

// gate is a proxy before the server, as operators run one. Its address is the
// issuer's, so that every client, those with discovery too, comes through it. It
// notes what devices are told.
type gate struct {
	*httptest.Server
	process *process
	issuer  string
	// store names the server's database to `countersign clients`.
	store []string
	// hurry makes the gate poll once itself before a device's first poll, so that
	// the device polls too early without being modified.
	hurry bool
	// fails answers a request in the server's place, or not; nil for a gate that works.
	fails func(w http.ResponseWriter, r *http.Request, poll *device) bool

	mu      sync.Mutex
	devices map[string]*device // by user code; guarded by mu
	byCode  map[string]*device // by device code; guarded by mu
}

// device is what the gate saw of one device request.
type device struct {
	polls   []string // "error" member of each answer, or "ok"
	waiting bool     // a poll with Prefer: wait is held by the server
	changed chan struct{}
}

// startGate starts a server behind a gate.
func startGate(t *testing.T, c configuration, hurry bool, flags ...string) *gate {
	t.Helper()
	g := &gate{hurry: hurry, devices: map[string]*device{}, byCode: map[string]*device{}}
	g.Server = httptest.NewUnstartedServer(g)
	if c.https {
		g.StartTLS()
	} else {
		g.Start()
	}
	t.Cleanup(g.Close)
	g.issuer = g.URL + c.path
	flags = append(append([]string{"--issuer", g.issuer}, c.flags(t)...), flags...)
	data := t.TempDir()
	g.process = startProcess(t, data, flags...)
	g.store = []string{"--data", data}
	if at := slices.Index(flags, "--database"); at >= 0 {
		g.store = flags[at : at+2]
	} else if onPostgres {
		g.store = []string{"--database", databaseOf(t, data)}
	}
	return g
}

func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	poll := g.arrived(r, body)
	if g.fails != nil && g.fails(w, r, poll) {
		return
	}
	if poll != nil && g.hurry && len(poll.polls) == 0 {
		early := r.Clone(r.Context())
		early.Header.Del("Prefer")
		if _, err := g.forward(early, body); err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
	}
	if poll != nil && r.Header.Get("Prefer") != "" {
		// Not before the gate's own poll, which an approval would give the tokens.
		g.waits(poll)
	}
	got, err := g.forward(r, body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	g.answered(r, poll, got.body)
	for name, values := range got.header {
		w.Header()[name] = values
	}
	w.WriteHeader(got.status)
	w.Write(got.body) // a client that has gone hears nothing
}

// register registers a client as its operator does, and returns what is printed for it.
func (g *gate) register(t *testing.T, id string, flags ...string) string {
	t.Helper()
	return runClients(t, "", slices.Concat([]string{"add", id}, flags, g.store)...)
}

// storeEnv is how a terminal knows the server's database.
func (g *gate) storeEnv() string {
	return "COUNTERSIGN_" + strings.ToUpper(strings.TrimPrefix(g.store[0], "--")) + "=" + g.store[1]
}

// reply is an answer of the server.
type reply struct {
	status int
	header http.Header
	body   []byte
}

// forward sends a request on and reads the whole answer.
func (g *gate) forward(r *http.Request, body []byte) (reply, error) {
	out, err := http.NewRequestWithContext(r.Context(), r.Method, g.process.url+r.URL.RequestURI(), bytes.NewReader(body))
	if err != nil {
		return reply{}, err
	}
	out.Header, out.Host = r.Header.Clone(), r.Host
	out.Header.Del("Accept-Encoding")
	resp, err := http.DefaultTransport.RoundTrip(out)
	if err != nil {
		return reply{}, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	return reply{status: resp.StatusCode, header: resp.Header, body: answer}, err
}

// arrived returns the device that a request polls for, or nil.
func (g *gate) arrived(r *http.Request, body []byte) *device {
	// golang.org/x/oauth2 tries HTTP Basic before it puts the client into the body,
	// until one of the two succeeds. The try is not the poll.
	if !strings.HasSuffix(r.URL.Path, "/token") || r.Header.Get("Authorization") != "" {
		return nil
	}
	code := struct {
		DeviceCode string `json:"device_code"`
	}{}
	if json.Unmarshal(body, &code) != nil {
		form, err := url.ParseQuery(string(body))
		if err != nil {
			return nil
		}
		code.DeviceCode = form.Get("device_code")
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.byCode[code.DeviceCode]
}

// waits notes that a poll goes to the server that may be held there.
func (g *gate) waits(d *device) {
	g.mu.Lock()
	defer g.mu.Unlock()
	d.waiting = true
	d.wake()
}

// answered notes new codes, and what a poll was told.
func (g *gate) answered(r *http.Request, poll *device, answer []byte) {
	var a struct {
		DeviceCode string `json:"device_code"`
		UserCode   string `json:"user_code"`
		Error      string `json:"error"`
	}
	if json.Unmarshal(answer, &a) != nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case poll != nil && a.Error == "":
		poll.polls = append(poll.polls, "ok")
		poll.wake()
	case poll != nil:
		poll.polls = append(poll.polls, a.Error)
		poll.wake()
	case strings.HasSuffix(r.URL.Path, "/device/code") && a.UserCode != "":
		d := &device{changed: make(chan struct{}, 1)}
		g.devices[a.UserCode], g.byCode[a.DeviceCode] = d, d
	}
}

func (d *device) wake() {
	select {
	case d.changed <- struct{}{}:
	default:
	}
}

// polled returns what the device with a user code was told so far, and whether a
// poll of its is held.
func (g *gate) polled(userCode string) (told []string, waiting bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if d := g.devices[userCode]; d != nil {
		return slices.Clone(d.polls), d.waiting
	}
	return nil, false
}

// awaitPoll waits until the device has been told something, or waits itself.
func (g *gate) awaitPoll(t *testing.T, userCode string) {
	t.Helper()
	g.mu.Lock()
	d := g.devices[userCode]
	g.mu.Unlock()
	if d == nil {
		t.Errorf("the user code %q was never handed out", userCode)
		return
	}
	for {
		if told, waiting := g.polled(userCode); len(told) > 0 || waiting {
			return
		}
		select {
		case <-d.changed:
		case <-t.Context().Done():
			return
		}
	}
}
