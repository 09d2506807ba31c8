package deviceflow_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"countersign.dev/deviceflow"
)

// hold takes a request and never answers.
func hold(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

// trickle sends a byte a second of an answer that never ends.
func trickle(w http.ResponseWriter, r *http.Request) {
	for r.Context().Err() == nil {
		if _, err := w.Write([]byte(" ")); err != nil {
			return
		}
		if err := http.NewResponseController(w).Flush(); err != nil {
			return
		}
		time.Sleep(time.Second) // the test's own clock
	}
}

// trickleHeader does the same before its status line has ended.
func trickleHeader(w http.ResponseWriter, _ *http.Request) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	for _, err = conn.Write([]byte("HTTP/1.1 200 ")); err == nil; _, err = conn.Write([]byte("x")) {
		time.Sleep(time.Second) // the test's own clock
	}
}

// flood sends without end, as fast as it is read.
func flood(w http.ResponseWriter, _ *http.Request) {
	for {
		if _, err := w.Write(make([]byte, 1<<16)); err != nil {
			return
		}
	}
}

func TestNoRequestOutlastsAServerThatNeverAnswers(t *testing.T) {
	servers := map[string]http.HandlerFunc{"silent": hold, "trickles its body": trickle, "trickles its header": trickleHeader, "floods": flood}
	requests := map[string]func(context.Context, *deviceflow.Config) error{
		"discovery": func(ctx context.Context, c *deviceflow.Config) error {
			_, err := deviceflow.Discover(ctx, c.HTTPClient, "http://server.example")
			return err
		},
		"code": func(ctx context.Context, c *deviceflow.Config) error {
			_, err := c.Request(ctx)
			return err
		},
		"refresh": func(ctx context.Context, c *deviceflow.Config) error {
			_, err := c.Refresh(ctx, "rt")
			return err
		},
		"revocation": func(ctx context.Context, c *deviceflow.Config) error { return c.Revoke(ctx, "rt") },
	}
	for kind, server := range servers {
		for name, request := range requests {
			if kind == "floods" && name == "revocation" {
				continue // its answer has no content (RFC 7009 §2.2), and what comes is not read to its end
			}
			t.Run(kind+" "+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					began := time.Now()
					err := request(t.Context(), device(connect(t, server)))
					var lost *deviceflow.TransportError
					if took := time.Since(began); !errors.As(err, &lost) || took > 65*time.Second {
						t.Errorf("%v after %v", err, took)
					}
					if errors.Is(err, context.DeadlineExceeded) {
						t.Error("it reads as if the caller's time were over")
					}
				})
			})
		}
	}
}

func TestAPollThatIsHeldForEverIsLeftAndOthersFollow(t *testing.T) {
	for name, silent := range map[string]http.HandlerFunc{"silent": hold, "trickles its body": trickle, "trickles its header": trickleHeader} {
		t.Run(name, func(t *testing.T) {
			var asked []string
			answer := func(h http.HandlerFunc) func(http.ResponseWriter, *http.Request) {
				return func(w http.ResponseWriter, r *http.Request) {
					asked = append(asked, r.Header.Get("Prefer"))
					h(w, r)
				}
			}
			at, token, err := run(t, answer(silent), answer(refuse("authorization_pending")), answer(grant))
			if err != nil || token == nil || len(at) != 3 {
				t.Fatalf("%v at %v", err, at)
			}
			if at[1] < 30 || at[1] > 70 {
				t.Errorf("the poll after the one that was held came at %v s", at[1])
			}
			if fmt.Sprintf("%q", asked) != `["wait=25" "" ""]` {
				t.Errorf("asked to wait: %q", asked)
			}
		})
	}
}

// What lies between may say that it waited too long; what failed otherwise says
// nothing of waiting.
func TestOnlyWhoWaitedInVainIsAskedNoMoreToWait(t *testing.T) {
	for name, row := range map[string]struct {
		first http.HandlerFunc
		waits bool
	}{
		"504": {says(504, "text/html", "timeout"), false}, "502": {says(502, "text/html", "bad gateway"), true}, "a hang-up": {raw(""), true},
		"408": {saysJSON(408, `{"error":"timeout"}`), true}, "pending": {saysJSON(400, `{"error":"authorization_pending"}`), true},
	} {
		var asked []string
		_, token, err := run(t, row.first, func(w http.ResponseWriter, r *http.Request) {
			asked = append(asked, r.Header.Get("Prefer"))
			grant(w, r)
		})
		if err != nil || token == nil || len(asked) != 1 || (asked[0] == "wait=25") != row.waits {
			t.Errorf("%s: %v, then asked to wait: %q", name, err, asked)
		}
	}
	var asked []string
	_, _, err := run(t, says(504, "text/html", "timeout"), says(502, "text/html", "bad gateway"), func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.Header.Get("Prefer"))
		grant(w, r)
	})
	if err != nil || len(asked) != 1 || asked[0] != "" {
		t.Errorf("%v, after another failure asked to wait again: %q", err, asked)
	}
}

// An answer that was slow in coming is no wait that was honoured.
func TestTheIntervalRunsFromAnAnswerThatWasSlow(t *testing.T) {
	slow := func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(3 * time.Second) // the test's own clock
		refuse("authorization_pending")(w, r)
	}
	if at, _, err := run(t, slow, grant); err != nil || fmt.Sprint(at) != "[5 13]" {
		t.Errorf("%v at %v", err, at)
	}
}

func TestTheCallersOwnEndIsNoPollThatFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := device(connect(t, &script{steps: []func(http.ResponseWriter, *http.Request){hold}}))
		c.Progress = func(p deviceflow.Poll) { t.Errorf("heard %+v", p) }
		request, err := c.Request(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 7*time.Second)
		defer cancel()
		if _, err := c.Wait(ctx, request); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
	})
}

func TestAProgramHearsOfEachPollThatGaveNoToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{steps: []func(http.ResponseWriter, *http.Request){
			refuse("authorization_pending"), refuse("slow_down"), after("30", says(503, "text/html", "later")), grant,
		}}
		c := device(connect(t, s))
		var heard []string
		c.Progress = func(p deviceflow.Poll) { heard = append(heard, fmt.Sprint(p.Err, " ", p.Next)) }
		request, err := c.Request(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Wait(t.Context(), request); err != nil {
			t.Error(err)
		}
		if want := "[authorization_pending 5s slow_down 10s the server answered 503 without saying why 30s]"; fmt.Sprint(heard) != want {
			t.Errorf("heard %v, want %s", heard, want)
		}
	})
}

func TestAServerThatHoldsEveryPollEndsWithTheCode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{steps: []func(http.ResponseWriter, *http.Request){hold}}
		c := device(connect(t, s))
		request, err := c.Request(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		_, err = c.Wait(t.Context(), request)
		if took := time.Since(began); !errors.Is(err, deviceflow.ErrExpired) || took < 15*time.Minute || took > 16*time.Minute {
			t.Errorf("%v after %v", err, took)
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if len(s.polled) < 10 {
			t.Errorf("only %d polls in a quarter of an hour", len(s.polled))
		}
	})
}

func TestAClientWithATimeoutAsksToBeHeldForLess(t *testing.T) {
	for timeout, want := range map[time.Duration]string{time.Minute: "wait=25", 12 * time.Second: "wait=7", 4 * time.Second: ""} {
		synctest.Test(t, func(t *testing.T) {
			s := &script{steps: []func(http.ResponseWriter, *http.Request){func(w http.ResponseWriter, r *http.Request) {
				if got := r.Header.Get("Prefer"); got != want {
					t.Errorf("timeout %v: Prefer: %q, want %q", timeout, got, want)
				}
				grant(w, r)
			}}}
			c := device(connect(t, s))
			c.HTTPClient.Timeout = timeout
			request, err := c.Request(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if _, err := c.Wait(t.Context(), request); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestTheCallersOwnTimeIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		if _, err := device(connect(t, http.HandlerFunc(hold))).Request(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
	})
}
