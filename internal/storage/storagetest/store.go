package storagetest

import (
	"context"
	"errors"

	"countersign.dev/internal/authz"
)

var storeCases = []testCase{
	{"a ping succeeds on a new database, twice", func(b *bench) {
		b.ok(b.store.Ping(b.Context()))
		b.ok(b.store.Ping(b.Context()))
	}},
	{"a write whose caller has gone does not happen", func(b *bench) {
		gone, cancel := context.WithCancel(b.Context())
		cancel()
		r := b.request()
		b.refused(b.store.CreateDeviceRequest(gone, r), context.Canceled)
		_, err := b.store.DeviceRequest(b.Context(), r.DeviceCode)
		b.refused(err, authz.ErrNotFound)
		b.ok(b.store.CreateDeviceRequest(b.Context(), r))
	}},
	{"nothing is found by what no database keeps", func(b *bench) {
		a, i := b.account()
		for _, key := range []string{"a\x00", "\xff"} {
			for what, look := range map[string]func() error{
				"Client":              func() error { _, err := b.store.Client(b.Context(), key); return err },
				"RemoveClient":        func() error { return b.store.RemoveClient(b.Context(), key, at(1)) },
				"DeviceRequestByID":   func() error { _, err := b.store.DeviceRequestByID(b.Context(), key); return err },
				"OpenDeviceRequest":   func() error { return claim(b, b.store, key, a.ID, at(1)) },
				"CancelDeviceRequest": func() error { return b.store.CancelDeviceRequest(b.Context(), key, at(1)) },
				"DenyDeviceRequest": func() error {
					return b.store.DenyDeviceRequest(b.Context(), authz.Denial{RequestID: key, AccountID: a.ID, Unclaimed: true, At: at(1), Event: anyEvent, Keep: plenty})
				},
				"Account":    func() error { _, err := b.store.Account(b.Context(), key); return err },
				"Identity":   func() error { _, err := b.store.Identity(b.Context(), key); return err },
				"SetProfile": func() error { return b.store.SetProfile(b.Context(), key, authz.Profile{}, anyEvent) },
				"EndSession": func() error { return b.store.EndSession(b.Context(), a.ID, key, at(1), anyEvent) },
				"Grant":      func() error { _, err := b.store.Grant(b.Context(), key); return err },
				"LiveGrant":  func() error { _, _, err := b.store.LiveGrant(b.Context(), key, at(1)); return err },
				"RevokeGrant": func() error {
					return b.store.RevokeGrant(b.Context(), authz.Revocation{GrantID: key, At: at(1), Event: anyEvent})
				},
				"Receipt":       func() error { _, err := b.store.Receipt(b.Context(), key); return err },
				"Passkey":       func() error { _, err := b.store.Passkey(b.Context(), key); return err },
				"RemovePasskey": func() error { return b.store.RemovePasskey(b.Context(), a.ID, key, at(1), anyEvent) },
				"RemoveIdentity": func() error {
					return b.store.RemoveIdentity(b.Context(), authz.IdentityRemoval{AccountID: a.ID, BAPID: key, Signer: i.BAPID, At: at(1), Event: anyEvent, Keep: plenty})
				},
				"LinkIdentity": func() error { return b.store.LinkIdentity(b.Context(), b.newIdentity(a.ID), key, many, anyEvent) },
				"Backup":       func() error { _, err := b.store.Backup(b.Context(), a.ID, key); return err },
				"RemoveBackup": func() error { return b.store.RemoveBackup(b.Context(), a.ID, key, i.BAPID, anyEvent) },
				"SaveBackup": func() error {
					return b.store.SaveBackup(b.Context(), authz.Backup{AccountID: a.ID, BAPID: key}, i.BAPID, anyEvent)
				},
			} {
				if err := look(); !errors.Is(err, authz.ErrNotFound) {
					b.Errorf("%s of %q: %v", what, key, err)
				}
			}
			all, err := b.store.Identities(b.Context(), key, many)
			b.ok(err)
			b.same(len(all), 0)
			departures, err := b.store.Departures(b.Context(), key, many)
			b.ok(err)
			b.same(len(departures), 0)
			_, err = b.store.Identity(b.Context(), i.BAPID)
			b.ok(err)
		}
	}},
	{"a call that is cancelled on the way happened or did not, as it says", cancelledOnTheWay},
	{"close waits for the writes under way, and what it let through is kept", closeWaits},
	{"what was acknowledged survives a restart", everythingSurvives},
	{"another server sees what was acknowledged, at once", func(b *bench) {
		other := b.connect()
		for range 20 {
			r := b.pending()
			got, err := other.DeviceRequest(b.Context(), r.DeviceCode)
			b.ok(err)
			b.same(got, r)
			b.ok(claim(b, other, r.ID, "account", at(1)))
			got, err = b.store.DeviceRequestByID(b.Context(), r.ID)
			b.ok(err)
			b.same(got.AccountID, "account")
		}
	}},
	{"what another server stored is in use, can be claimed, decided and redeemed", func(b *bench) {
		other := b.connect()
		b.kept(b.pending()) // this server has looked at the table already
		_, identity := b.account()
		r := b.request()
		b.ok(other.CreateDeviceRequest(b.Context(), r))
		thief := b.request()
		thief.UserCode = r.UserCode
		b.refused(b.store.CreateDeviceRequest(b.Context(), thief), authz.ErrExists)
		b.kept(r)
		for i, step := range []func(authz.DeviceRequest) error{
			func(r authz.DeviceRequest) error {
				return claim(b, b.store, r.ID, identity.AccountID, at(1))
			},
			func(r authz.DeviceRequest) error {
				return b.store.ApproveDeviceRequest(b.Context(), b.approval(r, identity))
			},
			func(r authz.DeviceRequest) error {
				return b.store.DenyDeviceRequest(b.Context(), authz.Denial{RequestID: r.ID, AccountID: "a", Unclaimed: true, At: at(1), Event: anyEvent, Keep: plenty})
			},
			func(r authz.DeviceRequest) error {
				b.ok(approve(b, r, identity.AccountID, true, at(2)))
				return b.store.RedeemDeviceRequest(b.Context(), authz.Redemption{DeviceCode: r.DeviceCode, ClientID: r.ClientID, At: at(3)})
			},
		} {
			fresh := b.request()
			b.ok(other.CreateDeviceRequest(b.Context(), fresh))
			if err := step(fresh); err != nil {
				b.Fatalf("step %d: %v", i, err)
			}
		}
	}},
	{"D-40 of concurrent requests with one user code on two servers one succeeds", func(b *bench) {
		stores := []authz.Store{b.store, b.connect()}
		requests := make([]authz.DeviceRequest, 32)
		for i := range requests {
			requests[i] = b.request()
			requests[i].UserCode = requests[0].UserCode
		}
		errs := race(len(requests), func(i int) error { return stores[i%2].CreateDeviceRequest(b.Context(), requests[i]) })
		b.count(errs, 1, is(authz.ErrExists))
	}},
	{"two servers that write at once do not disturb each other", func(b *bench) {
		stores := []authz.Store{b.store, b.connect()}
		requests := make([]authz.DeviceRequest, 64)
		for i := range requests {
			requests[i] = b.request()
		}
		errs := race(len(requests), func(i int) error { return stores[i%2].CreateDeviceRequest(b.Context(), requests[i]) })
		b.count(errs, len(requests), func(error) bool { return false })
		for i, r := range requests {
			got, err := stores[(i+1)%2].DeviceRequestByUserCode(b.Context(), r.UserCode)
			b.ok(err)
			b.same(got, r)
		}
	}},
}

// cancelledOnTheWay cancels many calls while they are queued or running. Each
// answer must be the truth.
func cancelledOnTheWay(b *bench) {
	requests := make([]authz.DeviceRequest, many)
	for i := range requests {
		requests[i] = b.request()
	}
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	errs := race(len(requests), func(i int) error {
		if i == len(requests)/2 {
			cancel()
		}
		return b.store.CreateDeviceRequest(ctx, requests[i])
	})
	for i, r := range requests {
		_, err := b.store.DeviceRequest(b.Context(), r.DeviceCode)
		switch {
		case errs[i] == nil:
			b.ok(err)
		case errors.Is(errs[i], context.Canceled):
			b.refused(err, authz.ErrNotFound)
		default:
			b.Fatalf("got error %v, want none or context.Canceled", errs[i])
		}
	}
}

// closeWaits closes a storage under load: a write is refused or kept.
func closeWaits(b *bench) {
	requests := make([]authz.DeviceRequest, 64)
	for i := range requests {
		requests[i] = b.request()
	}
	store := b.store
	errs := race(len(requests)+1, func(i int) error {
		if i == len(requests) {
			return store.Close()
		}
		return store.CreateDeviceRequest(b.Context(), requests[i])
	})
	b.ok(errs[len(requests)])
	b.store = b.connect()
	for i, r := range requests {
		_, err := b.store.DeviceRequest(b.Context(), r.DeviceCode)
		if errs[i] == nil {
			b.ok(err)
		} else {
			b.refused(err, authz.ErrNotFound)
		}
	}
}

// everythingSurvives stores one of each kind and restarts.
func everythingSurvives(b *bench) {
	ctx := b.Context()
	client := b.client()
	b.ok(b.store.AddClient(ctx, client))
	a := b.approved()
	token := authz.RefreshToken{Token: b.hash(), GrantID: a.grant.ID, ExpiresAt: at(600)}
	b.ok(b.store.RedeemDeviceRequest(ctx, authz.Redemption{
		DeviceCode: a.request.DeviceCode, ClientID: a.request.ClientID, At: at(20), RefreshToken: &token,
	}))
	session, review := b.session(a.identity), b.review()
	b.ok(b.store.CreateSession(ctx, authz.NewSession{Session: session, Event: anyEvent, Keep: plenty}))
	b.ok(b.store.CreateReview(ctx, review, plenty))
	keys, err := b.store.AddSigningKeys(ctx, []authz.SigningKey{b.key("ES256")})
	b.ok(err)
	used := b.hash()
	b.ok(b.store.UseOnce(ctx, used, at(0), at(60)))
	b.ok(b.store.CountGuesses(ctx, []string{"subject"}, at(0)))
	opened := b.pending()
	b.opened(opened, "alice", b.hash(), 1, 1)
	b.report("alice", at(1), "client:a")

	b.reopen()

	b.opened(opened, "bob", b.hash(), 2, 2)
	b.reports(at(0), map[string]int{"client:a": 1})

	gotClient, err := b.store.Client(ctx, client.ID)
	b.ok(err)
	b.same(gotClient, client)
	gotRequest, err := b.store.DeviceRequest(ctx, a.request.DeviceCode)
	b.ok(err)
	b.same(gotRequest.State, authz.Redeemed)
	gotGrant, gotIdentity, err := b.store.LiveGrant(ctx, a.grant.ID, at(21))
	b.ok(err)
	b.same(gotGrant.LastUsedAt, at(20))
	b.same(gotIdentity, a.identity)
	gotReceipt, err := b.store.Receipt(ctx, a.grant.ID)
	b.ok(err)
	b.same(gotReceipt, a.receipt)
	gotToken, err := b.store.RefreshToken(ctx, token.Token, at(21))
	b.ok(err)
	b.same(gotToken, token)
	gotSession, err := b.store.Session(ctx, session.Token, at(21))
	b.ok(err)
	b.same(gotSession, session)
	gotReview, err := b.store.TakeReview(ctx, review.ID, review.Session, at(21))
	b.ok(err)
	b.same(gotReview, review)
	gotKeys, err := b.store.SigningKeys(ctx)
	b.ok(err)
	b.same(gotKeys, keys)
	b.refused(b.store.UseOnce(ctx, used, at(21), at(90)), authz.ErrExists)
	failures, err := b.store.Guesses(ctx, []string{"subject"}, at(0))
	b.ok(err)
	b.same(failures, []int{1})
}
