package server_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/contract"
	"countersign.dev/internal/authz/secret"
	"countersign.dev/internal/authz/token"
	"countersign.dev/internal/issuer"
	"countersign.dev/internal/storage/postgres"
	"countersign.dev/internal/storage/sqlite"
)

// signingKeys are the keys as the operator's command has them, which is another process.
func (h *house) signingKeys() *token.Keys {
	h.t.Helper()
	secrets, err := secret.Derive(make([]byte, authz.SecretLength), rand.Reader)
	if err != nil {
		h.t.Fatal(err)
	}
	return token.NewKeys(h.store, secrets, h.now, 0)
}

func (h *house) rotate(algorithms ...string) {
	h.t.Helper()
	if _, err := h.signingKeys().Rotate(context.Background(), algorithms...); err != nil {
		h.t.Fatal(err)
	}
	h.follow()
}

func (h *house) withdraw(id string) {
	h.t.Helper()
	if _, err := h.signingKeys().Withdraw(context.Background(), id); err != nil {
		h.t.Fatal(err)
	}
	h.follow()
}

// follow does what the server does each second.
func (h *house) follow() {
	h.t.Helper()
	if err := h.service.Tokens.Follow(context.Background()); err != nil {
		h.t.Fatal(err)
	}
}

// published are the ids in the key set, by algorithm, oldest first.
func (h *house) published() map[string][]string {
	h.t.Helper()
	var set struct{ Keys []struct{ Kid, Alg string } }
	if err := json.Unmarshal([]byte(h.send(http.MethodGet, "/api/auth/jwks", "").wantOK().body), &set); err != nil {
		h.t.Fatal(err)
	}
	ids := map[string][]string{}
	for _, k := range set.Keys {
		ids[k.Alg] = append(ids[k.Alg], k.Kid)
	}
	return ids
}

// accessToken is a new one, and the key that signed it.
func (h *house) accessToken() (access, kid string) {
	h.t.Helper()
	access = h.tokens("pub-a", "openid", "alice").text("access_token")
	header, _ := claimsOf(h.t.(*testing.T), access)
	kid, _ = header["kid"].(string)
	return access, kid
}

func TestM08_ANewKeyIsPublishedBeforeItSignsAndTheOldOneAsLongAsItsTokensLive(t *testing.T) {
	h := newHouse(t)
	_, first := h.accessToken()
	h.rotate("ES256")
	ids := h.published()["ES256"]
	if len(ids) != 2 || ids[0] != first {
		t.Fatalf("the key set has %v", ids)
	}
	cached, err := strconv.Atoi(strings.TrimPrefix(h.send(http.MethodGet, "/api/auth/jwks", "").header.Get("Cache-Control"), "public, max-age="))
	if err != nil {
		t.Fatal(err)
	}
	h.advance(time.Duration(cached)*time.Second + 5*time.Minute) // and what clocks may differ by
	old, kid := h.accessToken()
	if kid != first {
		t.Error("a key signs that caches do not have yet")
	}
	h.advance(5 * time.Minute)
	access, kid := h.accessToken()
	if kid != ids[1] {
		t.Errorf("%s signs, want %s", kid, ids[1])
	}
	h.userInfo(old).wantOK()
	h.userInfo(access).wantOK()
	if got := h.published()["ES256"]; !slices.Equal(got, ids) {
		t.Errorf("the key set has %v", got)
	}
	h.advance(24 * time.Hour) // as long as a token may live
	h.follow()
	if got := h.published()["ES256"]; !slices.Equal(got, ids) {
		t.Errorf("after a day the key set has %v", got)
	}
	h.advance(time.Hour)
	h.follow()
	if got := h.published(); !slices.Equal(got["ES256"], ids[1:]) || len(got["RS256"]) != 1 || len(got["EdDSA"]) != 1 {
		t.Errorf("later the key set has %v", got)
	}
	h.accessToken()
	if strings.Contains(h.log.String(), "withdrawn") {
		t.Error("the log tells of a key that was withdrawn")
	}
	all, err := h.store.SigningKeys(t.Context(), time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(all, func(k authz.SigningKey) bool { return k.ID == first })
	public, err := token.PublicHalf(all[i])
	if err != nil || public.KeyID != first || len(all[i].Sealed) != 0 {
		t.Errorf("of a key that is gone its public half alone stays: %v, %d bytes of the other", err, len(all[i].Sealed))
	}
	signed, err := jose.ParseSignedCompact(old, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := signed.Verify(public); err != nil {
		t.Errorf("what it signed cannot be checked any more: %v", err)
	}
}

func TestB20_WhatAWithdrawnKeySignedIsRefusedAtOnce(t *testing.T) {
	for name, rotated := range map[string]bool{"where another waits to sign": true, "where there is no other": false} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			tokens := h.tokens("pub-a", "openid offline_access", "alice")
			access := tokens.text("access_token")
			h.userInfo(access).wantOK() // and is remembered
			first := h.published()["ES256"][0]
			if rotated {
				h.rotate("ES256")
			}
			h.withdraw(first)
			h.userInfo(access).wantError(http.StatusUnauthorized, "invalid_token")
			if ids := h.published()["ES256"]; len(ids) != 1 || ids[0] == first {
				t.Errorf("the key set has %v", ids)
			}
			renewed := h.postForm(tokenPath, refreshForm("pub-a", tokens.text("refresh_token"))).wantOK().text("access_token")
			h.userInfo(renewed).wantOK()
			if _, err := h.signingKeys().Withdraw(t.Context(), first); !errors.Is(err, contract.ErrNotFound) {
				t.Errorf("again: %v", err)
			}
			if !strings.Contains(h.log.String(), "signing key withdrawn") || !strings.Contains(h.log.String(), "signing key published") {
				t.Error("the log does not say so")
			}
			h.userInfo(access).wantError(http.StatusUnauthorized, "invalid_token")
			h.advance(-time.Hour) // nor when the clock is set back
			h.follow()
			h.userInfo(access).wantError(http.StatusUnauthorized, "invalid_token")
		})
	}
}

// A backup brings back the keys of then, and what it does not know of is not accepted.
func TestB20_ARestoredBackupHasTheKeysOfThen(t *testing.T) {
	onlySQLite(t)
	h := newHouse(t)
	old, kid := h.accessToken()
	h.service.Close()
	if err := h.store.Close(); err != nil { // as operations.md says
		t.Fatal(err)
	}
	backup, err := os.ReadFile(h.path)
	if err != nil {
		t.Fatal(err)
	}
	if h.store, err = sqlite.Open(t.Context(), h.path); err != nil {
		t.Fatal(err)
	}
	h.start(h.settings)
	h.rotate("ES256")
	h.advance(20 * time.Minute)
	lost, next := h.accessToken()
	if next == kid {
		t.Fatal("the old key signs")
	}
	restored := &house{t: t, log: &logBuffer{}, peer: h.peer, random: h.random, path: filepath.Join(t.TempDir(), "countersign.db")}
	restored.ns.Store(h.ns.Load())
	if err := os.WriteFile(restored.path, backup, 0o600); err != nil {
		t.Fatal(err)
	}
	restored = restored.beside(h.settings)
	restored.userInfo(old).wantOK()
	restored.userInfo(lost).wantError(http.StatusUnauthorized, "invalid_token")
	if _, signs := restored.accessToken(); signs != kid {
		t.Errorf("%s signs, want %s", signs, kid)
	}
}

// beside starts another server on the same database.
func (h *house) beside(settings authz.Settings) *house {
	h.t.Helper()
	other := &house{t: h.t, log: &logBuffer{}, peer: h.peer, random: h.random}
	other.ns.Store(h.ns.Load())
	var err error
	if onPostgres {
		pg, failed := postgres.Open(h.t.Context(), h.url, slog.New(slog.DiscardHandler))
		other.store, other.others, err = pg, pg, failed
	} else {
		other.store, err = sqlite.Open(h.t.Context(), h.path)
	}
	if err != nil {
		h.t.Fatal(err)
	}
	other.start(settings)
	h.t.Cleanup(func() {
		other.service.Close()
		if err := other.store.Close(); err != nil {
			h.t.Error(err)
		}
	})
	return other
}

func TestB20_OtherServersKnowANewKeyAtOnce(t *testing.T) {
	h := newHouse(t)
	other := h.beside(h.settings)
	for _, passes := range []time.Duration{100 * time.Millisecond, -time.Hour} { // until they may be read again; a clock that is set back
		_, first := other.accessToken()
		other.advance(time.Second)
		other.withdraw(first)
		access, kid := other.accessToken()
		if kid == first {
			t.Error("a withdrawn key signs")
		}
		h.advance(passes)
		h.userInfo(access).wantOK() // which nobody has told of the key
	}
	other.rotate("ES256")
	h.follow()
	if here, there := h.published()["ES256"], other.published()["ES256"]; !slices.Equal(here, there) || len(here) != 2 {
		t.Errorf("one has %v, the other %v", here, there)
	}
}

func TestB20_OfServersThatReplaceKeysAtOnceOneDoes(t *testing.T) {
	h := newHouse(t, func(s *authz.Settings) { s.RotateKeysEvery = 30 * 24 * time.Hour })
	keys, err := h.store.SigningKeys(t.Context(), time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	h.ns.Store(keys[len(keys)-1].SignsFrom.Add(h.settings.RotateKeysEvery).UnixNano() - int64(time.Millisecond))
	h.follow()
	if ids := h.published()["ES256"]; len(ids) != 1 {
		t.Fatalf("too early there are %v", ids)
	}
	servers := []*house{h, h.beside(h.settings), h.beside(h.settings)}
	var at sync.WaitGroup
	for _, s := range servers {
		s.advance(time.Millisecond)
		at.Go(func() {
			if err := s.service.Tokens.Follow(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
	at.Wait()
	want := h.published()
	for alg, ids := range want {
		if len(ids) != 2 {
			t.Errorf("of %s there are %v", alg, ids)
		}
	}
	for n, s := range servers {
		s.follow()
		if got := s.published(); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("server %d has %v, want %v", n, got, want)
		}
		s.advance(15*time.Minute + time.Duration(n)*time.Second)
		if _, kid := s.accessToken(); kid != want["ES256"][1] {
			t.Errorf("at server %d %s signs", n, kid)
		}
	}
}

func TestB20_AServerThatCannotMakeAKeySignsOnWithTheOldOne(t *testing.T) {
	h := newHouse(t, func(s *authz.Settings) { s.RotateKeysEvery = 24 * time.Hour })
	_, first := h.accessToken()
	h.service.Close() // whose own goroutine would try as well
	h.advance(400 * 24 * time.Hour)
	h.random.left.Store(0)
	if err := h.service.Tokens.Follow(t.Context()); err == nil {
		t.Fatal("a key was made of nothing")
	}
	if access, kid := h.accessToken(); kid != first {
		t.Error("another key signs")
	} else {
		h.userInfo(access).wantOK()
	}
	h.follow()
	if ids := h.published()["ES256"]; len(ids) != 2 {
		t.Errorf("when it can again there are %v", ids)
	}
	// Nor does it keep a server from starting.
	h.advance(400 * 24 * time.Hour)
	h.random.left.Store(0)
	h.start(h.settings)
	h.service.Close()
	h.random.left.Store(-1)
	h.accessToken()
}

func TestB20_ARestartedServerVerifiesWhatItSigned(t *testing.T) {
	h := newHouse(t)
	old, _ := h.accessToken()
	h.rotate("ES256")
	h.advance(20 * time.Minute)
	access, kid := h.accessToken()
	h.service.Close()
	h.start(h.settings)
	h.userInfo(old).wantOK()
	h.userInfo(access).wantOK()
	if _, again := h.accessToken(); again != kid {
		t.Error("after a restart another key signs")
	}
	if n := strings.Count(h.log.String(), "signing key published"); n != 1 {
		t.Errorf("the log tells of %d new keys", n)
	}
}

// In a database of before there are no times but that of the key, and no public halves.
func TestB20_KeysFromBeforeGoOnAsActiveOnes(t *testing.T) {
	h := newHouse(t)
	access, kid := h.accessToken()
	before := h.published()
	h.service.Close()
	keys, err := h.store.SigningKeys(t.Context(), time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	old := slices.Clone(keys)
	for i := range old {
		old[i].Public = nil
	}
	if err := h.store.ChangeSigningKeys(t.Context(), contract.KeyChange{Seen: keys, Keys: old}); err != nil {
		t.Fatal(err)
	}
	secrets, err := secret.Derive([]byte("another secret of thirty-two bytes"), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := token.NewKeys(h.store, secrets, h.now, 0).Withdraw(t.Context(), before["RS256"][0]); !errors.Is(err, authz.ErrOtherSecret) {
		t.Errorf("with another secret: %v", err)
	}
	if _, err := h.signingKeys().Withdraw(t.Context(), before["RS256"][0]); err != nil { // before any server was there
		t.Fatal(err)
	}
	h.start(h.settings)
	h.userInfo(access).wantOK()
	if _, again := h.accessToken(); again != kid || fmt.Sprint(h.published()["ES256"]) != fmt.Sprint(before["ES256"]) {
		t.Errorf("%s signs, and there are %v", again, h.published())
	}
	h.follow()
	noted, err := h.store.SigningKeys(t.Context(), time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	for _, was := range keys {
		i := slices.IndexFunc(noted, func(k authz.SigningKey) bool { return k.ID == was.ID })
		if string(noted[i].Public) != string(was.Public) || noted[i].SignsFrom != was.SignsFrom {
			t.Errorf("the public half of the %s key was not noted", was.Algorithm)
		}
	}
	h.rotate("ES256")
	if ids := h.published()["ES256"]; len(ids) != 2 || !slices.Contains(ids, kid) {
		t.Errorf("rotated there are %v", ids)
	}
}

func TestB20_AServerWithNothingToDoForItsKeysReadsThemOnly(t *testing.T) {
	h := newHouse(t)
	h.service.Close()
	store := &failing{Store: h.store}
	h.store = store
	h.start(h.settings)
	h.rotate("ES256")
	for range 3 {
		h.advance(20 * time.Minute)
		h.follow()
		calls := store.during(nil, func(ctx context.Context) {
			if err := h.service.Tokens.Follow(ctx); err != nil {
				t.Error(err)
			}
		})
		if !slices.Equal(calls, []string{"SigningKeys"}) {
			t.Errorf("%v", calls)
		}
	}
}

// Somebody who writes into the database by hand stops no server that runs.
func TestB20_AKeyThatCannotBeOpenedIsNotTaken(t *testing.T) {
	h := newHouse(t)
	access, kid := h.accessToken()
	keys, err := h.store.SigningKeys(t.Context(), time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	foreign := keys[0]
	foreign.ID = strings.Repeat("k", len(foreign.ID))
	if err := h.store.ChangeSigningKeys(t.Context(), contract.KeyChange{Seen: keys, Keys: []authz.SigningKey{foreign}}); err != nil {
		t.Fatal(err)
	}
	if err := h.service.Tokens.Follow(t.Context()); !errors.Is(err, authz.ErrOtherSecret) {
		t.Errorf("%v", err)
	}
	h.userInfo(access).wantOK()
	if _, again := h.accessToken(); again != kid {
		t.Errorf("%s signs", again)
	}
}

// The times of keys are compared with a clock that may be set (decision 0031).
func TestB20_AClockThatIsSetBackStopsNothing(t *testing.T) {
	h := newHouse(t)
	_, first := h.accessToken()
	h.rotate("ES256")
	h.advance(20 * time.Minute)
	access, _ := h.accessToken()
	h.follow() // the first key is not opened any more
	h.advance(-20 * time.Minute)
	h.follow()
	h.userInfo(access).wantOK()
	early, kid := h.accessToken()
	h.userInfo(early).wantOK()
	if ids := h.published()["ES256"]; kid == first || len(ids) != 2 {
		t.Errorf("%s signs, the key set has %v", kid, ids)
	}
	h.rotate("ES256")
	h.withdraw(kid)
	h.userInfo(early).wantError(http.StatusUnauthorized, "invalid_token")
	last, _ := h.accessToken()
	h.userInfo(last).wantOK()
}

func TestB20_ASecretThatDoesNotOpenTheKeysMakesNone(t *testing.T) {
	h := newHouse(t)
	secrets, err := secret.Derive([]byte("another secret of thirty-two bytes"), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	before := h.published()
	h.advance(2 * time.Hour)
	others := token.NewKeys(h.store, secrets, h.now, time.Hour)
	id := before["ES256"][0]
	_, rotated := others.Rotate(t.Context(), "ES256")
	_, retired := others.Retire(t.Context(), id)
	_, withdrawn := others.Withdraw(t.Context(), id)
	for _, err := range []error{rotated, retired, withdrawn, others.Tend(t.Context())} {
		if !errors.Is(err, authz.ErrOtherSecret) {
			t.Errorf("%v", err)
		}
	}
	h.follow()
	if got := h.published(); fmt.Sprint(got) != fmt.Sprint(before) {
		t.Errorf("%v became %v", before, got)
	}
	_, err = issuer.New(t.Context(), issuer.Options{
		Store: h.store, Settings: h.settings, Secret: []byte("another secret of thirty-two bytes"), Clock: h.now, Rand: rand.Reader, Log: slog.New(slog.DiscardHandler),
	})
	if !errors.Is(err, authz.ErrOtherSecret) {
		t.Errorf("a server starts with another secret: %v", err)
	}
}

func TestAKeyIsRetiredByAnotherInItsPlace(t *testing.T) {
	h := newHouse(t)
	keys := h.signingKeys()
	for _, id := range []string{"nobody's", ""} {
		if _, err := keys.Retire(t.Context(), id); !errors.Is(err, contract.ErrNotFound) {
			t.Errorf("%q: %v", id, err)
		}
	}
	first := h.published()["ES256"][0]
	for alg, ids := range h.published() {
		for range 2 { // who says it again has not made another
			if _, err := keys.Retire(t.Context(), ids[0]); err != nil {
				t.Fatal(err)
			}
		}
		h.follow()
		if ids := h.published()[alg]; len(ids) != 2 {
			t.Fatalf("of %s the key set has %v", alg, ids)
		}
	}
	h.advance(15 * time.Minute)
	if _, kid := h.accessToken(); kid == first {
		t.Error("the key signs that was retired")
	}
	if _, err := keys.Retire(t.Context(), first); !errors.Is(err, contract.ErrNotFound) {
		t.Errorf("one that signs no more: %v", err)
	}
	for alg, ids := range h.published() {
		for _, id := range ids {
			h.withdraw(id)
		}
		if left := h.published()[alg]; len(left) != 1 || slices.Contains(ids, left[0]) {
			t.Errorf("all of %s were withdrawn, and there are %v", alg, left)
		}
	}
}
