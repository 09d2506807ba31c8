package protect_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"countersign.dev/protect"
)

// line is how an API asks the issuer without a socket, so that time can stand still; it may hang.
type line struct {
	answers http.HandlerFunc
	hangs   atomic.Bool
	asked   atomic.Int64
}

// RoundTrip waits for as long as the API does, where the line hangs.
func (l *line) RoundTrip(r *http.Request) (*http.Response, error) {
	l.asked.Add(1)
	if l.hangs.Load() {
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	w := httptest.NewRecorder()
	l.answers(w, r)
	return w.Result(), nil
}

func TestAnIssuerThatHangsIsWaitedForOnceAndForSeconds(t *testing.T) {
	i := newIssuer(t)
	l := &line{answers: i.answering(t)}
	synctest.Test(t, func(t *testing.T) {
		over := protect.Client(&http.Client{Transport: l})
		api, asking := i.api(t, over), i.api(t, over, protect.Introspect("api", "secret"))
		token := i.good(t)
		l.hangs.Store(true)
		took := func(name string, w *httptest.ResponseRecorder, status int, long time.Duration, since time.Time) {
			t.Helper()
			want(t, name, w, status)
			if took := time.Since(since); took != long {
				t.Errorf("%s: it took %v, not %v", name, took, long)
			}
		}
		i.advance(10 * time.Minute)
		start := time.Now()
		var first sync.WaitGroup
		first.Go(func() { took("who finds out", call(api, token), http.StatusOK, 5*time.Second, start) })
		synctest.Wait()
		took("who comes meanwhile", call(api, token), http.StatusOK, 5*time.Second, start)
		first.Wait()
		took("who comes later", call(api, token), http.StatusOK, 5*time.Second, start)
		i.advance(time.Minute - time.Nanosecond)
		took("within a minute", call(api, token), http.StatusOK, 5*time.Second, start)
		synctest.Wait()
		asked := l.asked.Load()
		i.advance(10 * time.Second)
		took("while nobody has answered yet", call(api, token), http.StatusOK, 5*time.Second, start)
		if synctest.Wait(); l.asked.Load() != asked {
			t.Error("the same was asked twice at a time")
		}
		time.Sleep(6 * time.Second) // of the bubble's time: the question ends that nobody waited for

		i.advance(50 * time.Second)
		start = time.Now()
		took("after a minute", call(api, token), http.StatusOK, 5*time.Second, start)
		i.advance(10 * time.Second)
		start = time.Now()
		forged := i.sign(t, "ES256", map[string]any{"kid": "nobody's"}, i.claims(nil))
		took("a key that nobody knows", call(api, forged), http.StatusServiceUnavailable, 5*time.Second, start)
		took("another, at once", call(api, forged), http.StatusServiceUnavailable, 5*time.Second, start)

		start = time.Now()
		took("who has to ask", call(asking, token), http.StatusServiceUnavailable, 5*time.Second+5*time.Second, start)
		start = time.Now()
		if _, err := protect.New(t.Context(), i.URL, resource, over); err == nil || time.Since(start) != 5*time.Second {
			t.Errorf("an API began, or waited for %v: %v", time.Since(start), err)
		}
	})
}

func TestB20_KeysOutliveTheirIssuerForADay(t *testing.T) {
	i := newIssuer(t)
	api := i.api(t)
	i.set(func() {
		i.serve["/jwks"] = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }
	})
	i.advance(24 * time.Hour)
	want(t, "a day", call(api, i.good(t)), http.StatusOK)
	i.advance(time.Nanosecond)
	want(t, "and no longer", call(api, i.good(t)), http.StatusServiceUnavailable)
}

func TestAnAPIBeginsWhateverTheProgramAsksOthersWith(t *testing.T) {
	i, theirs := newIssuer(t), http.DefaultTransport
	defer func() { http.DefaultTransport = theirs }()
	http.DefaultTransport = struct{ http.RoundTripper }{theirs}
	want(t, "with another transport", call(i.api(t), i.good(t)), http.StatusOK)
}

func TestR17_ManyRequestsWithOneTokenAskTheIssuerOnce(t *testing.T) {
	i := newIssuer(t)
	l := &line{answers: i.answering(t)}
	synctest.Test(t, func(t *testing.T) {
		api := i.api(t, protect.Client(&http.Client{Transport: l}), protect.Introspect("api", "secret"))
		answer, failing := make(chan struct{}), false
		l.answers = func(w http.ResponseWriter, _ *http.Request) {
			i.asked.Add(1)
			<-answer
			if failing {
				w.WriteHeader(http.StatusBadGateway)
			}
			_, _ = io.WriteString(w, `{"active":true}`)
		}
		token, other, asked := i.good(t), i.good(t), i.asked.Load()
		ask := func(status int, tokens ...string) {
			var all sync.WaitGroup
			for n := range 50 {
				all.Go(func() { want(t, "one of many", call(api, tokens[n%len(tokens)]), status) })
			}
			// One goes away, and takes nobody's answer with it.
			ctx, leave := context.WithCancel(t.Context())
			all.Go(func() {
				r := httptest.NewRequest(http.MethodGet, "/notes", nil).WithContext(ctx)
				r.Header.Set("Authorization", "Bearer "+tokens[0])
				w := httptest.NewRecorder()
				api.ServeHTTP(w, r)
				want(t, "who went away", w, http.StatusServiceUnavailable)
			})
			synctest.Wait()
			leave()
			synctest.Wait()
			close(answer)
			all.Wait()
			answer = make(chan struct{})
		}
		ask(http.StatusOK, token, other)
		if n := i.asked.Load() - asked; n != 2 {
			t.Errorf("two tokens cost %d questions", n)
		}
		failing = true
		i.advance(6 * time.Second)
		ask(http.StatusServiceUnavailable, token)
		failing = false
		ask(http.StatusOK, token) // what was not answered is asked again at once
		if n := i.asked.Load() - asked; n != 4 {
			t.Errorf("after a failure there were %d questions", n)
		}
	})
}

// Redirects would take a secret, or the choice of keys, to somebody whom nobody named; so
// would an address that anybody on the way can answer for.
func TestTheIssuerIsFollowedNowhere(t *testing.T) {
	i := newIssuer(t)
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("somebody else was asked") }))
	defer elsewhere.Close()
	const metadata, introspect = "/.well-known/oauth-authorization-server", "/introspect"
	var log bytes.Buffer
	api := i.api(t, protect.Introspect("api", "secret"), protect.Log(slog.New(slog.NewTextHandler(&log, nil))),
		protect.Client(&http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return nil }}))
	served := func(path string, by http.Handler, status int, says string) {
		t.Helper()
		i.set(func() { i.serve = map[string]http.HandlerFunc{path: by.ServeHTTP} })
		i.advance(10 * time.Minute)
		log.Reset()
		want(t, path, call(api, i.good(t)), status)
		if !strings.Contains(log.String(), says) {
			t.Errorf("%s: the log says %s", path, log.String())
		}
	}
	if want(t, "before", call(api, i.good(t)), http.StatusOK); log.Len() > 0 {
		t.Error(log.String())
	}
	for _, status := range []int{http.StatusFound, http.StatusTemporaryRedirect} {
		to, says := http.RedirectHandler(elsewhere.URL, status), fmt.Sprint("answered ", status)
		served("/jwks", to, http.StatusOK, says)
		served(metadata, to, http.StatusOK, says)
		served(introspect, to, http.StatusServiceUnavailable, says)
	}
	served(metadata, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"issuer":%q,"jwks_uri":%q,"introspection_endpoint":%q}`, i.URL, i.URL+"/jwks", strings.Replace(elsewhere.URL, "127.0.0.1", "localhost.example", 1))
	}), http.StatusServiceUnavailable, "no introspection_endpoint that is https")
}

// FuzzAnswers is whatever an issuer may answer: nothing that it says makes a token good that
// is for somebody else, and what is no key set leaves the keys as they are.
func FuzzAnswers(f *testing.F) {
	i := newIssuer(f)
	good := string(i.keySet(f))
	for _, keys := range []string{good, `{"keys":[{}]}`, `{"keys":[{"kty":"EC","crv":"P-256","kid":"ES256","x":"AA","y":"AA"}]}`, strings.Replace(good, `"keys":[`, `"keys":[null,7,`, 1)} {
		f.Add(`{"issuer":"`+i.URL+`","jwks_uri":"`+i.URL+`/jwks"}`, keys, "max-age=60")
	}
	f.Add(`{"issuer":"`+i.URL+`/","jwks_uri":"http://id.example/jwks"}`, good, "no-store, max-age=")
	f.Add(`{"issuer":["`+i.URL+`"],"jwks_uri":7}`, `[]`, "max-age=99999999999999999999")
	mine, other := i.good(f), i.sign(f, "ES256", nil, i.claims(map[string]any{"aud": "https://other.example"}))
	f.Fuzz(func(t *testing.T, metadata, keys, cache string) {
		l := &line{answers: i.answering(t)}
		over := protect.Client(&http.Client{Transport: l})
		api := i.api(t, over)
		l.answers = func(w http.ResponseWriter, r *http.Request) {
			w.Header()["Cache-Control"] = []string{cache}
			if strings.HasPrefix(r.URL.Path, "/.well-known/") {
				_, _ = io.WriteString(w, metadata)
				return
			}
			_, _ = io.WriteString(w, keys)
		}
		i.advance(10 * time.Minute)
		defer i.advance(-10 * time.Minute)
		_, err := protect.New(t.Context(), i.URL, resource, protect.Clock(i.now), over)
		if w := call(api, mine); err != nil && w.Code != http.StatusOK {
			t.Errorf("what no API begins with (%v) took the keys away: %d %s", err, w.Code, w.Body)
		}
		if w := call(api, other); w.Code < http.StatusBadRequest {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	})
}
