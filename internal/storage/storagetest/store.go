package storagetest

import (
	"context"
	"errors"
	"time"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/contract"
)

var storeCases = []testCase{
	{"a ping succeeds on a new database, twice", func(f *fixture) {
		f.ok(f.store.Ping(f.Context()))
		f.ok(f.store.Ping(f.Context()))
	}},
	{"a write whose caller has gone does not happen", func(f *fixture) {
		gone, cancel := context.WithCancel(f.Context())
		cancel()
		r := f.request()
		f.refused(f.store.CreateDeviceRequest(gone, r), context.Canceled)
		_, err := f.store.DeviceRequest(f.Context(), r.DeviceCode)
		f.refused(err, contract.ErrNotFound)
		f.ok(f.store.CreateDeviceRequest(f.Context(), r))
	}},
	{"nothing is found by what no database keeps", func(f *fixture) {
		a, i := f.account()
		for _, key := range []string{"a\x00", "\xff"} {
			for what, look := range map[string]func() error{
				"Client":              func() error { _, err := f.store.Client(f.Context(), key); return err },
				"RemoveClient":        func() error { return f.store.RemoveClient(f.Context(), key, at(1)) },
				"DeviceRequestByID":   func() error { _, err := f.store.DeviceRequestByID(f.Context(), key); return err },
				"OpenDeviceRequest":   func() error { return claim(f, f.store, key, a.ID, at(1)) },
				"CancelDeviceRequest": func() error { return f.store.CancelDeviceRequest(f.Context(), key, at(1)) },
				"DenyDeviceRequest": func() error {
					return f.store.DenyDeviceRequest(f.Context(), contract.Denial{RequestID: key, AccountID: a.ID, Unclaimed: true, At: at(1), Event: anyEvent, Keep: plenty})
				},
				"Account":    func() error { _, err := f.store.Account(f.Context(), key); return err },
				"Identity":   func() error { _, err := f.store.Identity(f.Context(), key); return err },
				"SetProfile": func() error { return f.store.SetProfile(f.Context(), key, authz.Profile{}, anyEvent) },
				"EndSession": func() error { return f.store.EndSession(f.Context(), a.ID, key, at(1), anyEvent) },
				"Grant":      func() error { _, err := f.store.Grant(f.Context(), key); return err },
				"GrantAlive": func() error { _, err := f.store.GrantAlive(f.Context(), key, at(1)); return err },
				"LiveGrant":  func() error { _, _, err := f.store.LiveGrant(f.Context(), key, at(1)); return err },
				"RevokeGrant": func() error {
					return f.store.RevokeGrant(f.Context(), contract.Revocation{GrantID: key, At: at(1), Event: anyEvent})
				},
				"Consent":       func() error { _, err := f.store.Consent(f.Context(), a.ID, key, i.BAPID, at(1)); return err },
				"ForgetConsent": func() error { return f.store.ForgetConsent(f.Context(), a.ID, key) },
				"Receipt":       func() error { _, err := f.store.Receipt(f.Context(), key); return err },
				"Passkey":       func() error { _, err := f.store.Passkey(f.Context(), key); return err },
				"RemovePasskey": func() error { return f.store.RemovePasskey(f.Context(), a.ID, key, at(1), anyEvent) },
				"RemoveIdentity": func() error {
					return f.store.RemoveIdentity(f.Context(), contract.IdentityRemoval{AccountID: a.ID, BAPID: key, Signer: i.BAPID, At: at(1), Event: anyEvent, Keep: plenty})
				},
				"LinkIdentity": func() error { return f.store.LinkIdentity(f.Context(), f.newIdentity(a.ID), key, many, anyEvent) },
				"Backup":       func() error { _, err := f.store.Backup(f.Context(), a.ID, key); return err },
				"RemoveBackup": func() error { return f.store.RemoveBackup(f.Context(), a.ID, key, i.BAPID, anyEvent) },
				"SaveBackup": func() error {
					return f.store.SaveBackup(f.Context(), authz.Backup{AccountID: a.ID, BAPID: key}, i.BAPID, anyEvent)
				},
			} {
				if err := look(); !errors.Is(err, contract.ErrNotFound) {
					f.Errorf("%s of %q: %v", what, key, err)
				}
			}
			all, err := f.store.Identities(f.Context(), key, many)
			f.ok(err)
			f.same(len(all), 0)
			departures, err := f.store.Departures(f.Context(), key, many)
			f.ok(err)
			f.same(len(departures), 0)
			_, err = f.store.Identity(f.Context(), i.BAPID)
			f.ok(err)
		}
	}},
	{"a call that is cancelled on the way happened or did not, as it says", cancelledOnTheWay},
	{"close waits for the writes under way, and what it let through is kept", closeWaits},
	{"what was acknowledged survives a restart", everythingSurvives},
	{"another server sees what was acknowledged, at once", func(f *fixture) {
		other := f.connect()
		for range 20 {
			r := f.pending()
			got, err := other.DeviceRequest(f.Context(), r.DeviceCode)
			f.ok(err)
			f.same(got, r)
			f.ok(claim(f, other, r.ID, "account", at(1)))
			got, err = f.store.DeviceRequestByID(f.Context(), r.ID)
			f.ok(err)
			f.same(got.AccountID, "account")
		}
	}},
	{"what another server stored is in use, can be claimed, decided and redeemed", func(f *fixture) {
		other := f.connect()
		f.kept(f.pending()) // this server has looked at the table already
		_, identity := f.account()
		r := f.request()
		f.ok(other.CreateDeviceRequest(f.Context(), r))
		thief := f.request()
		thief.UserCode = r.UserCode
		f.refused(f.store.CreateDeviceRequest(f.Context(), thief), contract.ErrExists)
		f.kept(r)
		for i, step := range []func(authz.DeviceRequest) error{
			func(r authz.DeviceRequest) error {
				return claim(f, f.store, r.ID, identity.AccountID, at(1))
			},
			func(r authz.DeviceRequest) error {
				return f.store.ApproveDeviceRequest(f.Context(), f.approval(r, identity))
			},
			func(r authz.DeviceRequest) error {
				return f.store.DenyDeviceRequest(f.Context(), contract.Denial{RequestID: r.ID, AccountID: "a", Unclaimed: true, At: at(1), Event: anyEvent, Keep: plenty})
			},
			func(r authz.DeviceRequest) error {
				f.ok(approve(f, r, identity.AccountID, true, at(2)))
				return f.store.RedeemDeviceRequest(f.Context(), contract.Redemption{DeviceCode: r.DeviceCode, ClientID: r.ClientID, At: at(3)})
			},
		} {
			fresh := f.request()
			f.ok(other.CreateDeviceRequest(f.Context(), fresh))
			if err := step(fresh); err != nil {
				f.Fatalf("step %d: %v", i, err)
			}
		}
	}},
	{"D-40 of concurrent requests with one user code on two servers one succeeds", func(f *fixture) {
		stores := []contract.Store{f.store, f.connect()}
		requests := make([]authz.DeviceRequest, 32)
		for i := range requests {
			requests[i] = f.request()
			requests[i].UserCode = requests[0].UserCode
		}
		errs := race(len(requests), func(i int) error { return stores[i%2].CreateDeviceRequest(f.Context(), requests[i]) })
		f.count(errs, 1, is(contract.ErrExists))
	}},
	{"two servers that write at once do not disturb each other", func(f *fixture) {
		stores := []contract.Store{f.store, f.connect()}
		requests := make([]authz.DeviceRequest, 64)
		for i := range requests {
			requests[i] = f.request()
		}
		errs := race(len(requests), func(i int) error { return stores[i%2].CreateDeviceRequest(f.Context(), requests[i]) })
		f.count(errs, len(requests), func(error) bool { return false })
		for i, r := range requests {
			got, err := stores[(i+1)%2].DeviceRequestByUserCode(f.Context(), r.UserCode)
			f.ok(err)
			f.same(got, r)
		}
	}},
}

// cancelledOnTheWay cancels many calls while they are queued or running. Each
// answer must be the truth.
func cancelledOnTheWay(f *fixture) {
	requests := make([]authz.DeviceRequest, many)
	for i := range requests {
		requests[i] = f.request()
	}
	ctx, cancel := context.WithCancel(f.Context())
	defer cancel()
	errs := race(len(requests), func(i int) error {
		if i == len(requests)/2 {
			cancel()
		}
		return f.store.CreateDeviceRequest(ctx, requests[i])
	})
	for i, r := range requests {
		_, err := f.store.DeviceRequest(f.Context(), r.DeviceCode)
		switch {
		case errs[i] == nil:
			f.ok(err)
		case errors.Is(errs[i], context.Canceled):
			f.refused(err, contract.ErrNotFound)
		default:
			f.Fatalf("got error %v, want none or context.Canceled", errs[i])
		}
	}
}

// closeWaits closes a storage under load: a write is refused or kept.
func closeWaits(f *fixture) {
	requests := make([]authz.DeviceRequest, 64)
	for i := range requests {
		requests[i] = f.request()
	}
	store := f.store
	errs := race(len(requests)+1, func(i int) error {
		if i == len(requests) {
			return store.Close()
		}
		return store.CreateDeviceRequest(f.Context(), requests[i])
	})
	f.ok(errs[len(requests)])
	f.store = f.connect()
	for i, r := range requests {
		_, err := f.store.DeviceRequest(f.Context(), r.DeviceCode)
		if errs[i] == nil {
			f.ok(err)
		} else {
			f.refused(err, contract.ErrNotFound)
		}
	}
}

// everythingSurvives stores one of each kind and restarts.
func everythingSurvives(f *fixture) {
	ctx := f.Context()
	client := f.client()
	f.ok(f.store.AddClient(ctx, client))
	a := f.approved()
	token := authz.RefreshToken{Token: f.hash(), GrantID: a.grant.ID, ExpiresAt: at(600)}
	f.ok(f.store.RedeemDeviceRequest(ctx, contract.Redemption{
		DeviceCode: a.request.DeviceCode, ClientID: a.request.ClientID, At: at(20), RefreshToken: &token,
	}))
	session, review := f.session(a.identity), f.review()
	f.ok(f.store.CreateSession(ctx, contract.NewSession{Session: session, Event: anyEvent, Keep: plenty}))
	f.ok(f.store.CreateReview(ctx, review, plenty))
	keys := f.changeKeys(f.key("ES256"))
	used := f.hash()
	f.ok(f.store.UseOnce(ctx, used, at(0), at(60)))
	f.ok(f.store.CountGuesses(ctx, []string{"subject"}, at(0)))
	opened := f.pending()
	f.opened(opened, "alice", f.hash(), 1, 1)
	f.report("alice", at(1), "client:a")

	f.reopen()

	f.opened(opened, "bob", f.hash(), 2, 2)
	f.reports(at(0), map[string]int{"client:a": 1})

	gotClient, err := f.store.Client(ctx, client.ID)
	f.ok(err)
	f.same(gotClient, client)
	gotRequest, err := f.store.DeviceRequest(ctx, a.request.DeviceCode)
	f.ok(err)
	f.same(gotRequest.State, authz.Redeemed)
	gotGrant, gotIdentity, err := f.store.LiveGrant(ctx, a.grant.ID, at(21))
	f.ok(err)
	f.same(gotGrant.LastUsedAt, at(20))
	f.same(gotIdentity, a.identity)
	gotReceipt, err := f.store.Receipt(ctx, a.grant.ID)
	f.ok(err)
	f.same(gotReceipt, a.receipt)
	gotToken, err := f.store.RefreshToken(ctx, token.Token, at(21))
	f.ok(err)
	f.same(gotToken, token)
	gotSession, err := f.store.Session(ctx, session.Token, at(21))
	f.ok(err)
	f.same(gotSession, session)
	gotReview, err := f.store.TakeReview(ctx, review.ID, review.Session, at(21))
	f.ok(err)
	f.same(gotReview, review)
	f.same(f.keysAt(time.Time{}), keys)
	f.refused(f.store.UseOnce(ctx, used, at(21), at(90)), contract.ErrExists)
	failures, err := f.store.Guesses(ctx, []string{"subject"}, at(0))
	f.ok(err)
	f.same(failures, []int{1})
}
