package storagetest

import (
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/google/go-cmp/cmp"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/contract"
)

// belongings are what one owner has of everything.
type belongings struct {
	client           authz.Client
	identity, second authz.Identity
	session, other   authz.Session
	passkey          authz.Passkey
	pending, opened  authz.DeviceRequest
	approved         approved
	issued           approved
	agent            authz.Grant
	first, token     authz.RefreshToken
	consent          authz.Consent
	review           authz.Review
	elsewhere        authz.DeviceRequest // that another server has stored; of RunBroken
}

// everything stores it.
func (f *fixture) everything() (o belongings) {
	f.Helper()
	ctx := f.Context()
	o.client = f.client()
	f.ok(f.store.AddClient(ctx, o.client))
	o.approved = f.approvedWith(func(r *authz.DeviceRequest, g *authz.Grant) { r.ClientID, g.ClientID = o.client.ID, o.client.ID })
	o.identity = o.approved.identity
	account := o.identity.AccountID
	o.second = f.newIdentity(account)
	f.ok(f.store.LinkIdentity(ctx, o.second, o.identity.BAPID, many, f.event(account)))
	o.session, o.other = f.session(o.identity), f.session(o.identity)
	f.ok(f.store.CreateSession(ctx, contract.NewSession{Session: o.session, Event: f.event(account), Keep: plenty}))
	f.ok(f.store.CreateSession(ctx, contract.NewSession{Session: o.other, Event: f.event(account), Keep: plenty}))
	o.passkey = f.added(o.identity)
	f.added(o.second)
	for _, i := range []authz.Identity{o.identity, o.second} {
		f.ok(f.store.SaveBackup(ctx, f.backup(i), i.BAPID, f.event(account)))
	}
	o.pending, o.opened = f.pending(), f.pending()
	_, err := f.store.OpenDeviceRequest(ctx, contract.Opening{RequestID: o.opened.ID, AccountID: account, Browser: f.hash(), Claim: true, At: at(1)})
	f.ok(err)
	// A second grant, with a refresh token that was rotated once.
	r := f.pending()
	a := f.approval(r, o.identity)
	a.Event = f.event(account)
	f.ok(f.store.ApproveDeviceRequest(ctx, a))
	o.issued = approved{r, o.identity, a.Grant, a.Receipt}
	redemption := f.redemption(o.issued)
	f.ok(f.store.RedeemDeviceRequest(ctx, redemption))
	o.first = *redemption.RefreshToken
	o.token = f.rotated(o.first, at(30)).Successor
	o.consent = f.consented(o.client.ID, o.identity)
	o.agent = f.agent(o.identity, f.agentKey(), nil)
	o.review = f.review()
	f.ok(f.store.CreateReview(ctx, o.review, plenty))
	return o
}

// keptOf is all that the store says of somebody's belongings. What it does not have
// is nil.
func (f *fixture) keptOf(o belongings) (all []any) {
	f.Helper()
	ctx, account := f.Context(), o.identity.AccountID
	one := func(v any, err error) {
		f.Helper()
		if err != nil && !errors.Is(err, contract.ErrNotFound) {
			f.Fatal(err)
		}
		if err != nil {
			v = nil
		}
		all = append(all, v)
	}
	c, err := f.store.Client(ctx, o.client.ID)
	one(c, err)
	for _, id := range []string{o.identity.BAPID, o.second.BAPID} {
		i, err := f.store.Identity(ctx, id)
		one(i, err)
		backup, err := f.store.Backup(ctx, account, id)
		one(backup, err)
	}
	a, err := f.store.Account(ctx, account)
	one(a, err)
	sessions, err := f.store.Sessions(ctx, account, at(40), many)
	one(sessions, err)
	for _, t := range []authz.Hash{o.session.Token, o.other.Token} {
		s, err := f.store.Session(ctx, t, at(40))
		one(s, err)
	}
	passkeys, err := f.store.Passkeys(ctx, account, many)
	one(passkeys, err)
	for _, r := range []authz.DeviceRequest{o.pending, o.opened, o.approved.request, o.issued.request} {
		byCode, err := f.store.DeviceRequest(ctx, r.DeviceCode)
		one(byCode, err)
		byID, err := f.store.DeviceRequestByID(ctx, r.ID)
		one(byID, err)
	}
	for _, id := range []string{o.approved.grant.ID, o.issued.grant.ID, o.agent.ID} {
		g, err := f.store.Grant(ctx, id)
		one(g, err)
		live, i, err := f.store.LiveGrant(ctx, id, at(40))
		one([]any{live, i}, err)
		receipt, err := f.store.Receipt(ctx, id)
		one(receipt, err)
	}
	for _, t := range []authz.RefreshToken{o.first, o.token} {
		kept, err := f.store.RefreshToken(ctx, t.Token, at(40))
		one(kept, err)
	}
	consents, err := f.store.Consents(ctx, account, at(40), many)
	one(consents, err)
	events, err := f.store.Events(ctx, account, contract.Position{}, 100)
	one(events, err)
	return all
}

// deeds are everything that can be done to somebody's belongings.
func (f *fixture) deeds() map[string]func(o belongings) error {
	all := f.accountDeeds()
	maps.Copy(all, f.requestDeeds())
	maps.Copy(all, f.grantDeeds())
	maps.Copy(all, f.agentDeeds())
	maps.Copy(all, f.askDeeds())
	return all
}

// accountDeeds are those to clients, accounts, sessions, passkeys and backups.
func (f *fixture) accountDeeds() map[string]func(o belongings) error {
	ctx := f.Context()
	return map[string]func(o belongings) error{
		"removing a client": func(o belongings) error { return f.store.RemoveClient(ctx, o.client.ID, at(40)) },
		"setting a profile": func(o belongings) error {
			return f.store.SetProfile(ctx, o.identity.BAPID, authz.Profile{Name: f.word("name")}, f.event(o.identity.AccountID))
		},
		"linking an identity": func(o belongings) error {
			return f.store.LinkIdentity(ctx, f.newIdentity(o.identity.AccountID), o.second.BAPID, many, f.event(o.identity.AccountID))
		},
		"removing an identity": func(o belongings) error { return f.store.RemoveIdentity(ctx, f.removal(o.second, o.identity)) },
		"deleting a session": func(o belongings) error {
			return f.store.DeleteSession(ctx, o.session.Token, f.event(o.identity.AccountID))
		},
		"ending a session": func(o belongings) error {
			return f.store.EndSession(ctx, o.identity.AccountID, o.session.ID, at(40), f.event(o.identity.AccountID))
		},
		"removing a passkey": func(o belongings) error {
			return f.store.RemovePasskey(ctx, o.identity.AccountID, o.passkey.ID, at(40), f.event(o.identity.AccountID))
		},
		"saving a backup": func(o belongings) error {
			return f.store.SaveBackup(ctx, f.backup(o.identity), o.identity.BAPID, f.event(o.identity.AccountID))
		},
		"removing a backup": func(o belongings) error {
			return f.store.RemoveBackup(ctx, o.identity.AccountID, o.identity.BAPID, o.second.BAPID, f.event(o.identity.AccountID))
		},
		"ending other sessions": func(o belongings) error {
			_, err := f.store.EndOtherSessions(ctx, o.identity.AccountID, o.session.Token, at(40), f.event(o.identity.AccountID))
			return err
		},
		"replacing a session": func(o belongings) error {
			return f.store.CreateSession(ctx, contract.NewSession{Session: f.session(o.identity), Replaces: o.session.Token, Event: f.event(o.identity.AccountID), Keep: plenty})
		},
		"signing in with a passkey": func(o belongings) error { return f.store.CreateSession(ctx, f.signIn(o.passkey, 8)) },
	}
}

// requestDeeds are those to device requests, and the sweep.
func (f *fixture) requestDeeds() map[string]func(o belongings) error {
	ctx := f.Context()
	return map[string]func(o belongings) error{
		"cancelling a request": func(o belongings) error { return f.store.CancelDeviceRequest(ctx, o.pending.ID, at(40)) },
		"opening a request": func(o belongings) error {
			_, err := f.store.OpenDeviceRequest(ctx, contract.Opening{RequestID: o.pending.ID, AccountID: o.identity.AccountID, Claim: true, At: at(40)})
			return err
		},
		"approving a request": func(o belongings) error {
			a := f.approval(o.opened, o.identity)
			a.Event = f.event(o.identity.AccountID)
			return f.store.ApproveDeviceRequest(ctx, a)
		},
		"denying a request": func(o belongings) error {
			return f.store.DenyDeviceRequest(ctx, contract.Denial{
				RequestID: o.opened.ID, AccountID: o.identity.AccountID, At: at(40), Reported: []string{"client:" + f.word("client")}, Event: f.event(o.identity.AccountID),
				Keep: plenty,
			})
		},
		"redeeming a request": func(o belongings) error { return f.store.RedeemDeviceRequest(ctx, f.redemption(o.approved)) },
		"taking a review": func(o belongings) error {
			_, err := f.store.TakeReview(ctx, o.review.ID, o.review.Session, at(40))
			return err
		},
		"sweeping": func(belongings) error {
			_, err := f.store.Sweep(ctx, contract.SweepTimes{DeviceRequests: at(0), Grants: at(0), Events: at(0), Rest: at(0)}, 100)
			return err
		},
	}
}

// grantDeeds are those to grants and their tokens.
func (f *fixture) grantDeeds() map[string]func(o belongings) error {
	ctx := f.Context()
	return map[string]func(o belongings) error{
		"revoking a grant": func(o belongings) error {
			return f.store.RevokeGrant(ctx, contract.Revocation{GrantID: o.issued.grant.ID, At: at(40), Event: f.event(o.identity.AccountID)})
		},
		"revoking all grants": func(o belongings) error {
			_, err := f.store.RevokeGrants(ctx, o.identity.AccountID, at(40), f.event(o.identity.AccountID))
			return err
		},
		"forgetting a consent": func(o belongings) error {
			return f.store.ForgetConsent(ctx, o.identity.AccountID, o.consent.GrantID)
		},
		"letting in":               func(o belongings) error { return f.store.ApproveDeviceRequest(ctx, f.lettingInOpened(o)) },
		"rotating a refresh token": func(o belongings) error { return f.store.RotateRefreshToken(ctx, f.rotation(o.token, at(35))) },
		"rotating and forgetting": func(o belongings) error {
			r := f.rotation(o.token, at(35))
			r.Forgotten = o.first.Token
			return f.store.RotateRefreshToken(ctx, r)
		},
		"rotating twice, and forgetting what was replaced before": func(o belongings) error {
			r := f.rotation(o.token, at(35))
			if err := f.store.RotateRefreshToken(ctx, r); err != nil {
				return err
			}
			r = f.rotation(r.Successor, at(36))
			r.Forgotten = o.first.Token // which o.token replaced
			return f.store.RotateRefreshToken(ctx, r)
		},
		"rotating after the end": func(o belongings) error {
			err := f.store.RevokeGrant(ctx, contract.Revocation{GrantID: o.issued.grant.ID, At: at(34), Event: f.event(o.identity.AccountID)})
			if err != nil {
				return err
			}
			if err := f.store.RotateRefreshToken(ctx, f.rotation(o.token, at(35))); !errors.Is(err, contract.ErrNotFound) {
				return errors.New("it was rotated")
			}
			return nil
		},
		"using a refresh token twice": func(o belongings) error {
			r := f.rotation(o.first, at(35))
			r.Reuse = f.event(o.identity.AccountID)
			if err := f.store.RotateRefreshToken(ctx, r); !errors.Is(err, contract.ErrReused) {
				return errors.New("it was rotated")
			}
			return nil
		},
	}
}

// agentDeeds are those to agents, and to all at once.
func (f *fixture) agentDeeds() map[string]func(o belongings) error {
	ctx := f.Context()
	pausing := func(o belongings) contract.Pausing { return f.pausing(o.agent, at(35)) }
	return map[string]func(o belongings) error{
		"delegating": func(o belongings) error { return f.store.Delegate(ctx, f.delegation(o.agent, f.agentKey())) },
		"replacing an agent": func(o belongings) error {
			a := f.approval(o.opened, o.identity)
			a.Event, a.Agents, a.Grant.ClientID, a.Grant.Delegated = f.event(o.identity.AccountID), roomy, o.agent.ClientID, o.agent.Delegated
			a.Grant.Delegated.Line = a.Grant.ID
			return f.store.ApproveDeviceRequest(ctx, a)
		},
		"pausing an agent": func(o belongings) error { _, err := f.store.PauseAgents(ctx, pausing(o)); return err },
		"pausing all agents": func(o belongings) error {
			p := pausing(o)
			p.GrantID = ""
			_, err := f.store.PauseAgents(ctx, p)
			return err
		},
		"pausing and resuming an agent": func(o belongings) error {
			if _, err := f.store.PauseAgents(ctx, pausing(o)); err != nil {
				return err
			}
			return f.store.ResumeAgent(ctx, pausing(o))
		},
		"revoking all agents": func(o belongings) error {
			_, err := f.store.RevokeAgents(ctx, o.identity.AccountID, at(35), f.event(o.identity.AccountID))
			return err
		},
		"ending everything": func(o belongings) error {
			return f.store.Kill(ctx, contract.Kill{BAPID: o.identity.BAPID, Nonce: f.word("nonce"), At: at(35), Event: f.event("")})
		},
	}
}

// lettingInOpened is the approval of somebody's open request by their consent.
func (f *fixture) lettingInOpened(o belongings) contract.Approval {
	a := f.approval(o.opened, o.identity)
	a.Event, a.Grant.ClientID, a.Grant.ACR = f.event(o.identity.AccountID), o.consent.ClientID, authz.ACRBefore
	a.LetIn = &contract.LettingIn{By: o.consent.GrantID, Unused: at(40), Keep: contract.Keep{Most: 1, AtOnce: many}}
	return a
}

var neighbourCases = []testCase{
	// The first account of all is disabled, and the last: whoever asks for the wrong
	// one is told so.
	{"what is done to one owner's belongings leaves another's as they are", func(f *fixture) {
		f.accountWith(func(a *authz.Account) { a.Disabled = true })
		before := f.everything()
		first := f.keptOf(before) // of the first neighbour before there was another
		acted, after := f.everything(), f.everything()
		f.accountWith(func(a *authz.Account) { a.Disabled = true })
		names := []string{}
		for name := range f.deeds() {
			names = append(names, name)
		}
		slices.Sort(names)
		for n, name := range names {
			if n > 0 {
				acted = f.everything()
			}
			last, mine := f.keptOf(after), f.keptOf(acted)
			if slices.Contains(first, nil) {
				f.Fatalf("before %s: %v", name, first)
			}
			f.ok(f.deeds()[name](acted))
			f.same(f.keptOf(before), first)
			f.same(f.keptOf(after), last)
			f.changesLittle(name, mine, f.keptOf(acted))
		}
		for _, o := range []belongings{before, after} {
			_, err := f.store.TakeReview(f.Context(), o.review.ID, o.review.Session, at(40))
			f.ok(err)
		}
	}},
	{"a disabled account's grants are not alive, whoever else there is", func(f *fixture) {
		f.approved()
		_, i := f.accountWith(func(a *authz.Account) { a.Disabled = true })
		f.approved()
		r := f.pending()
		a := f.approval(r, i)
		f.ok(f.store.ApproveDeviceRequest(f.Context(), a))
		_, _, err := f.store.LiveGrant(f.Context(), a.Grant.ID, at(40))
		f.refused(err, contract.ErrNotFound)
	}},
	{"what is over at a time is swept after it, and not at it", func(f *fixture) {
		ctx, over := f.Context(), at(60)
		_, i := f.account()
		s, r, key := f.session(i), f.review(), f.hash()
		s.ExpiresAt, r.ExpiresAt = over, over
		f.ok(f.store.CreateSession(ctx, contract.NewSession{Session: s, Event: anyEvent, Keep: plenty}))
		f.ok(f.store.CreateReview(ctx, r, plenty))
		f.ok(f.store.UseOnce(ctx, key, at(0), over))
		f.ok(f.store.CountGuesses(ctx, []string{"subject"}, over))
		f.report("alice", over, "client:a")
		redemption := f.redemption(f.approved())
		redemption.RefreshToken.ExpiresAt = over
		f.ok(f.store.RedeemDeviceRequest(ctx, redemption))
		all := func(before time.Time) int {
			n, err := f.store.Sweep(ctx, contract.SweepTimes{DeviceRequests: at(0), Grants: at(0), Counted: before, Rest: before}, 100)
			f.ok(err)
			return n
		}
		f.same(all(over), 0)
		f.same(all(over.Add(time.Millisecond)), 6)
	}},
}

// changes is how many of an owner's belongings each deed changes. Sessions count
// twice, in their list and by themselves, requests by code and by id, and grants
// dead or alive; the events are one.
var changes = map[string]int{
	"approving a request": 3, "cancelling a request": 2, "deleting a session": 3, "denying a request": 3, "ending a session": 3,
	"ending other sessions": 3, "linking an identity": 1, "opening a request": 2, "redeeming a request": 4, "removing a backup": 2,
	"forgetting a consent": 1, "letting in": 3, "removing a client": 4, "removing a passkey": 2, "removing an identity": 4, "replacing a session": 3, "revoking a grant": 3, "revoking all grants": 8,
	"rotating a refresh token": 3, "rotating and forgetting": 4, "saving a backup": 2, "setting a profile": 5, "signing in with a passkey": 3,
	"rotating twice, and forgetting what was replaced before": 3, "rotating after the end": 3, "using a refresh token twice": 3, "taking a review": 0, "sweeping": 0,
	"delegating": 1, "replacing an agent": 5, "pausing an agent": 3, "pausing all agents": 3, "pausing and resuming an agent": 1, "revoking all agents": 3,
	"ending everything": 13, "asking for more": 0, "asking an agent": 0,
}

func (f *fixture) changesLittle(name string, before, after []any) {
	f.Helper()
	n := 0
	for k := range before {
		if !cmp.Equal(before[k], after[k]) {
			n++
		}
	}
	if n != changes[name] {
		f.Errorf("%s changes %d of its owner's belongings, want %d", name, n, changes[name])
	}
}
