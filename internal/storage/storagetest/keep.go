package storagetest

import (
	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/contract"
)

// few is what is kept where a case is about how many are.
var few = contract.KeepAtMost(10)

var keepCases = []testCase{
	{"what there is far more of than is kept is forgotten bit by bit", func(f *fixture) {
		a, i := f.account()
		bits := contract.Keep{Most: 2, AtOnce: 3}
		for range 8 {
			f.happening(i, f.event(a.ID))
			f.ok(f.store.CreateSession(f.Context(), contract.NewSession{Session: f.session(i), Event: anyEvent, Keep: plenty}))
			f.report(a.ID, at(1), f.word("client"))
		}
		e := f.event(a.ID)
		e.Keep = bits
		f.happening(i, e)
		told, err := f.store.Events(f.Context(), a.ID, contract.Position{}, 100)
		f.ok(err)
		f.same(len(told), 8+1-bits.AtOnce)
		f.ok(f.store.CreateSession(f.Context(), contract.NewSession{Session: f.session(i), Event: anyEvent, Keep: bits}))
		sessions, err := f.store.Sessions(f.Context(), a.ID, at(0), many)
		f.ok(err)
		f.same(len(sessions), 8+1-bits.AtOnce)
		f.reportKeeping(bits, a.ID, at(1), "client-last")
		reported, err := f.store.Reported(f.Context(), "", 1, at(0))
		f.ok(err)
		f.same(len(reported), 8+1-bits.AtOnce)
	}},
	{"an operation that does not say how many are kept fails, and changes nothing", func(f *fixture) {
		o := f.everything()
		before := f.keptOf(o)
		for what, do := range f.keepless(o) {
			if err := do(); err == nil || contract.Promised(err) {
				f.Errorf("%s: %v", what, err)
			}
		}
		for _, k := range []contract.Keep{{}, {Most: 1}, {AtOnce: 1}} {
			if err := f.store.CreateReview(f.Context(), f.review(), k); err == nil {
				f.Errorf("a review was stored with %v", k)
			}
		}
		f.same(f.keptOf(o), before)
		f.ok(f.store.CreateReview(f.Context(), f.review(), contract.Keep{Most: 1, AtOnce: 1}))
		f.reports(at(0), map[string]int{"client:a": 0})
	}},
}

// keepless is everything that stores what is kept up to a number, without it.
func (f *fixture) keepless(o belongings) map[string]func() error {
	ctx, account, i := f.Context(), o.identity.AccountID, o.identity
	event := f.event(account)
	silent := contract.NewEvent{Event: f.event(account).Event}
	approval, denial := f.approval(o.opened, i), contract.Denial{RequestID: o.opened.ID, AccountID: account, At: at(1), Keep: plenty, Event: event}
	begun := contract.NewSession{Session: f.session(i), Keep: plenty, Event: event}
	removal := f.removal(o.second, i)
	over := contract.Revocation{GrantID: o.issued.grant.ID, At: at(40), Event: event, AccountID: account, Reported: []string{"client:a"}, Reporter: account}
	return map[string]func() error{
		"approving, of grants": func() error { a := approval; a.Keep = contract.Keep{}; return f.store.ApproveDeviceRequest(ctx, a) },
		"approving, of consents": func() error {
			a := approval
			a.Consent = &authz.Consent{AccountID: account, GrantID: a.Grant.ID}
			return f.store.ApproveDeviceRequest(ctx, a)
		},
		"letting in": func() error {
			a := f.lettingInOpened(o)
			a.LetIn.Keep = contract.Keep{}
			return f.store.ApproveDeviceRequest(ctx, a)
		},
		"approving": func() error { a := approval; a.Event = silent; return f.store.ApproveDeviceRequest(ctx, a) },
		"denying":   func() error { d := denial; d.Event = silent; return f.store.DenyDeviceRequest(ctx, d) },
		"denying, of reports": func() error {
			d := denial
			d.Reported, d.Keep = []string{"client:a"}, contract.Keep{}
			return f.store.DenyDeviceRequest(ctx, d)
		},
		"linking":                 func() error { return f.store.LinkIdentity(ctx, f.newIdentity(account), i.BAPID, many, silent) },
		"removing, of departures": func() error { r := removal; r.Keep = contract.Keep{}; return f.store.RemoveIdentity(ctx, r) },
		"removing":                func() error { r := removal; r.Event = silent; return f.store.RemoveIdentity(ctx, r) },
		"setting a profile":       func() error { return f.store.SetProfile(ctx, i.BAPID, authz.Profile{Name: "new"}, silent) },
		"signing in, of sessions": func() error { n := begun; n.Keep = contract.Keep{}; return f.store.CreateSession(ctx, n) },
		"signing in":              func() error { n := begun; n.Event = silent; return f.store.CreateSession(ctx, n) },
		"signing out":             func() error { return f.store.DeleteSession(ctx, o.session.Token, silent) },
		"ending a session":        func() error { return f.store.EndSession(ctx, account, o.session.ID, at(1), silent) },
		"ending other sessions": func() error {
			_, err := f.store.EndOtherSessions(ctx, account, o.session.Token, at(1), silent)
			return err
		},
		"revoking, of reports": func() error { return f.store.RevokeGrant(ctx, over) },
		"revoking":             func() error { r := over; r.Event, r.Keep = silent, plenty; return f.store.RevokeGrant(ctx, r) },
		"revoking all":         func() error { _, err := f.store.RevokeGrants(ctx, account, at(40), silent); return err },
		"reusing a token": func() error {
			return f.store.RotateRefreshToken(ctx, contract.Rotation{Token: o.first.Token, Successor: o.token, At: at(31), Reuse: silent})
		},
		"delegating": func() error {
			d := f.delegation(o.agent, f.agentKey())
			d.Event = silent
			return f.store.Delegate(ctx, d)
		},
		"delegating, of grants": func() error {
			d := f.delegation(o.agent, f.agentKey())
			d.Keep = contract.Keep{}
			return f.store.Delegate(ctx, d)
		},
		"pausing an agent": func() error {
			_, err := f.store.PauseAgents(ctx, contract.Pausing{AccountID: account, GrantID: o.agent.ID, At: at(40), Event: silent})
			return err
		},
		"pausing agents": func() error {
			_, err := f.store.PauseAgents(ctx, contract.Pausing{AccountID: account, At: at(40), Event: silent})
			return err
		},
		"revoking agents": func() error { _, err := f.store.RevokeAgents(ctx, account, at(40), silent); return err },
		"ending everything": func() error {
			return f.store.Kill(ctx, contract.Kill{BAPID: i.BAPID, Nonce: "n", At: at(40), Event: silent})
		},
		"adding a passkey":   func() error { return f.store.AddPasskey(ctx, f.passkey(i), many, silent) },
		"removing a passkey": func() error { return f.store.RemovePasskey(ctx, account, o.passkey.ID, at(40), silent) },
		"saving a backup":    func() error { return f.store.SaveBackup(ctx, f.backup(i), i.BAPID, silent) },
		"removing a backup":  func() error { return f.store.RemoveBackup(ctx, account, i.BAPID, i.BAPID, silent) },
	}
}
