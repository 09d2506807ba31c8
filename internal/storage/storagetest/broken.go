package storagetest

import (
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/contract"
)

// Broken is a storage whose statements can be made to fail.
type Broken struct {
	contract.Store
	// Break has the statement number n of those that come from now on fail, n from 0
	// on. heal ends that, and says whether there were so many.
	Break func(n int) (heal func() (reached bool))
	// Failed reports whether an error is that of such a statement.
	Failed func(err error) bool
	// Rows is everything that is kept, in the same order each time.
	Rows func() []string
}

// RunBroken holds a storage to the promise that an operation of which any statement
// fails says so, in no word that means something else, and has changed nothing.
// open is as for Run.
func RunBroken(t *testing.T, open func(t testing.TB) Broken) {
	t.Helper()
	if testing.Short() {
		t.Skip("this takes long")
	}
	for _, name := range slices.Sorted(maps.Keys((&fixture{T: t}).ways())) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := open(t)
			f := &fixture{T: t, open: func(t testing.TB) contract.Store { return open(t) }}
			f.store = f.closing(store)
			f.breaks(store, f.ways()[name])
		})
	}
}

// breaks lets each statement of an operation fail, until it has no more: twice, for
// SQLite counts one that is prepared for the first time differently, and the next one
// would be left out.
func (f *fixture) breaks(store Broken, w way) {
	f.Helper()
	other, o := f.connect(), f.everything()
	for k := 0; ; k++ {
		n := k / 2
		o.elsewhere = f.request() // which this server has not heard of
		f.ok(other.CreateDeviceRequest(f.Context(), o.elsewhere))
		if w.before != nil {
			w.before(o)
		}
		before := store.Rows()
		heal := store.Break(n)
		err := w.do(o)
		switch reached := heal(); {
		case !reached && n > 0:
			if w.want == nil {
				w.want = is(nil)
			}
			if !w.want(err) {
				f.Errorf("where nothing fails: %v", err)
			}
			return
		case !reached:
			f.Fatal("it has no statement")
		}
		if !store.Failed(err) || contract.Promised(err) {
			f.Errorf("statement %d failed, and the answer is %v", n, err)
		}
		if after := store.Rows(); !w.inParts && !slices.Equal(before, after) {
			f.Errorf("statement %d failed, and this was done (-before +after):\n%s", n, cmp.Diff(before, after))
		}
	}
}

// way is one that an operation can go.
type way struct {
	before  func(o belongings) // what there is to be
	do      func(o belongings) error
	want    func(error) bool // of the outcome where nothing fails; nil: there is none
	inParts bool             // it need not happen as a whole
}

// ways are all that have statements of their own.
func (f *fixture) ways() map[string]way {
	all := map[string]way{}
	for name, do := range f.looks() {
		all[name] = way{do: do}
	}
	for name, do := range f.deeds() {
		all[name] = way{do: do}
	}
	delete(all, "rotating twice, and forgetting what was replaced before") // several operations
	delete(all, "pausing and resuming an agent")
	maps.Copy(all, f.additions())
	maps.Copy(all, f.askWays())
	maps.Copy(all, f.spendWays())
	maps.Copy(all, f.refusals())
	return all
}

// looks are all reads.
func (f *fixture) looks() map[string]func(o belongings) error {
	ctx := f.Context()
	return map[string]func(o belongings) error{
		"reading a client":            func(o belongings) error { _, err := f.store.Client(ctx, o.client.ID); return err },
		"reading all clients":         func(belongings) error { _, err := f.store.Clients(ctx); return err },
		"reading a request by device": func(o belongings) error { _, err := f.store.DeviceRequest(ctx, o.elsewhere.DeviceCode); return err },
		"reading a request by code": func(o belongings) error {
			_, err := f.store.DeviceRequestByUserCode(ctx, o.pending.UserCode)
			return err
		},
		"reading a request by id": func(o belongings) error { _, err := f.store.DeviceRequestByID(ctx, o.pending.ID); return err },
		"counting requests":       func(o belongings) error { _, _, err := f.store.PendingDeviceRequests(ctx, nil, at(1)); return err },
		"reading an account":      func(o belongings) error { _, err := f.store.Account(ctx, o.identity.AccountID); return err },
		"reading an identity":     func(o belongings) error { _, err := f.store.Identity(ctx, o.identity.BAPID); return err },
		"reading departures":      func(o belongings) error { _, err := f.store.Departures(ctx, o.identity.BAPID, many); return err },
		"reading identities":      func(o belongings) error { _, err := f.store.Identities(ctx, o.identity.AccountID, many); return err },
		"reading a session":       func(o belongings) error { _, err := f.store.Session(ctx, o.session.Token, at(40)); return err },
		"reading sessions": func(o belongings) error {
			_, err := f.store.Sessions(ctx, o.identity.AccountID, at(40), many)
			return err
		},
		"reading a grant":            func(o belongings) error { _, err := f.store.Grant(ctx, o.issued.grant.ID); return err },
		"reading a grant that lives": func(o belongings) error { _, err := f.store.GrantAlive(ctx, o.issued.grant.ID, at(40)); return err },
		"reading a living grant":     func(o belongings) error { _, _, err := f.store.LiveGrant(ctx, o.issued.grant.ID, at(40)); return err },
		"reading grants": func(o belongings) error {
			_, err := f.store.Grants(ctx, o.identity.AccountID, contract.GrantList{Limit: 10})
			return err
		},
		"reading an agent": func(o belongings) error {
			_, err := f.store.AgentGrant(ctx, o.agent.AccountID, o.agent.ClientID, o.agent.Delegated.Agent.ID, at(20))
			return err
		},
		"looking for an agent": func(o belongings) error {
			_, err := f.store.AgentAlive(ctx, o.agent.Delegated.Agent.ID, at(20))
			return err
		},
		"reading a line": func(o belongings) error { _, err := f.store.Line(ctx, o.agent.ID); return err },
		"reading a consent": func(o belongings) error {
			_, err := f.store.Consent(ctx, o.identity.AccountID, o.client.ID, o.identity.BAPID, at(40))
			return err
		},
		"reading consents": func(o belongings) error {
			_, err := f.store.Consents(ctx, o.identity.AccountID, at(40), many)
			return err
		},
		"reading a receipt":        func(o belongings) error { _, err := f.store.Receipt(ctx, o.issued.grant.ID); return err },
		"reading a refresh token":  func(o belongings) error { _, err := f.store.RefreshToken(ctx, o.token.Token, at(40)); return err },
		"reading signing keys":     func(belongings) error { _, err := f.store.SigningKeys(ctx, at(0)); return err },
		"reading guesses":          func(belongings) error { _, err := f.store.Guesses(ctx, []string{"a", "b"}, at(0)); return err },
		"reading reports":          func(belongings) error { _, err := f.store.Reports(ctx, []string{"a", "b"}, at(0)); return err },
		"reading what is reported": func(belongings) error { _, err := f.store.Reported(ctx, "client:", 1, at(0)); return err },
		"reading events": func(o belongings) error {
			_, err := f.store.Events(ctx, o.identity.AccountID, contract.Position{}, 10)
			return err
		},
		"reading a passkey": func(o belongings) error { _, err := f.store.Passkey(ctx, o.passkey.ID); return err },
		"reading passkeys":  func(o belongings) error { _, err := f.store.Passkeys(ctx, o.identity.AccountID, many); return err },
		"reading a backup": func(o belongings) error {
			_, err := f.store.Backup(ctx, o.identity.AccountID, o.identity.BAPID)
			return err
		},
		"reading backups": func(o belongings) error { _, err := f.store.Backups(ctx, o.identity.AccountID, many); return err },
	}
}

// additions are the deeds that need nobody's belongings, or more than deeds has.
func (f *fixture) additions() map[string]way {
	ctx := f.Context()
	return map[string]way{
		"resuming an agent": {
			before: func(o belongings) {
				_, err := f.store.PauseAgents(ctx, f.pausing(o.agent, at(35)))
				f.ok(err)
			},
			do: func(o belongings) error { return f.store.ResumeAgent(ctx, f.pausing(o.agent, at(36))) },
		},
		"adding a client":   {do: func(belongings) error { return f.store.AddClient(ctx, f.client()) }},
		"storing a request": {do: func(belongings) error { return f.store.CreateDeviceRequest(ctx, f.request()) }},
		"storing a review":  {do: func(o belongings) error { return f.store.CreateReview(ctx, f.review(), plenty) }},
		"using a key":       {do: func(belongings) error { return f.store.UseOnce(ctx, f.hash(), at(0), at(60)) }},
		"counting guesses":  {do: func(belongings) error { return f.store.CountGuesses(ctx, []string{"a", "b"}, at(0)) }},
		"creating an account": {do: func(belongings) error {
			id := f.word("account")
			return f.store.CreateAccount(ctx, authz.Account{ID: id, CreatedAt: at(0)}, f.newIdentity(id))
		}},
		"adding a passkey": {do: func(o belongings) error {
			return f.store.AddPasskey(ctx, f.passkey(o.identity), 100, f.event(o.identity.AccountID))
		}},
		"changing signing keys": {do: func(belongings) error {
			seen, err := f.store.SigningKeys(ctx, at(0))
			if err != nil {
				return err
			}
			return f.store.ChangeSigningKeys(ctx, contract.KeyChange{Seen: seen, At: at(0), Keys: []authz.SigningKey{f.key("ES256"), f.key("RS256")}})
		}},
		"opening a request in a browser": {do: func(o belongings) error {
			_, err := f.store.OpenDeviceRequest(ctx, contract.Opening{RequestID: o.elsewhere.ID, AccountID: o.identity.AccountID, Browser: f.hash(), At: at(1)})
			return err
		}},
		"opening a request signed out": {do: func(o belongings) error {
			_, err := f.store.OpenDeviceRequest(ctx, contract.Opening{RequestID: o.elsewhere.ID, Browser: f.hash(), At: at(1)})
			return err
		}},
		"approving with a passkey": {do: func(o belongings) error {
			a := f.approval(o.opened, o.identity)
			a.Grant.Passkey, a.Event = o.passkey.ID, f.event(o.identity.AccountID)
			return f.store.ApproveDeviceRequest(ctx, a)
		}},
		"approving and remembering": {do: func(o belongings) error {
			a := f.approval(o.opened, o.identity)
			a.Event, a.ConsentsKeep = f.event(o.identity.AccountID), plenty
			a.Consent = &authz.Consent{AccountID: a.AccountID, ClientID: a.Grant.ClientID, BAPID: a.Grant.BAPID, GrantID: a.Grant.ID, GivenAt: at(40), ExpiresAt: at(6000)}
			return f.store.ApproveDeviceRequest(ctx, a)
		}},
		"letting in where others go": f.lettingInThatForgets(),
		"revoking and reporting": {do: func(o belongings) error {
			return f.store.RevokeGrant(ctx, contract.Revocation{
				GrantID: o.issued.grant.ID, At: at(40), Event: f.event(o.identity.AccountID), AccountID: o.identity.AccountID, Reported: []string{"client:a", "network:b"},
				Keep: plenty,
			})
		}},
		"pinging": {inParts: true, do: func(belongings) error { return f.store.Ping(ctx) }},
		"approving where older grants are forgotten": f.approvalThatForgets(),
		"sweeping": f.sweepOfAll(),
	}
}

// approvalThatForgets is of an account that has as many grants as are kept.
func (f *fixture) approvalThatForgets() way {
	ctx, full := f.Context(), false
	return way{
		before: func(o belongings) {
			if full {
				return
			}
			full = true
			made := f.approvals(few.Most, o.identity)
			for n := range made {
				made[n].Grant.RevokedAt = at(1)
			}
			f.all(len(made), func(n int) error { return f.store.ApproveDeviceRequest(ctx, made[n]) })
		},
		do: func(o belongings) error {
			a := f.approval(o.opened, o.identity)
			a.Keep = few
			return f.store.ApproveDeviceRequest(ctx, a)
		},
	}
}

// lettingInThatForgets is of a client that was let in before, once for nothing.
func (f *fixture) lettingInThatForgets() way {
	ctx, in := f.Context(), false
	return way{
		before: func(o belongings) {
			if in {
				return
			}
			in = true
			for redeemed := range 2 {
				a := f.lettingIn(o.consent, o.identity, at(11))
				f.ok(f.store.ApproveDeviceRequest(ctx, a))
				if redeemed == 1 {
					r, err := f.store.DeviceRequestByID(ctx, a.RequestID)
					f.ok(err)
					f.ok(f.store.RedeemDeviceRequest(ctx, contract.Redemption{DeviceCode: r.DeviceCode, ClientID: r.ClientID, At: at(12)}))
				}
			}
		},
		do: func(o belongings) error { return f.store.ApproveDeviceRequest(ctx, f.lettingInOpened(o)) },
	}
}

// sweepOfAll finds something of each kind.
func (f *fixture) sweepOfAll() way {
	ctx, over := f.Context(), at(99_999)
	return way{
		inParts: true,
		before: func(o belongings) {
			f.everything()
			f.ok(f.store.UseOnce(ctx, f.hash(), at(0), at(60)))
			f.ok(f.store.CountGuesses(ctx, []string{"a"}, at(0)))
			f.report("alice", at(1), "client:a")
		},
		do: func(belongings) error {
			_, err := f.store.Sweep(ctx, contract.SweepTimes{DeviceRequests: over, Grants: over, Events: over, Counted: over, Rest: over}, 100)
			return err
		},
	}
}
