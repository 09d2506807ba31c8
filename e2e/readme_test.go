//go:build e2e

package e2e

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// faults are what a device may be answered by whatever stands between it and its server.
var faults = []http.HandlerFunc{
	func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(http.StatusBadGateway)
		w.Write([]byte("<html>\n<head><title>502 Bad Gateway</title></head>\n</html>\n"))
	},
	func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusServiceUnavailable)
		w.Write([]byte(`{"error":"temporarily_unavailable","error_description":"the database is away"}`))
	},
	func(http.ResponseWriter, *http.Request) {}, // 200, and nothing
	func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "3")
		http.Error(w, "slower", http.StatusTooManyRequests)
	},
}

// leftAlone is how long the last of the faults wants to be.
const leftAlone = 3 * time.Second

// readmeClients runs a test for each of the clients that people copy.
func readmeClients(t *testing.T, test func(t *testing.T, c client)) {
	t.Helper()
	var those []client
	for _, c := range clients {
		run := c.run
		c.run = func(ctx context.Context, t *testing.T, issuer string, tell func(event)) error {
			return run(ctx, t, issuer+"/", tell) // as people paste an address
		}
		if strings.HasPrefix(c.name, "README ") {
			those = append(those, c)
		}
	}
	atOnce(t, those, test)
}

// TestReadmeClientsOutliveWhatDevicesDo fails polls in each way, one between two that
// are answered, and then the first questions for who signed in.
func TestReadmeClientsOutliveWhatDevicesDo(t *testing.T) {
	t.Parallel()
	g := startGate(t, asInstalled, false, "--device-poll-interval", "1s")
	var mu sync.Mutex
	polls, limited, questions := map[*device]int{}, map[*device]time.Time{}, map[string]int{}
	g.fails = func(w http.ResponseWriter, r *http.Request, poll *device) bool {
		mu.Lock()
		defer mu.Unlock()
		who := r.Header.Get("Authorization")
		switch n := polls[poll]; {
		case poll != nil && n < 2*len(faults):
			polls[poll]++
			if n%2 == 0 {
				if n/2 == len(faults)-1 {
					limited[poll] = time.Now()
				}
				faults[n/2](w, r)
				return true
			}
			if since := time.Since(limited[poll]); since < leftAlone {
				t.Errorf("asked again %v after a 429 with Retry-After: %v", since, leftAlone)
			}
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusBadRequest)
			w.Write([]byte(`{"error":"authorization_pending"}`))
			return true
		case strings.HasSuffix(r.URL.Path, "/userinfo") && questions[who] < 2:
			questions[who]++
			faults[questions[who]](w, r)
			return true
		}
		return false
	}
	o := newOwner(t)
	o.signIn(t, g.URL)
	readmeClients(t, func(t *testing.T, c client) {
		s := follow(t, c, g, func(code string) {
			if err := o.decide(t.Context(), g.URL, code, "approve"); err != nil {
				t.Error(err)
			}
		})
		s.signedIn(t, o)
	})
}

// TestReadmeClientsEndWithTheCodeThoughTheServerIsAway: no client polls for ever.
func TestReadmeClientsEndWithTheCodeThoughTheServerIsAway(t *testing.T) {
	t.Parallel()
	leaveAlone := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "86400")
		http.Error(w, "tomorrow", http.StatusTooManyRequests)
	}
	for said, fault := range map[string]http.HandlerFunc{"502": faults[0], "429": leaveAlone} {
		g := startGate(t, asInstalled, false, "--device-poll-interval", "1s", "--device-code-lifetime", "4s")
		g.fails = func(w http.ResponseWriter, r *http.Request, poll *device) bool {
			if poll != nil {
				fault(w, r)
			}
			return poll != nil
		}
		readmeClients(t, func(t *testing.T, c client) {
			follow(t, c, g, nil).refused(t, "expired", said)
		})
	}
}

// TestReadmeClientsSayThatThereIsNoServer, and a program that called them hears of it.
func TestReadmeClientsSayThatThereIsNoServer(t *testing.T) {
	t.Parallel()
	ill := httptest.NewServer(faults[0])
	defer ill.Close()
	gone := httptest.NewServer(nil)
	gone.Close()
	readmeClients(t, func(t *testing.T, c client) {
		for address, says := range map[string]string{gone.URL: "onnect", ill.URL: "502"} {
			err := c.run(t.Context(), t, address, func(e event) { t.Errorf("told %+v", e) })
			if err == nil || !strings.Contains(err.Error(), says) || !strings.Contains(err.Error(), "exit status 1") {
				t.Errorf("ended with %v, want %q", err, says)
			}
		}
	})
}
