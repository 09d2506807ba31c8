package token

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"pgregory.net/rapid"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/secret"
)

// life is the keys of one algorithm through days of whatever happens to them, and what
// was seen of them.
type life struct {
	t     *rapid.T
	now   time.Time
	keys  []authz.SigningKey
	drawn int
	// signed is when a key signed last, and began when it did first.
	began, signed map[string]time.Time
	// since is when a key was first in the key set.
	since map[string]time.Time
	// hurried is when a key was withdrawn last: what signs next could not wait.
	hurried time.Time
	back    bool // the clock was set back
}

func (l *life) next() authz.SigningKey {
	l.drawn++
	return authz.SigningKey{ID: fmt.Sprint("key ", l.drawn), Algorithm: "ES256", Sealed: []byte{1}, Public: []byte{1}}
}

// ring is what a server has that reads the keys now.
func (l *life) ring() *keyring {
	ring := &keyring{byID: map[string]*openKey{}, signing: map[jose.SignatureAlgorithm][]*openKey{}}
	for _, k := range l.keys {
		if k.WithdrawnAt.IsZero() && (k.LeavesAt.IsZero() || l.now.Before(k.LeavesAt)) {
			key := &openKey{SigningKey: k}
			if len(k.Sealed) > 0 {
				key.signers = map[jose.ContentType]jose.Signer{}
			}
			ring.kept = append(ring.kept, k)
			ring.add(key)
		}
	}
	return ring
}

// look checks the keys as they are.
func (l *life) look() {
	t, ring := l.t, l.ring()
	published := map[string]bool{}
	for _, k := range ring.kept {
		published[k.ID] = true
		if _, ok := l.since[k.ID]; !ok {
			l.since[k.ID] = l.now
		}
	}
	signer, err := ring.signer("ES256", l.now)
	if err != nil {
		t.Fatalf("nothing signs: %v", err)
	}
	if !published[signer.ID] || len(signer.Sealed) == 0 || ring.verifier(signer.ID, l.now) == nil {
		t.Fatalf("%s signs and is not to be found", signer.ID)
	}
	if _, signed := l.began[signer.ID]; !signed {
		l.began[signer.ID] = l.now
		if early := l.now.Sub(l.since[signer.ID]) < publishedBefore; early && !l.back && signer.ID != "key 1" && l.now != l.hurried {
			t.Fatalf("%s signs %v after it was published", signer.ID, l.now.Sub(l.since[signer.ID]))
		}
	}
	l.signed[signer.ID] = l.now
	open := 0
	for _, k := range l.keys {
		if k.SignsUntil.IsZero() {
			open++
		}
		last, signed := l.signed[k.ID]
		switch {
		case len(k.Public) == 0:
			t.Fatalf("%s has lost its public half", k.ID)
		case !k.WithdrawnAt.IsZero():
			if published[k.ID] || len(k.Sealed) > 0 || ring.verifier(k.ID, l.now) != nil {
				t.Fatalf("%s was withdrawn and is there", k.ID)
			}
		case signed && !l.back && !published[k.ID] && l.now.Sub(last) < 24*time.Hour:
			t.Fatalf("%s signed %v ago and is gone", k.ID, l.now.Sub(last))
		}
	}
	if open != 1 {
		t.Fatalf("%d keys sign for good", open)
	}
}

// order is how far a state is in a key's life.
var order = map[authz.KeyState]int{authz.KeyPending: 0, authz.KeyActive: 1, authz.KeyRetiring: 2, authz.KeyGone: 3}

// TestM08_B20_WhateverHappensToKeysOneSignsAndWhatWasSignedCanBeVerified: rotations,
// withdrawals and what servers do by themselves, in any order, with any time between them.
func TestM08_B20_WhateverHappensToKeysOneSignsAndWhatWasSignedCanBeVerified(t *testing.T) {
	keys := NewKeys(nil, secret.Secrets{}, nil, 10*24*time.Hour)
	rapid.Check(t, func(t *rapid.T) {
		l := &life{
			t: t, now: time.Date(2026, 11, 30, 9, 0, 0, 0, time.UTC),
			began: map[string]time.Time{}, signed: map[string]time.Time{}, since: map[string]time.Time{},
		}
		l.keys = withNext(nil, l.next(), l.now)
		mayGoBack := rapid.Bool().Draw(t, "a clock that is set back")
		was := map[string]authz.KeyState{}
		t.Repeat(map[string]func(*rapid.T){
			"": func(t *rapid.T) {
				l.t = t
				l.look()
				for _, k := range l.keys {
					state := k.StateAt(l.now)
					if before := was[k.ID]; !l.back && order[state] < order[before] {
						t.Fatalf("%s went from %s to %s", k.ID, before, state)
					}
					was[k.ID] = state
				}
			},
			"minutes pass": func(t *rapid.T) {
				l.now = l.now.Add(time.Duration(rapid.SampledFrom([]int{1, 6, 14, 40}).Draw(t, "minutes")) * time.Minute)
			},
			"hours pass": func(t *rapid.T) { l.now = l.now.Add(time.Duration(rapid.IntRange(1, 60).Draw(t, "hours")) * time.Hour) },
			"the clock is set back": func(t *rapid.T) {
				if mayGoBack {
					l.back, l.now = true, l.now.Add(-time.Duration(rapid.SampledFrom([]int{1, 20, 300}).Draw(t, "minutes"))*time.Minute)
				}
			},
			"somebody rotates": func(*rapid.T) { l.keys = withNext(l.keys, l.next(), l.now) },
			"somebody withdraws a key": func(t *rapid.T) {
				i := rapid.IntRange(0, len(l.keys)-1).Draw(t, "key")
				if l.keys[i].StateAt(l.now) == authz.KeyGone {
					return
				}
				l.hurried = l.now
				until := l.keys[i].SignsUntil
				if until.IsZero() || l.now.Before(until) {
					until = l.now
				}
				defer func() {
					if got := l.keys[i].SignsUntil; got != until {
						t.Fatalf("it signed until %v, and the row says %v", until, got)
					}
				}()
				if !withdraw(l.keys, i, l.now) {
					l.keys = withNext(l.keys, l.next(), l.now)
				}
			},
			"a server does what is due": func(*rapid.T) {
				for i := range l.keys {
					if idle(l.keys[i], l.now) {
						l.keys[i].Sealed = nil
					}
				}
				if keys.due(l.keys, "ES256", l.now) {
					l.keys = withNext(l.keys, l.next(), l.now)
				}
				if keys.due(l.keys, "ES256", l.now) {
					t.Fatal("it is due again")
				}
			},
		})
	})
}

func TestEachKeySignsUntilTheNextOneBegins(t *testing.T) {
	at := func(minutes int) time.Time { return time.Date(2026, 11, 30, 9, minutes, 0, 0, time.UTC) }
	key := func(id string, from time.Time) authz.SigningKey {
		return authz.SigningKey{ID: id, Algorithm: "ES256", Sealed: []byte{1}, SignsFrom: from}
	}
	other := key("of another algorithm", at(0))
	other.Algorithm = "RS256"
	said := func(keys []authz.SigningKey) (all string) {
		for _, k := range keys {
			until := "on"
			if !k.SignsUntil.IsZero() {
				until = fmt.Sprint("to ", k.SignsUntil.Sub(at(0)).Minutes())
				if k.LeavesAt != k.SignsUntil.Add(25*time.Hour) {
					t.Errorf("%s leaves at %v", k.ID, k.LeavesAt)
				}
			}
			all += fmt.Sprintf("%s from %v %s. ", k.ID, k.SignsFrom.Sub(at(0)).Minutes(), until)
		}
		return all
	}
	keys := withNext([]authz.SigningKey{key("a", at(0)), other}, key("b", time.Time{}), at(10))
	if got, want := said(keys), "a from 0 to 25. of another algorithm from 0 on. b from 25 on. "; got != want {
		t.Errorf("replaced: %s", got)
	}
	if got, want := said(withNext(slices.Clone(keys), key("c", time.Time{}), at(20))), "a from 0 to 25. of another algorithm from 0 on. b from 25 to 35. c from 35 on. "; got != want {
		t.Errorf("replaced before it began: %s", got)
	}
	// The clock was set back to before the second was to begin, and the third begins first.
	if got, want := said(withNext(slices.Clone(keys), key("c", time.Time{}), at(5))), "a from 0 to 20. of another algorithm from 0 on. b from 20 to 20. c from 20 on. "; got != want {
		t.Errorf("replaced by a clock that was set back: %s", got)
	}
	if got, want := said(withNext(slices.Clone(keys[:1]), key("c", time.Time{}), at(-30))), "a from -30 to -15. c from -15 on. "; got != want {
		t.Errorf("replaced before it was made: %s", got)
	}
	ring := &keyring{byID: map[string]*openKey{}, signing: map[jose.SignatureAlgorithm][]*openKey{}}
	ring.add(&openKey{SigningKey: keys[0]})
	left := keys[0].LeavesAt
	if ring.verifier("a", left.Add(-time.Millisecond)) == nil || ring.verifier("a", left) != nil || ring.verifier("b", left) != nil {
		t.Error("what a key signed is not accepted until it is gone, and no longer")
	}
}

func TestTheStatesOfAKeyFollowFromItsTimes(t *testing.T) {
	at := func(minutes int) time.Time { return time.Date(2026, 11, 30, 9, minutes, 0, 0, time.UTC) }
	key := authz.SigningKey{SignsFrom: at(10), SignsUntil: at(20), LeavesAt: at(30)}
	last, withdrawn := key, key
	last.SignsUntil, last.LeavesAt = time.Time{}, time.Time{}
	withdrawn.WithdrawnAt = at(40) // by a clock that was ahead
	for minute, want := range map[int][3]authz.KeyState{
		9: {authz.KeyPending, authz.KeyPending, authz.KeyGone}, 10: {authz.KeyActive, authz.KeyActive, authz.KeyGone}, 19: {authz.KeyActive, authz.KeyActive, authz.KeyGone},
		20: {authz.KeyRetiring, authz.KeyActive, authz.KeyGone}, 29: {authz.KeyRetiring, authz.KeyActive, authz.KeyGone}, 30: {authz.KeyGone, authz.KeyActive, authz.KeyGone},
	} {
		if got := [3]authz.KeyState{key.StateAt(at(minute)), last.StateAt(at(minute)), withdrawn.StateAt(at(minute))}; got != want {
			t.Errorf("at %d: %v, want %v", minute, got, want)
		}
	}
}
