package storagetest

import (
	"errors"
	"time"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/contract"
)

var roomy = contract.AgentRoom{PerAccount: many, PerLine: many}

// agentKey is a key that nobody has.
func (f *fixture) agentKey() authz.AgentKey {
	return authz.AgentKey{ID: f.word("agent"), Name: f.word("name"), PublicKey: f.word("02"), Thumbprint: f.word("thumbprint")}
}

// agentRequest makes the pending request of an agent, with every member set.
func (f *fixture) agentRequest(key authz.AgentKey) authz.DeviceRequest {
	r := f.request()
	r.Thumbprint = key.Thumbprint
	r.Asked = authz.Asked{
		Agent: key, Reason: f.word("reason"), Counterparty: f.word("shop"), Details: `[{"type":"call"}]`, Lifetime: 90 * time.Minute, Depth: 2,
	}
	return r
}

// agentApproval makes the approval of an agent's first sign-in, or with a grant above of more.
func (f *fixture) agentApproval(i authz.Identity, key authz.AgentKey, above *authz.Grant) contract.Approval {
	f.Helper()
	r := f.agentRequest(key)
	d := authz.Delegated{Kind: authz.OfAgent, Agent: key, Line: r.ID, Details: r.Asked.Details, Depth: 2, Delegation: f.word("hash")}
	if above != nil {
		r.ClientID, r.Asked.Parent, r.Asked.Line = above.ClientID, above.ID, above.Delegated.Line
		d.Kind, d.Parent, d.Line = authz.OnTop, above.ID, above.Delegated.Line
	}
	f.ok(f.store.CreateDeviceRequest(f.Context(), r))
	a := f.approval(r, i)
	a.Grant.Presence, a.Grant.Delegated, a.Agents = authz.PresencePassword, d, roomy
	return a
}

// agent stores an agent's grant.
func (f *fixture) agent(i authz.Identity, key authz.AgentKey, above *authz.Grant) authz.Grant {
	f.Helper()
	a := f.agentApproval(i, key, above)
	f.ok(f.store.ApproveDeviceRequest(f.Context(), a))
	return a.Grant
}

// line stores three grants, each below the one before.
func (f *fixture) line(i authz.Identity) (all []authz.Grant) {
	f.Helper()
	key := f.agentKey()
	all = append(all, f.agent(i, key, nil))
	for n := range 2 {
		all = append(all, f.agent(i, key, &all[n]))
	}
	return all
}

// pausedByDenial pauses an agent as a report of one of its requests does.
func (f *fixture) pausedByDenial(g authz.Grant, when time.Time) {
	f.Helper()
	r := f.pending()
	f.ok(f.store.DenyDeviceRequest(f.Context(), contract.Denial{
		RequestID: r.ID, AccountID: g.AccountID, Unclaimed: true, At: when, Event: anyEvent, Keep: plenty, Pauses: g.ID,
	}))
}

// goes ends the test unless a grant and its line are as wanted: nil, ErrPaused or ErrNotFound.
func (f *fixture) goes(g authz.Grant, now time.Time, want error) {
	f.Helper()
	got, _, err := f.living(g.ID, now)
	if !errors.Is(err, want) || errors.Is(err, contract.ErrPaused) != errors.Is(want, contract.ErrPaused) {
		f.Fatalf("got error %v, want %v", err, want)
	}
	if alive := want == nil || errors.Is(want, contract.ErrPaused); alive != (got.ID == g.ID) {
		f.Fatalf("alive %v, got %+v", alive, got)
	}
}

// listed are the ids of an account's grants in a list.
func (f *fixture) listed(accountID string, l contract.GrantList) map[string]bool {
	f.Helper()
	l.Limit = many
	all, err := f.store.Grants(f.Context(), accountID, l)
	f.ok(err)
	ids := map[string]bool{}
	for _, g := range all {
		ids[g.ID] = true
	}
	return ids
}

// tokenOf redeems an approval of an agent's request for a refresh token.
func (f *fixture) redemptionOf(a contract.Approval) contract.Redemption {
	f.Helper()
	r, err := f.store.DeviceRequestByID(f.Context(), a.RequestID)
	f.ok(err)
	return contract.Redemption{
		DeviceCode: r.DeviceCode, ClientID: r.ClientID, At: at(20),
		RefreshToken: &authz.RefreshToken{Token: f.hash(), GrantID: a.Grant.ID, ExpiresAt: at(6000), Thumbprint: f.word("thumbprint")},
	}
}

var agentCases = []testCase{
	{"what an agent asks and is given is kept byte for byte", func(f *fixture) {
		_, i := f.account()
		for _, s := range awkward {
			key := authz.AgentKey{ID: s + f.word("id"), Name: s, PublicKey: s, Thumbprint: s}
			r := f.agentRequest(key)
			r.Asked.Reason, r.Asked.Counterparty, r.Asked.Details, r.Asked.Parent, r.Asked.Line = s, s, s, s, s
			f.ok(f.store.CreateDeviceRequest(f.Context(), r))
			f.kept(r)
			a := f.agentApproval(i, key, nil)
			d := &a.Grant.Delegated
			d.Details, d.Delegation, d.PausedAt, a.Grant.Presence = s, s, at(11), authz.Presence(s)
			f.ok(f.store.ApproveDeviceRequest(f.Context(), a))
			got, err := f.store.Grant(f.Context(), a.Grant.ID)
			f.ok(err)
			f.same(got, a.Grant)
			above := a.Grant
			got, err = f.store.Grant(f.Context(), f.agent(i, key, &above).ID)
			f.ok(err)
			f.same(got.Delegated.Parent, a.Grant.ID)
			f.same(got.Delegated.Line, a.Grant.ID)
		}
		f.reopen()
	}},
	{"a grant is over when one above it is revoked or expired", func(f *fixture) {
		_, i := f.account()
		for over := range 3 {
			all := f.line(i)
			for _, g := range all {
				f.goes(g, at(20), nil)
			}
			f.ok(f.store.RevokeGrant(f.Context(), contract.Revocation{GrantID: all[over].ID, At: at(30), Event: anyEvent}))
			alive := f.listed(i.AccountID, contract.GrantList{AliveAt: at(31)})
			for n, g := range all {
				if n < over {
					f.goes(g, at(31), nil)
				} else {
					f.goes(g, at(31), contract.ErrNotFound)
				}
				f.same(alive[g.ID], n < over)
				f.lives(g.ID, n != over) // nothing is copied downwards
			}
		}
		key := f.agentKey()
		short := f.agentApproval(i, key, nil)
		short.Grant.ExpiresAt = at(100)
		f.ok(f.store.ApproveDeviceRequest(f.Context(), short))
		below := f.agent(i, key, &short.Grant)
		f.goes(below, short.Grant.ExpiresAt.Add(-time.Millisecond), nil)
		f.goes(below, short.Grant.ExpiresAt, contract.ErrNotFound)
	}},
	{"a grant is paused when one above it is, and over where both are so", func(f *fixture) {
		_, i := f.account()
		for paused := range 3 {
			all := f.line(i)
			f.pausedByDenial(all[paused], at(30))
			alive := f.listed(i.AccountID, contract.GrantList{AliveAt: at(31)})
			for n, g := range all {
				if n < paused {
					f.goes(g, at(31), nil)
				} else {
					f.goes(g, at(31), contract.ErrPaused)
				}
				f.same(alive[g.ID], true)
			}
			f.pausedByDenial(all[paused], at(40)) // again
			got, err := f.store.Grant(f.Context(), all[paused].ID)
			f.ok(err)
			f.same(got.Delegated.PausedAt, at(30))
			f.ok(f.store.RevokeGrant(f.Context(), contract.Revocation{GrantID: all[0].ID, At: at(30), Event: anyEvent}))
			f.goes(all[2], at(31), contract.ErrNotFound)
		}
	}},
	{"a denial pauses an agent of who denies, and nothing else", func(f *fixture) {
		_, i := f.account()
		_, other := f.account()
		plain := f.approval(f.pending(), i)
		f.ok(f.store.ApproveDeviceRequest(f.Context(), plain))
		mine, foreign := f.agent(i, f.agentKey(), nil), f.agent(other, f.agentKey(), nil)
		for _, id := range []string{"", plain.Grant.ID, foreign.ID, "nothing"} {
			g := mine
			g.ID = id
			f.pausedByDenial(g, at(30))
		}
		decided := f.pending()
		f.ok(deny(f, decided, i.AccountID, true, at(10)))
		f.refusedState(f.store.DenyDeviceRequest(f.Context(), contract.Denial{
			RequestID: decided.ID, AccountID: i.AccountID, Unclaimed: true, At: at(30), Event: anyEvent, Keep: plenty, Pauses: mine.ID,
		}))
		for _, g := range []authz.Grant{plain.Grant, mine, foreign} {
			f.goes(g, at(31), nil)
		}
	}},
	{"an agent's request is redeemed while its line is alive and not paused", func(f *fixture) {
		_, i := f.account()
		key := f.agentKey()
		top := f.agent(i, key, nil)
		a := f.agentApproval(i, key, &top)
		f.ok(f.store.ApproveDeviceRequest(f.Context(), a))
		r := f.redemptionOf(a)
		f.pausedByDenial(top, at(15))
		f.refused(f.store.RedeemDeviceRequest(f.Context(), r), contract.ErrPaused)
		f.neverIssued(r, a.Grant)
		f.ok(f.store.RevokeGrant(f.Context(), contract.Revocation{GrantID: top.ID, At: at(16), Event: anyEvent}))
		f.refused(f.store.RedeemDeviceRequest(f.Context(), r), contract.ErrGone)
		f.neverIssued(r, a.Grant)
		late := r
		late.At = at(900)
		f.refusedState(f.store.RedeemDeviceRequest(f.Context(), late))

		again := f.agentApproval(i, key, nil)
		f.ok(f.store.ApproveDeviceRequest(f.Context(), again))
		f.ok(f.store.RedeemDeviceRequest(f.Context(), f.redemptionOf(again)))
		f.refusedState(f.store.RedeemDeviceRequest(f.Context(), f.redemptionOf(again)))
	}},
	{"a refresh token of an agent rotates while its line is alive and not paused", func(f *fixture) {
		_, i := f.account()
		key := f.agentKey()
		top := f.agent(i, key, nil)
		a := f.agentApproval(i, key, &top)
		f.ok(f.store.ApproveDeviceRequest(f.Context(), a))
		redeemed := f.redemptionOf(a)
		f.ok(f.store.RedeemDeviceRequest(f.Context(), redeemed))
		first := f.rotated(*redeemed.RefreshToken, at(30))
		f.pausedByDenial(top, at(31))
		for _, r := range []contract.Rotation{f.rotation(first.Successor, at(32)), f.rotation(*redeemed.RefreshToken, at(3000)), first} {
			f.refused(f.store.RotateRefreshToken(f.Context(), r), contract.ErrPaused)
			_, err := f.store.RefreshToken(f.Context(), r.Successor.Token, at(32))
			if r.Token != first.Token {
				f.refused(err, contract.ErrNotFound)
			}
		}
		g, err := f.store.Grant(f.Context(), a.Grant.ID)
		f.ok(err)
		f.same(g.LastUsedAt, at(30))
		f.lives(a.Grant.ID, true)
		f.ok(f.store.RevokeGrant(f.Context(), contract.Revocation{GrantID: top.ID, At: at(40), Event: anyEvent}))
		err = f.store.RotateRefreshToken(f.Context(), f.rotation(first.Successor, at(41)))
		f.refused(err, contract.ErrNotFound)
		f.same(errors.Is(err, contract.ErrPaused), false)
	}},
	{"a new approval ends the agent's living grant of the same client, and all below it", func(f *fixture) {
		_, i := f.account()
		_, other := f.account()
		all := f.line(i)
		key, app := all[0].Delegated.Agent, all[0].ClientID
		another := f.agent(i, key, nil) // of another client
		stranger := f.agent(other, key, nil)
		next := f.agentApproval(i, key, nil)
		next.Grant.ClientID = app
		next.Agents = contract.AgentRoom{PerAccount: 2, PerLine: 1} // what ends makes room
		next.Living = 2
		refused := next
		refused.Grant.BAPID = "nobody"
		f.refused(f.store.ApproveDeviceRequest(f.Context(), refused), contract.ErrGone)
		f.goes(all[2], at(20), nil)
		f.refused(f.store.ApproveDeviceRequest(f.Context(), next), contract.ErrFull) // those on top of it count as grants
		next.Living = 5
		f.ok(f.store.ApproveDeviceRequest(f.Context(), next))
		for _, g := range all {
			f.goes(g, at(20), contract.ErrNotFound)
		}
		old, err := f.store.Grant(f.Context(), all[0].ID)
		f.ok(err)
		f.same(old.RevokedAt, next.At)
		for _, g := range []authz.Grant{another, stranger, next.Grant} {
			f.goes(g, at(20), nil)
		}
	}},
	{"of concurrent approvals of one agent one grant stays alive", func(f *fixture) {
		_, i := f.account()
		key := f.agentKey()
		stores := []contract.Store{f.store, f.connect()}
		made := make([]contract.Approval, 16)
		for n := range made {
			made[n] = f.agentApproval(i, key, nil)
			made[n].Grant.ClientID = "app"
		}
		f.ok(errors.Join(race(len(made), func(n int) error { return stores[n%2].ApproveDeviceRequest(f.Context(), made[n]) })...))
		f.same(len(f.listed(i.AccountID, contract.GrantList{AliveAt: at(11)})), 1)
	}},
	{"what an agent asks on top needs its grant to be alive and the account's", func(f *fixture) {
		_, i := f.account()
		_, other := f.account()
		all := f.line(i)
		for _, edit := range []func(d *authz.Delegated){
			func(d *authz.Delegated) { d.Parent = "none" },
			func(d *authz.Delegated) { d.Parent = f.agent(other, d.Agent, nil).ID },
		} {
			a := f.agentApproval(i, all[0].Delegated.Agent, &all[2])
			edit(&a.Grant.Delegated)
			f.refused(f.store.ApproveDeviceRequest(f.Context(), a), contract.ErrGone)
		}
		f.pausedByDenial(all[1], at(5))
		a := f.agentApproval(i, all[0].Delegated.Agent, &all[2])
		a.Agents = contract.AgentRoom{} // it is no further agent
		f.ok(f.store.ApproveDeviceRequest(f.Context(), a))
		f.goes(a.Grant, at(20), contract.ErrPaused)
		f.ok(f.store.RevokeGrant(f.Context(), contract.Revocation{GrantID: all[0].ID, At: at(8), Event: anyEvent}))
		f.refused(f.store.ApproveDeviceRequest(f.Context(), f.agentApproval(i, all[0].Delegated.Agent, &all[2])), contract.ErrGone)
	}},
	{"no more agents are alive than there is room, for those that are over and what is on top there is no need of any", func(f *fixture) {
		_, i := f.account()
		var lines [][]authz.Grant
		for range 3 {
			lines = append(lines, f.line(i))
		}
		a := f.agentApproval(i, f.agentKey(), nil)
		a.Agents = contract.AgentRoom{PerAccount: 3, PerLine: many}
		f.refused(f.store.ApproveDeviceRequest(f.Context(), a), contract.ErrFull)
		f.noGrant(authz.DeviceRequest{ID: a.RequestID})
		a.Agents = contract.AgentRoom{PerAccount: many, PerLine: 0}
		f.refused(f.store.ApproveDeviceRequest(f.Context(), a), contract.ErrFull)
		f.ok(f.store.RevokeGrant(f.Context(), contract.Revocation{GrantID: lines[0][0].ID, At: at(8), Event: anyEvent}))
		a.Agents = contract.AgentRoom{PerAccount: 3, PerLine: 1}
		f.ok(f.store.ApproveDeviceRequest(f.Context(), a))
	}},
	{"a key is an owner's or a living agent's, never both", func(f *fixture) {
		account, i := f.account()
		mine := f.agentKey()
		mine.ID = i.BAPID
		a := f.agentApproval(i, mine, nil)
		f.refused(f.store.ApproveDeviceRequest(f.Context(), a), contract.ErrKeyTaken)
		f.noGrant(authz.DeviceRequest{ID: a.RequestID})
		g := f.agent(i, f.agentKey(), nil)
		owner := f.newIdentity("new account")
		owner.BAPID = g.Delegated.Agent.ID
		create := func() error {
			return f.store.CreateAccount(f.Context(), authz.Account{ID: "new account", CreatedAt: at(0)}, owner)
		}
		linked := owner
		linked.AccountID = account.ID
		link := func() error { return f.store.LinkIdentity(f.Context(), linked, i.BAPID, many, f.event(account.ID)) }
		f.refused(create(), contract.ErrKeyTaken)
		f.refused(link(), contract.ErrKeyTaken)
		f.pausedByDenial(g, at(15))
		f.refused(create(), contract.ErrKeyTaken)
		f.ok(f.store.RevokeGrant(f.Context(), contract.Revocation{GrantID: g.ID, At: at(16), Event: anyEvent}))
		f.ok(link())
		f.refused(create(), contract.ErrExists)
	}},
	{"of an owner and an agent that take a key at once one gets it", func(f *fixture) {
		account, i := f.account()
		stores := []contract.Store{f.store, f.connect(), f.connect()}
		for n := range 12 {
			a := f.agentApproval(i, f.agentKey(), nil)
			owner := f.newIdentity(f.word("account"))
			owner.BAPID = a.Grant.Delegated.Agent.ID
			errs := race(2, func(k int) error {
				switch {
				case k == 0:
					return stores[0].ApproveDeviceRequest(f.Context(), a)
				case n%2 == 0:
					return stores[1].CreateAccount(f.Context(), authz.Account{ID: owner.AccountID, CreatedAt: at(0)}, owner)
				default:
					linked := owner
					linked.AccountID = account.ID
					return stores[2].LinkIdentity(f.Context(), linked, i.BAPID, many, anyEvent)
				}
			})
			f.count(errs, 1, is(contract.ErrKeyTaken))
		}
	}},
	{"an account's agents are listed without its other grants, and those below one", func(f *fixture) {
		_, i := f.account()
		plain := f.approval(f.pending(), i)
		f.ok(f.store.ApproveDeviceRequest(f.Context(), plain))
		all := f.line(i)
		f.same(f.listed(i.AccountID, contract.GrantList{Agents: true}), map[string]bool{all[0].ID: true, all[1].ID: true, all[2].ID: true})
		f.same(f.listed(i.AccountID, contract.GrantList{Parent: all[0].ID}), map[string]bool{all[1].ID: true})
		f.same(len(f.listed(i.AccountID, contract.GrantList{})), 4)
	}},
}
