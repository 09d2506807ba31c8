package deviceflow_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/oauth2"

	"countersign.dev/deviceflow"
)

// script answers polls one after the other; the last answer repeats.
type script struct {
	steps []func(w http.ResponseWriter, r *http.Request)

	mu     sync.Mutex
	polled []time.Time // guarded by mu where polls may still be held
}

func (s *script) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasSuffix(r.URL.Path, "/code") {
		writeJSON(w, 200, map[string]any{
			"device_code": "secret-device-code", "user_code": "BCDF-GHJK", "verification_uri": "http://localhost/device",
			"expires_in": 900, "interval": 5,
		})
		return
	}
	s.mu.Lock()
	n := min(len(s.polled), len(s.steps)-1)
	s.polled = append(s.polled, time.Now())
	s.mu.Unlock()
	s.steps[n](w, r)
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}

func refuse(code string, more ...any) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, _ *http.Request) {
		body := map[string]any{"error": code}
		for i := 0; i+1 < len(more); i += 2 {
			body[more[i].(string)] = more[i+1]
		}
		writeJSON(w, 400, body)
	}
}

func grant(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, 200, map[string]any{
		"access_token": "at", "token_type": "Bearer", "expires_in": 3600, "refresh_token": "rt", "id_token": "idt", "scope": "openid",
	})
}

// run waits for a scripted server and returns when the polls came, in seconds
// after the request.
func run(t *testing.T, steps ...func(http.ResponseWriter, *http.Request)) (seconds []float64, token *oauth2.Token, err error) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &script{steps: steps}
		c := device(connect(t, s))
		began := time.Now()
		request, requestErr := c.Request(t.Context())
		if requestErr != nil {
			t.Fatal(requestErr)
		}
		token, err = c.Wait(t.Context(), request)
		for _, at := range s.polled {
			seconds = append(seconds, at.Sub(began).Seconds())
		}
	})
	return seconds, token, err
}

func TestPollsKeepTheInterval(t *testing.T) {
	pending := refuse("authorization_pending")
	at, token, err := run(t, pending, pending, grant)
	if err != nil || fmt.Sprint(at) != "[5 10 15]" {
		t.Errorf("%v at %v", err, at)
	}
	if token.AccessToken != "at" || token.RefreshToken != "rt" || token.Extra("id_token") != "idt" || token.Extra("scope") != "openid" {
		t.Errorf("%+v", token)
	}
}

func TestSlowDownAddsFiveSecondsOrTakesTheServersInterval(t *testing.T) {
	at, _, err := run(t, refuse("slow_down"), refuse("slow_down", "interval", 12), grant)
	if err != nil || fmt.Sprint(at) != "[5 15 27]" {
		t.Errorf("%v at %v", err, at)
	}
}

func TestAWaitThatWasHonouredIsFollowedAtOnce(t *testing.T) {
	held := func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Prefer") != "wait=25" {
			t.Errorf("Prefer: %q", r.Header.Get("Prefer"))
		}
		time.Sleep(25 * time.Second) // the test's own clock
		w.Header().Set("Preference-Applied", "wait=25")
		refuse("authorization_pending")(w, r)
	}
	at, _, err := run(t, held, grant)
	if err != nil || fmt.Sprint(at) != "[5 30]" {
		t.Errorf("%v at %v", err, at)
	}
}

func TestFailuresOnTheWayAreWaitedOut(t *testing.T) {
	broken := func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "<html>502</html>", http.StatusBadGateway) }
	at, _, err := run(t, broken, broken, broken, broken, grant)
	if err != nil || len(at) != 5 {
		t.Fatalf("%v at %v", err, at)
	}
	for i := 1; i < len(at); i++ {
		if gap := at[i] - at[i-1]; gap < 2.5 || gap > 20 {
			t.Errorf("gap %d is %.1f s", i, gap)
		}
	}
}

func TestDenialAndOtherRefusalsEndTheWait(t *testing.T) {
	if _, _, err := run(t, refuse("access_denied")); !errors.Is(err, deviceflow.ErrDenied) {
		t.Error(err)
	}
	if _, _, err := run(t, refuse("expired_token")); !errors.Is(err, deviceflow.ErrExpired) {
		t.Error(err)
	}
	var refused *deviceflow.Error
	if _, _, err := run(t, refuse("invalid_grant", "error_description", "no \x1b[31msuch code")); !errors.As(err, &refused) || refused.Description != "no [31msuch code" {
		t.Error(err)
	}
}

func TestAServerThatIsGoneEndsWithTheCode(t *testing.T) {
	broken := func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }
	at, _, err := run(t, broken)
	if !errors.Is(err, deviceflow.ErrExpired) || at[len(at)-1] > 901 {
		t.Errorf("%v, last poll at %v", err, at[len(at)-1])
	}
}

func TestTheContextEndsTheWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{steps: []func(http.ResponseWriter, *http.Request){refuse("authorization_pending")}}
		c := device(connect(t, s))
		request, err := c.Request(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 12*time.Second)
		defer cancel()
		if _, err := c.Wait(ctx, request); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
	})
}

func TestB30_AnAddressThatIsNoWebAddressIsRefused(t *testing.T) {
	for _, address := range []string{"file:///etc/passwd", "javascript:alert(1)", "http://a\x1b]0;x", "https://user@host/", "calc.exe", "ftp://a.example/", "https:///device", "https://a.example/\u202e", "http://["} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			writeJSON(w, 200, map[string]any{"device_code": "d", "user_code": "u", "verification_uri": address, "expires_in": 9})
		}))
		c := &deviceflow.Config{Endpoint: deviceflow.Endpoint{DeviceAuthorizationURL: server.URL}}
		if _, err := c.Request(t.Context()); err == nil {
			t.Errorf("%q was accepted", address)
		}
		server.Close()
	}
}

func TestTheDeviceCodePrintsAsRedacted(t *testing.T) {
	a := deviceflow.Authorization{DeviceCode: "secret-device-code"}
	encoded, err := json.Marshal(a)
	if err != nil {
		t.Fatal(err)
	}
	if text := fmt.Sprintf("%v %+v %#v %s", a, a, a, encoded); strings.Contains(text, "secret-device-code") {
		t.Error(text)
	}
}

func TestDiscoveryInsistsOnTheIssuer(t *testing.T) {
	var issuer string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/.well-known/openid-configuration" {
			http.NotFound(w, r)
			return
		}
		writeJSON(w, 200, map[string]any{"issuer": issuer, "token_endpoint": issuer + "/t", "device_authorization_endpoint": issuer + "/d"})
	}))
	defer server.Close()
	issuer = server.URL
	e, err := deviceflow.Discover(t.Context(), nil, server.URL+"/")
	if err != nil || e.TokenURL != server.URL+"/t" {
		t.Errorf("%+v %v", e, err)
	}
	issuer = "https://evil.example"
	if _, err := deviceflow.Discover(t.Context(), nil, server.URL); err == nil {
		t.Error("another issuer's document was accepted")
	}
}

func TestTheTokenSourceRefreshesAndSaves(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.FormValue("refresh_token") != "old" {
			refuse("invalid_grant")(w, r)
			return
		}
		writeJSON(w, 200, map[string]any{"access_token": "new", "token_type": "Bearer", "expires_in": 60, "refresh_token": "next"})
	}))
	defer server.Close()
	c := &deviceflow.Config{Endpoint: deviceflow.Endpoint{TokenURL: server.URL}}
	var saved []string
	source := c.TokenSource(t.Context(), &oauth2.Token{AccessToken: "stale", RefreshToken: "old", Expiry: time.Now().Add(-time.Hour)},
		func(token *oauth2.Token) error { saved = append(saved, token.RefreshToken); return nil })
	for range 2 {
		token, err := source.Token()
		if err != nil || token.AccessToken != "new" {
			t.Fatalf("%+v %v", token, err)
		}
	}
	if fmt.Sprint(saved) != "[next]" {
		t.Errorf("saved %v", saved)
	}
}

// always is a server that answers everything with one body.
type always []byte

func (a always) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(bytes.NewReader(a)), Request: r}, nil
}

func FuzzAnswers(f *testing.F) {
	f.Add([]byte(`{"device_code":"d","user_code":"u","verification_uri":"https://a/b","expires_in":900,"interval":5}`))
	f.Add([]byte(`{"error":"slow_down","interval":1e300}`))
	f.Add([]byte(`{"access_token":"a","expires_in":-1}`))
	f.Add([]byte(`{"access_token":"a","expires_in":"1e300"}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		c := device(&http.Client{Transport: always(body)})
		if a, err := c.Request(t.Context()); err == nil && (a.Interval <= 0 || a.DeviceCode == "" || strings.ContainsRune(a.UserCode, '\x1b')) {
			t.Errorf("%+v", a)
		}
		if token, err := c.Refresh(t.Context(), "r"); err == nil && (token.AccessToken == "" || token.ExpiresIn < 0 || (!token.Expiry.IsZero() && token.Expiry.Year() < 2000)) {
			t.Errorf("%+v", token)
		}
	})
}

func Example() {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/code":
			writeJSON(w, 200, map[string]any{
				"device_code": "secret", "user_code": "BCDF-GHJK", "verification_uri": "http://localhost:8628/device", "expires_in": 900, "interval": 1,
			})
		default:
			grant(w, r)
		}
	}))
	defer server.Close()

	config := &deviceflow.Config{
		ClientID: "my-app", Scopes: []string{"openid", "profile"},
		Endpoint: deviceflow.Endpoint{DeviceAuthorizationURL: server.URL + "/code", TokenURL: server.URL + "/token"},
	}
	request, err := config.Request(context.Background())
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("Open", request.VerificationURI, "and enter", request.UserCode)
	token, err := config.Wait(context.Background(), request)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("Signed in until it expires:", token.Valid())
	// Output:
	// Open http://localhost:8628/device and enter BCDF-GHJK
	// Signed in until it expires: true
}

func TestATokenThatCouldNotBeSavedIsSavedTheNextTime(t *testing.T) {
	refreshed := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if refreshed++; refreshed > 1 {
			refuse("invalid_grant")(w, r) // a refresh token works once
			return
		}
		grant(w, r)
	}))
	defer server.Close()
	c := &deviceflow.Config{Endpoint: deviceflow.Endpoint{TokenURL: server.URL}}
	full := errors.New("no space left")
	var saved []string
	source := c.TokenSource(t.Context(), &oauth2.Token{RefreshToken: "old"}, func(token *oauth2.Token) error {
		if saved = append(saved, token.RefreshToken); len(saved) == 1 {
			return full
		}
		return nil
	})
	if _, err := source.Token(); !errors.Is(err, full) {
		t.Errorf("a token was used that is not saved: %v", err)
	}
	for range 2 {
		if token, err := source.Token(); err != nil || token.AccessToken != "at" {
			t.Errorf("%+v %v", token, err)
		}
	}
	if fmt.Sprint(saved) != "[rt rt]" || refreshed != 1 {
		t.Errorf("saved %v, refreshed %d times", saved, refreshed)
	}
}
