package deviceflow_test

import (
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/oauth2"

	"countersign.dev/deviceflow"
)

// asked asks a scripted server whose a token is, and returns when it was asked, in seconds.
func asked(t *testing.T, steps ...http.HandlerFunc) (seconds []float64, claims map[string]any, err error) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		c := device(connect(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			seconds = append(seconds, time.Since(began).Seconds())
			if r.Header.Get("Authorization") != "Bearer at" {
				t.Errorf("Authorization: %q", r.Header.Get("Authorization"))
			}
			steps[min(len(seconds), len(steps))-1](w, r)
		})))
		claims, err = c.UserInfo(t.Context(), &oauth2.Token{AccessToken: "at", TokenType: "Bearer"})
	})
	return seconds, claims, err
}

func TestWhoSignedInIsAskedAgainWhileTheServerIsAway(t *testing.T) {
	cut := func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }
	empty := func(http.ResponseWriter, *http.Request) {}
	limited := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "7")
		w.WriteHeader(http.StatusTooManyRequests)
	}
	broken := func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "<html>502</html>", http.StatusBadGateway) }
	me := func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, 200, map[string]any{"sub": "me"}) }
	at, claims, err := asked(t, broken, cut, limited, empty, me)
	if err != nil || claims["sub"] != "me" || len(at) != 5 || at[3]-at[2] < 7 {
		t.Errorf("%v %v at %v", claims, err, at)
	}
	if at, _, err = asked(t, broken); err == nil || len(at) != 5 {
		t.Errorf("%v at %v: it has an end", err, at)
	}
	for seconds, times := range map[string]int{"60": 5, "61": 1, "2147483647": 1} {
		at, _, err = asked(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", seconds)
			w.WriteHeader(http.StatusServiceUnavailable)
		})
		if err == nil || len(at) != times {
			t.Errorf("Retry-After %s: %v at %v, want %d", seconds, err, at, times)
		}
	}
	var refused *deviceflow.Error
	if at, _, err = asked(t, func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, 401, map[string]any{"error": "invalid_token"})
	}); !errors.As(err, &refused) || len(at) != 1 {
		t.Errorf("%v at %v", err, at)
	}
	if at, _, err = asked(t, http.NotFound); err == nil || len(at) != 1 {
		t.Errorf("%v at %v", err, at)
	}
}
