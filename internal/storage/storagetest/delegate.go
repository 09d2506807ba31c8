package storagetest

import (
	"errors"
	"fmt"
	"time"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/contract"
)

// delegation makes a sub-agent's grant below another, with every member set.
func (f *fixture) delegation(above authz.Grant, key authz.AgentKey) contract.Delegation {
	g := above
	g.ID, g.Nonce, g.CreatedAt, g.AuthTime, g.ExpiresAt = f.word("grant"), f.word("nonce"), at(15), at(5), at(4000)
	g.Delegated = authz.Delegated{
		Kind: authz.OfSubAgent, Agent: key, Parent: above.ID, Line: above.Delegated.Line, Details: f.word("details"), Depth: 1, Delegation: f.word("hash"),
	}
	return contract.Delegation{
		Grant: g, Receipt: f.word("receipt"), At: at(15), Room: roomy, Keep: plenty, Event: f.event(g.AccountID),
		RefreshToken: &authz.RefreshToken{Token: f.hash(), GrantID: g.ID, ExpiresAt: at(6000), Thumbprint: key.Thumbprint},
	}
}

// delegated stores a sub-agent below another.
func (f *fixture) delegated(above authz.Grant) authz.Grant {
	f.Helper()
	d := f.delegation(above, f.agentKey())
	f.ok(f.store.Delegate(f.Context(), d))
	return d.Grant
}

func (f *fixture) revoked(g authz.Grant, when time.Time) {
	f.Helper()
	f.ok(f.store.RevokeGrant(f.Context(), contract.Revocation{GrantID: g.ID, At: when, Event: anyEvent}))
}

func (f *fixture) pausing(g authz.Grant, when time.Time) contract.Pausing {
	return contract.Pausing{AccountID: g.AccountID, GrantID: g.ID, At: when, Event: f.event(g.AccountID)}
}

var delegateCases = []testCase{
	{"a sub-agent is kept with its receipt, its token and its event", func(f *fixture) {
		_, i := f.account()
		d := f.delegation(f.agent(i, f.agentKey(), nil), f.agentKey())
		f.ok(f.store.Delegate(f.Context(), d))
		f.reopen()
		got, err := f.store.Grant(f.Context(), d.Grant.ID)
		f.ok(err)
		f.same(got, d.Grant)
		receipt, err := f.store.Receipt(f.Context(), d.Grant.ID)
		f.ok(err)
		f.same(receipt, d.Receipt)
		token, err := f.store.RefreshToken(f.Context(), d.RefreshToken.Token, at(20))
		f.ok(err)
		f.same(token, *d.RefreshToken)
		told, err := f.store.Events(f.Context(), i.AccountID, contract.Position{}, 1)
		f.ok(err)
		f.same(told, []authz.Event{d.Event.Event})
		bare := f.delegation(d.Grant, f.agentKey())
		bare.Receipt, bare.RefreshToken = "", nil
		f.ok(f.store.Delegate(f.Context(), bare))
		_, err = f.store.Receipt(f.Context(), bare.Grant.ID)
		f.refused(err, contract.ErrNotFound)
		f.goes(bare.Grant, at(20), nil)
	}},
	{"a sub-agent needs what is above it to be alive, not paused and the account's, and its identity", func(f *fixture) {
		_, i := f.account()
		_, other := f.account()
		top := f.agent(i, f.agentKey(), nil)
		middle := f.delegated(top)
		for what, edit := range map[string]func(g *authz.Grant){
			"below nothing":       func(g *authz.Grant) { g.Delegated.Parent = "none" },
			"below a stranger's":  func(g *authz.Grant) { g.Delegated.Parent = f.agent(other, f.agentKey(), nil).ID },
			"as a stranger":       func(g *authz.Grant) { g.BAPID = other.BAPID },
			"as nobody":           func(g *authz.Grant) { g.BAPID = "nobody" },
			"when that has ended": func(g *authz.Grant) { g.Delegated.Parent = top.ID },
		} {
			d := f.delegation(middle, f.agentKey())
			if edit(&d.Grant); what == "when that has ended" {
				d.At = top.ExpiresAt
			}
			if err := f.store.Delegate(f.Context(), d); !errors.Is(err, contract.ErrNotFound) || errors.Is(err, contract.ErrPaused) {
				f.Errorf("%s: %v", what, err)
			}
			_, err := f.store.Grant(f.Context(), d.Grant.ID)
			f.refused(err, contract.ErrNotFound)
		}
		_, err := f.store.PauseAgents(f.Context(), f.pausing(top, at(12)))
		f.ok(err)
		f.refused(f.store.Delegate(f.Context(), f.delegation(middle, f.agentKey())), contract.ErrPaused)
		f.revoked(top, at(13))
		err = f.store.Delegate(f.Context(), f.delegation(middle, f.agentKey()))
		f.refused(err, contract.ErrNotFound)
		f.same(errors.Is(err, contract.ErrPaused), false)
	}},
	{"a sub-agent's key is no owner's, and a new one ends the one of the same parent and key", func(f *fixture) {
		_, i := f.account()
		top := f.agent(i, f.agentKey(), nil)
		mine := f.agentKey()
		mine.ID = i.BAPID
		f.refused(f.store.Delegate(f.Context(), f.delegation(top, mine)), contract.ErrKeyTaken)
		key := f.agentKey()
		first, elsewhere := f.delegation(top, key), f.delegation(f.delegated(top), key)
		f.ok(f.store.Delegate(f.Context(), first))
		f.ok(f.store.Delegate(f.Context(), elsewhere))
		below := f.delegated(first.Grant)
		again := f.delegation(top, key)
		f.ok(f.store.Delegate(f.Context(), again))
		f.goes(first.Grant, at(20), contract.ErrNotFound)
		f.goes(below, at(20), contract.ErrNotFound)
		f.goes(elsewhere.Grant, at(20), nil)
		f.goes(again.Grant, at(20), nil)
		owner := f.newIdentity("new account")
		owner.BAPID = key.ID
		f.refused(f.store.CreateAccount(f.Context(), authz.Account{ID: "new account", CreatedAt: at(0)}, owner), contract.ErrKeyTaken)
		f.revoked(top, at(0)) // and with it all below
		f.ok(f.store.CreateAccount(f.Context(), authz.Account{ID: "new account", CreatedAt: at(0)}, owner))
	}},
	{"of sub-agents made at once at two servers there are as many as there is room for", func(f *fixture) {
		_, i := f.account()
		top := f.agent(i, f.agentKey(), nil)
		f.agent(i, f.agentKey(), nil) // of another line
		stores := []contract.Store{f.store, f.connect()}
		for n, room := range []contract.AgentRoom{{PerAccount: many, PerLine: 4}, {PerAccount: 8, PerLine: many}} {
			made := make([]contract.Delegation, 16)
			for k := range made {
				made[k] = f.delegation(top, f.agentKey())
				made[k].Room = room
			}
			errs := race(len(made), func(k int) error { return stores[k%2].Delegate(f.Context(), made[k]) })
			f.count(errs, 3, is(contract.ErrFull))
			f.same(len(f.listed(i.AccountID, contract.GrantList{Parent: top.ID, AliveAt: at(20)})), 3*(n+1))
		}
	}},
	{"none below an agent lives that is made while it is revoked", func(f *fixture) {
		_, i := f.account()
		stores := []contract.Store{f.store, f.connect()}
		top := f.agent(i, f.agentKey(), nil)
		made := make([]contract.Delegation, 12)
		for k := range made {
			made[k] = f.delegation(top, f.agentKey())
		}
		errs := race(len(made)+1, func(k int) error {
			if k == len(made)/2 {
				return stores[1].RevokeGrant(f.Context(), contract.Revocation{GrantID: top.ID, At: at(15), Event: anyEvent})
			}
			return stores[k%2].Delegate(f.Context(), made[min(k, len(made)-1)])
		})
		for k, err := range errs {
			if err != nil && k == len(made)/2 {
				f.Errorf("revoking: %v", err)
			}
		}
		for _, d := range made {
			f.goes(d.Grant, at(16), contract.ErrNotFound)
		}
	}},
	{"an agent is found by account, client and key while its grant is alive, and its line upwards", func(f *fixture) {
		_, i := f.account()
		key := f.agentKey()
		top := f.agent(i, key, nil)
		onTop := f.agent(i, key, &top)
		sub := f.delegated(top)
		find := func(account, client, id string, now time.Time) (authz.Grant, error) {
			return f.store.AgentGrant(f.Context(), account, client, id, now)
		}
		got, err := find(top.AccountID, top.ClientID, key.ID, at(20))
		f.ok(err)
		f.same(got, top)
		for _, missed := range [][3]string{{"nobody", top.ClientID, key.ID}, {top.AccountID, "none", key.ID}, {top.AccountID, top.ClientID, sub.Delegated.Agent.ID}, {top.AccountID, top.ClientID, ""}} {
			_, err := find(missed[0], missed[1], missed[2], at(20))
			f.refused(err, contract.ErrNotFound)
		}
		_, err = find(top.AccountID, top.ClientID, key.ID, top.ExpiresAt)
		f.refused(err, contract.ErrNotFound)
		for id, want := range map[string]bool{key.ID: true, sub.Delegated.Agent.ID: true, "": false, "none": false, "no\x00text": false} {
			alive, err := f.store.AgentAlive(f.Context(), id, at(20))
			f.ok(err)
			f.same(alive, want)
		}
		_, err = f.store.PauseAgents(f.Context(), f.pausing(top, at(21)))
		f.ok(err)
		top.Delegated.PausedAt = at(21)
		got, err = find(top.AccountID, top.ClientID, key.ID, at(22))
		f.ok(err)
		f.same(got, top)
		alive, err := f.store.AgentAlive(f.Context(), sub.Delegated.Agent.ID, at(22))
		f.ok(err)
		f.same(alive, true)
		lowest := f.agent(i, sub.Delegated.Agent, &sub)
		for g, want := range map[*authz.Grant][]authz.Grant{&top: {top}, &onTop: {onTop, top}, &lowest: {lowest, sub, top}} {
			line, err := f.store.Line(f.Context(), g.ID)
			f.ok(err)
			f.same(line, want)
		}
		_, err = f.store.Line(f.Context(), "none")
		f.refused(err, contract.ErrNotFound)
		f.revoked(top, at(23))
		alive, err = f.store.AgentAlive(f.Context(), sub.Delegated.Agent.ID, at(24))
		f.ok(err)
		f.same(alive, false)
		line, err := f.store.Line(f.Context(), lowest.ID) // dead or alive
		f.ok(err)
		f.same(len(line), 3)
	}},
	{"an agent is paused and resumed, each told once, and those below with it but for their own pauses", func(f *fixture) {
		_, i := f.account()
		top := f.agent(i, f.agentKey(), nil)
		sub := f.delegated(top)
		lowest := f.delegated(sub)
		before, err := f.store.Events(f.Context(), i.AccountID, contract.Position{}, many)
		f.ok(err)
		first := f.pausing(top, at(20))
		second := f.pausing(sub, at(21))
		for _, step := range []struct {
			p    contract.Pausing
			want int
		}{{first, 1}, {first, 0}, {second, 1}} {
			n, err := f.store.PauseAgents(f.Context(), step.p)
			f.ok(err)
			f.same(n, step.want)
		}
		f.goes(lowest, at(22), contract.ErrPaused)
		resume := f.pausing(top, at(23))
		f.ok(f.store.ResumeAgent(f.Context(), resume))
		f.ok(f.store.ResumeAgent(f.Context(), resume))
		f.goes(top, at(24), nil)
		f.goes(lowest, at(24), contract.ErrPaused)
		own := f.pausing(sub, at(24))
		f.ok(f.store.ResumeAgent(f.Context(), own))
		f.goes(lowest, at(24), nil)
		got, err := f.store.Events(f.Context(), i.AccountID, contract.Position{}, many)
		f.ok(err)
		f.same(len(got)-len(before), 4)
	}},
	{"only an account's own agents that are alive are paused and resumed", func(f *fixture) {
		_, i := f.account()
		_, other := f.account()
		plain := f.approval(f.pending(), i)
		f.ok(f.store.ApproveDeviceRequest(f.Context(), plain))
		top, foreign := f.agent(i, f.agentKey(), nil), f.agent(other, f.agentKey(), nil)
		sub := f.delegated(top)
		for _, id := range []string{plain.Grant.ID, foreign.ID, "none"} {
			p := f.pausing(top, at(20))
			p.GrantID = id
			_, err := f.store.PauseAgents(f.Context(), p)
			f.refused(err, contract.ErrNotFound)
			f.refused(f.store.ResumeAgent(f.Context(), p), contract.ErrNotFound)
		}
		f.revoked(top, at(21))
		for _, g := range []authz.Grant{top, sub} {
			_, err := f.store.PauseAgents(f.Context(), f.pausing(g, at(22)))
			f.refused(err, contract.ErrNotFound)
			f.refused(f.store.ResumeAgent(f.Context(), f.pausing(g, at(22))), contract.ErrGone)
		}
		f.goes(foreign, at(22), nil)
	}},
	{"all of an account's agents are paused, or revoked, by their topmost, and no others'", func(f *fixture) {
		a, i := f.account()
		_, other := f.account()
		plain := f.approval(f.pending(), i)
		f.ok(f.store.ApproveDeviceRequest(f.Context(), plain))
		foreign := f.agent(other, f.agentKey(), nil)
		var subs []authz.Grant
		for range 3 {
			subs = append(subs, f.delegated(f.agent(i, f.agentKey(), nil)))
		}
		over := f.agent(i, f.agentKey(), nil)
		f.revoked(over, at(11))
		all := contract.Pausing{AccountID: a.ID, At: at(20), Event: f.event(a.ID)}
		for _, want := range []int{3, 0} {
			n, err := f.store.PauseAgents(f.Context(), all)
			f.ok(err)
			f.same(n, want)
		}
		for _, g := range subs {
			f.goes(g, at(21), contract.ErrPaused)
		}
		end := f.event(a.ID)
		for _, want := range []int{3, 0} {
			n, err := f.store.RevokeAgents(f.Context(), a.ID, at(22), end)
			f.ok(err)
			f.same(n, want)
		}
		for _, g := range subs {
			f.goes(g, at(23), contract.ErrNotFound)
			f.lives(g.ID, true)
		}
		f.goes(plain.Grant, at(23), nil)
		f.goes(foreign, at(23), nil)
		f.lives(over.ID, false)
		told, err := f.store.Events(f.Context(), a.ID, contract.Position{}, many)
		f.ok(err)
		kinds := map[string]int{}
		for _, e := range told {
			kinds[e.ID]++
		}
		f.same([]int{kinds[all.Event.ID], kinds[end.ID]}, []int{1, 1})
	}},
	{"a kill switch ends everything of its account, once", killed},
	{"of 20 kill switches with one nonce at once one works", func(f *fixture) {
		_, i := f.account()
		stores, event := []contract.Store{f.store, f.connect()}, f.event(i.AccountID)
		errs := race(20, func(n int) error {
			e := event
			e.ID = fmt.Sprint("kill ", n)
			return stores[n%2].Kill(f.Context(), contract.Kill{BAPID: i.BAPID, Nonce: "once", At: at(20), Event: e})
		})
		f.count(errs, 1, is(contract.ErrExists))
	}},
	{"of those approved or delegated while everything is ended nobody keeps a grant that was there before", func(f *fixture) {
		_, i := f.account()
		stores := []contract.Store{f.store, f.connect()}
		top := f.agent(i, f.agentKey(), nil)
		opened := make([]contract.Approval, 6)
		for k := range opened {
			opened[k] = f.approval(f.pending(), i)
			f.ok(claim(f, f.store, opened[k].RequestID, i.AccountID, at(1)))
		}
		subs := make([]contract.Delegation, 6)
		for k := range subs {
			subs[k] = f.delegation(top, f.agentKey())
		}
		errs := race(13, func(k int) error {
			switch {
			case k == 6:
				return stores[1].Kill(f.Context(), contract.Kill{BAPID: i.BAPID, Nonce: "n", At: at(20), Event: anyEvent})
			case k%2 == 0:
				return stores[k/2%2].ApproveDeviceRequest(f.Context(), opened[k/2%6])
			default:
				return stores[k/2%2].Delegate(f.Context(), subs[k/2])
			}
		})
		f.ok(errs[6])
		f.same(len(f.listed(i.AccountID, contract.GrantList{AliveAt: at(21)})), 0)
	}},
}

// killed ends everything of one account beside another.
func killed(f *fixture) {
	type house struct {
		identity         authz.Identity
		session          authz.Session
		review           authz.Review
		agent            authz.Grant
		opened, approved authz.DeviceRequest
		consent          authz.Consent
	}
	move := func() (h house) {
		_, h.identity = f.account()
		h.session, h.review = f.session(h.identity), f.review()
		f.ok(f.store.CreateSession(f.Context(), contract.NewSession{Session: h.session, Event: anyEvent, Keep: plenty}))
		h.review.Session = h.session.Token
		f.ok(f.store.CreateReview(f.Context(), h.review, plenty))
		h.agent = f.agent(h.identity, f.agentKey(), nil)
		h.opened, h.approved = f.pending(), f.pending()
		f.ok(claim(f, f.store, h.opened.ID, h.identity.AccountID, at(1)))
		f.ok(f.store.ApproveDeviceRequest(f.Context(), f.approval(h.approved, h.identity)))
		h.consent = f.consented(f.word("client"), h.identity)
		return h
	}
	mine, theirs := move(), move()
	nobodys := f.pending()
	kill := contract.Kill{BAPID: mine.identity.BAPID, Nonce: "nonce", At: at(20), Event: f.event("")}
	strangers := kill
	strangers.BAPID = "nobody"
	f.refused(f.store.Kill(f.Context(), strangers), contract.ErrNotFound)
	f.ok(f.store.Kill(f.Context(), kill))
	f.refused(f.store.Kill(f.Context(), kill), contract.ErrExists)
	strangers.BAPID = theirs.identity.BAPID // whose nonce it is not
	f.reopen()
	f.refused(f.store.Kill(f.Context(), kill), contract.ErrExists)
	for _, h := range []struct {
		house
		there bool
	}{{mine, false}, {theirs, true}} {
		want := func(err error) {
			f.Helper()
			if h.there {
				f.ok(err)
			} else {
				f.refused(err, contract.ErrNotFound)
			}
		}
		_, err := f.store.Session(f.Context(), h.session.Token, at(21))
		want(err)
		_, err = f.store.TakeReview(f.Context(), h.review.ID, h.review.Session, at(21))
		want(err)
		for _, id := range []string{h.agent.ID, h.approved.ID} {
			_, err = f.store.GrantAlive(f.Context(), id, at(21))
			want(err)
		}
		f.standing(h.consent, h.there)
		r, err := f.store.DeviceRequestByID(f.Context(), h.opened.ID)
		f.ok(err)
		f.same(r.State == authz.Pending, h.there)
	}
	f.kept(nobodys)
	told, err := f.store.Events(f.Context(), mine.identity.AccountID, contract.Position{}, many)
	f.ok(err)
	kill.Event.AccountID = mine.identity.AccountID
	f.same(told[0], kill.Event.Event)
	f.ok(f.store.Kill(f.Context(), strangers))
	f.goes(theirs.agent, at(21), contract.ErrNotFound)
	another := kill
	another.Nonce = "another"
	f.ok(f.store.Kill(f.Context(), another)) // of nothing that is there
}
