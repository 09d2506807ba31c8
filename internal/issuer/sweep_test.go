package issuer_test

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"countersign.dev/bitcoinauth"
	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/account"
	"countersign.dev/internal/authz/contract"
)

func TestA11_ASignedRequestCountsOnceThoughAServerThatSweepsIsAhead(t *testing.T) {
	w := newWorld(t, t.TempDir())
	token, err := bitcoinauth.Sign(w.keys[0], bitcoinauth.Signing{Path: "/sign-in", Body: []byte("x"), Time: w.clock.Now()})
	if err != nil {
		t.Fatal(err)
	}
	signIn := func() error {
		_, err := w.service.Accounts.SignIn(t.Context(), account.SignInRequest{SignedRequest: authz.SignedRequest{Token: token, Path: "/sign-in", Body: []byte("x")}})
		return err
	}
	if err := signIn(); err != nil {
		t.Fatal(err)
	}
	for _, ahead := range []time.Duration{time.Second, 5 * time.Minute, 14 * time.Minute} {
		w.clock.advance(ahead)
		if err := w.at(1).Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.clock.advance(-ahead)
		if err := signIn(); !errors.Is(err, authz.Unauthorized) {
			t.Errorf("after a sweep %v ahead: %v", ahead, err)
		}
	}
}

func TestA11_WhatIsOverIsRemovedAtLast(t *testing.T) {
	w := newWorld(t, t.TempDir())
	w.clock.advance(24*time.Hour + 16*time.Minute) // the sessions of its owners last a day
	if err := w.service.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.clock.advance(-17 * time.Minute)
	sessions, err := w.service.Accounts.Sessions(t.Context(), w.owners[0])
	if err != nil || len(sessions) != 0 {
		t.Errorf("%d sessions are kept: %v", len(sessions), err)
	}
}

// Sweep goes on until nothing is over.
func TestASweepLeavesNothingBehindAFullBatch(t *testing.T) {
	w := newWorld(t, t.TempDir())
	began := w.clock.Now()
	used := func(n int) {
		var together sync.WaitGroup
		for i := range n {
			together.Go(func() {
				if err := w.store.UseOnce(t.Context(), sha256.Sum256([]byte(fmt.Sprint(w.clock.Now(), i))), began, w.clock.Now().Add(time.Second)); err != nil {
					t.Error(err)
				}
			})
		}
		together.Wait()
	}
	times := func() contract.SweepTimes { return contract.SweepTimes{Rest: w.clock.Now()} }
	w.clock.advance(48 * time.Hour) // all that there was is over
	if err := w.service.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{500, 501, 1001} {
		used(n)
		w.clock.advance(time.Hour)
		if err := w.service.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		if left, err := w.store.Sweep(t.Context(), times(), 2000); left != 0 || err != nil {
			t.Errorf("%d of %d are left: %v", left, n, err)
		}
	}
}
