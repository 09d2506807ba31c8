package storagetest

import (
	"countersign.dev/internal/authz"
)

// few is what is kept where a case is about how many are.
var few = authz.KeepAtMost(10)

var keepCases = []testCase{
	{"what there is far more of than is kept is forgotten bit by bit", func(b *bench) {
		a, i := b.account()
		bits := authz.Keep{Most: 2, AtOnce: 3}
		for range 8 {
			b.happening(i, b.event(a.ID))
			b.ok(b.store.CreateSession(b.Context(), authz.NewSession{Session: b.session(i), Event: anyEvent, Keep: plenty}))
			b.report(a.ID, at(1), b.word("client"))
		}
		e := b.event(a.ID)
		e.Keep = bits
		b.happening(i, e)
		told, err := b.store.Events(b.Context(), a.ID, authz.Position{}, 100)
		b.ok(err)
		b.same(len(told), 8+1-bits.AtOnce)
		b.ok(b.store.CreateSession(b.Context(), authz.NewSession{Session: b.session(i), Event: anyEvent, Keep: bits}))
		sessions, err := b.store.Sessions(b.Context(), a.ID, at(0), many)
		b.ok(err)
		b.same(len(sessions), 8+1-bits.AtOnce)
		b.reportKeeping(bits, a.ID, at(1), "client-last")
		reported, err := b.store.Reported(b.Context(), "", 1, at(0))
		b.ok(err)
		b.same(len(reported), 8+1-bits.AtOnce)
	}},
	{"an operation that does not say how many are kept fails, and changes nothing", func(b *bench) {
		o := b.everything()
		before := b.keptOf(o)
		for what, do := range b.keepless(o) {
			if err := do(); err == nil || authz.Promised(err) {
				b.Errorf("%s: %v", what, err)
			}
		}
		for _, k := range []authz.Keep{{}, {Most: 1}, {AtOnce: 1}} {
			if err := b.store.CreateReview(b.Context(), b.review(), k); err == nil {
				b.Errorf("a review was stored with %v", k)
			}
		}
		b.same(b.keptOf(o), before)
		b.ok(b.store.CreateReview(b.Context(), b.review(), authz.Keep{Most: 1, AtOnce: 1}))
		b.reports(at(0), map[string]int{"client:a": 0})
	}},
}

// keepless is everything that stores what is kept up to a number, without it.
func (b *bench) keepless(o belongings) map[string]func() error {
	ctx, account, i := b.Context(), o.identity.AccountID, o.identity
	event := b.event(account)
	silent := authz.NewEvent{Event: b.event(account).Event}
	approval, denial := b.approval(o.opened, i), authz.Denial{RequestID: o.opened.ID, AccountID: account, At: at(1), Keep: plenty, Event: event}
	begun := authz.NewSession{Session: b.session(i), Keep: plenty, Event: event}
	removal := b.removal(o.second, i)
	over := authz.Revocation{GrantID: o.issued.grant.ID, At: at(40), Event: event, AccountID: account, Reported: []string{"client:a"}, Reporter: account}
	return map[string]func() error{
		"approving, of grants": func() error { a := approval; a.Keep = authz.Keep{}; return b.store.ApproveDeviceRequest(ctx, a) },
		"approving":            func() error { a := approval; a.Event = silent; return b.store.ApproveDeviceRequest(ctx, a) },
		"denying":              func() error { d := denial; d.Event = silent; return b.store.DenyDeviceRequest(ctx, d) },
		"denying, of reports": func() error {
			d := denial
			d.Reported, d.Keep = []string{"client:a"}, authz.Keep{}
			return b.store.DenyDeviceRequest(ctx, d)
		},
		"linking":                 func() error { return b.store.LinkIdentity(ctx, b.newIdentity(account), i.BAPID, many, silent) },
		"removing, of departures": func() error { r := removal; r.Keep = authz.Keep{}; return b.store.RemoveIdentity(ctx, r) },
		"removing":                func() error { r := removal; r.Event = silent; return b.store.RemoveIdentity(ctx, r) },
		"setting a profile":       func() error { return b.store.SetProfile(ctx, i.BAPID, authz.Profile{Name: "new"}, silent) },
		"signing in, of sessions": func() error { n := begun; n.Keep = authz.Keep{}; return b.store.CreateSession(ctx, n) },
		"signing in":              func() error { n := begun; n.Event = silent; return b.store.CreateSession(ctx, n) },
		"signing out":             func() error { return b.store.DeleteSession(ctx, o.session.Token, silent) },
		"ending a session":        func() error { return b.store.EndSession(ctx, account, o.session.ID, at(1), silent) },
		"ending other sessions": func() error {
			_, err := b.store.EndOtherSessions(ctx, account, o.session.Token, at(1), silent)
			return err
		},
		"revoking, of reports": func() error { return b.store.RevokeGrant(ctx, over) },
		"revoking":             func() error { r := over; r.Event, r.Keep = silent, plenty; return b.store.RevokeGrant(ctx, r) },
		"revoking all":         func() error { _, err := b.store.RevokeGrants(ctx, account, at(40), silent); return err },
		"reusing a token": func() error {
			return b.store.RotateRefreshToken(ctx, authz.Rotation{Token: o.first.Token, Successor: o.token, At: at(31), Reuse: silent})
		},
		"adding a passkey":   func() error { return b.store.AddPasskey(ctx, b.passkey(i), many, silent) },
		"removing a passkey": func() error { return b.store.RemovePasskey(ctx, account, o.passkey.ID, at(40), silent) },
		"saving a backup":    func() error { return b.store.SaveBackup(ctx, b.backup(i), i.BAPID, silent) },
		"removing a backup":  func() error { return b.store.RemoveBackup(ctx, account, i.BAPID, i.BAPID, silent) },
	}
}
