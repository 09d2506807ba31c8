package storagetest

import (
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/google/go-cmp/cmp"

	"countersign.dev/internal/authz"
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
	first, token     authz.RefreshToken
	review           authz.Review
	elsewhere        authz.DeviceRequest // that another server has stored; of RunBroken
}

// everything stores it.
func (b *bench) everything() (o belongings) {
	b.Helper()
	ctx := b.Context()
	o.client = b.client()
	b.ok(b.store.AddClient(ctx, o.client))
	o.approved = b.approvedWith(func(r *authz.DeviceRequest, g *authz.Grant) { r.ClientID, g.ClientID = o.client.ID, o.client.ID })
	o.identity = o.approved.identity
	account := o.identity.AccountID
	o.second = b.newIdentity(account)
	b.ok(b.store.LinkIdentity(ctx, o.second, o.identity.BAPID, many, b.event(account)))
	o.session, o.other = b.session(o.identity), b.session(o.identity)
	b.ok(b.store.CreateSession(ctx, authz.NewSession{Session: o.session, Event: b.event(account), Keep: plenty}))
	b.ok(b.store.CreateSession(ctx, authz.NewSession{Session: o.other, Event: b.event(account), Keep: plenty}))
	o.passkey = b.added(o.identity)
	b.added(o.second)
	for _, i := range []authz.Identity{o.identity, o.second} {
		b.ok(b.store.SaveBackup(ctx, b.backup(i), i.BAPID, b.event(account)))
	}
	o.pending, o.opened = b.pending(), b.pending()
	_, err := b.store.OpenDeviceRequest(ctx, authz.Opening{RequestID: o.opened.ID, AccountID: account, Browser: b.hash(), Claim: true, At: at(1)})
	b.ok(err)
	// A second grant, with a refresh token that was rotated once.
	r := b.pending()
	a := b.approval(r, o.identity)
	a.Event = b.event(account)
	b.ok(b.store.ApproveDeviceRequest(ctx, a))
	o.issued = approved{r, o.identity, a.Grant, a.Receipt}
	redemption := b.redemption(o.issued)
	b.ok(b.store.RedeemDeviceRequest(ctx, redemption))
	o.first = *redemption.RefreshToken
	o.token = b.rotated(o.first, at(30)).Successor
	o.review = b.review()
	b.ok(b.store.CreateReview(ctx, o.review, plenty))
	return o
}

// keptOf is all that the store says of somebody's belongings. What it does not have
// is nil.
func (b *bench) keptOf(o belongings) (all []any) {
	b.Helper()
	ctx, account := b.Context(), o.identity.AccountID
	one := func(v any, err error) {
		b.Helper()
		if err != nil && !errors.Is(err, authz.ErrNotFound) {
			b.Fatal(err)
		}
		if err != nil {
			v = nil
		}
		all = append(all, v)
	}
	c, err := b.store.Client(ctx, o.client.ID)
	one(c, err)
	for _, id := range []string{o.identity.BAPID, o.second.BAPID} {
		i, err := b.store.Identity(ctx, id)
		one(i, err)
		backup, err := b.store.Backup(ctx, account, id)
		one(backup, err)
	}
	a, err := b.store.Account(ctx, account)
	one(a, err)
	sessions, err := b.store.Sessions(ctx, account, at(40), many)
	one(sessions, err)
	for _, t := range []authz.Hash{o.session.Token, o.other.Token} {
		s, err := b.store.Session(ctx, t, at(40))
		one(s, err)
	}
	passkeys, err := b.store.Passkeys(ctx, account, many)
	one(passkeys, err)
	for _, r := range []authz.DeviceRequest{o.pending, o.opened, o.approved.request, o.issued.request} {
		byCode, err := b.store.DeviceRequest(ctx, r.DeviceCode)
		one(byCode, err)
		byID, err := b.store.DeviceRequestByID(ctx, r.ID)
		one(byID, err)
	}
	for _, id := range []string{o.approved.grant.ID, o.issued.grant.ID} {
		g, err := b.store.Grant(ctx, id)
		one(g, err)
		live, i, err := b.store.LiveGrant(ctx, id, at(40))
		one([]any{live, i}, err)
		receipt, err := b.store.Receipt(ctx, id)
		one(receipt, err)
	}
	for _, t := range []authz.RefreshToken{o.first, o.token} {
		kept, err := b.store.RefreshToken(ctx, t.Token, at(40))
		one(kept, err)
	}
	events, err := b.store.Events(ctx, account, authz.Position{}, 100)
	one(events, err)
	return all
}

// deeds are everything that can be done to somebody's belongings.
func (b *bench) deeds() map[string]func(o belongings) error {
	all := b.accountDeeds()
	maps.Copy(all, b.requestDeeds())
	maps.Copy(all, b.grantDeeds())
	return all
}

// accountDeeds are those to clients, accounts, sessions, passkeys and backups.
func (b *bench) accountDeeds() map[string]func(o belongings) error {
	ctx := b.Context()
	return map[string]func(o belongings) error{
		"removing a client": func(o belongings) error { return b.store.RemoveClient(ctx, o.client.ID, at(40)) },
		"setting a profile": func(o belongings) error {
			return b.store.SetProfile(ctx, o.identity.BAPID, authz.Profile{Name: b.word("name")}, b.event(o.identity.AccountID))
		},
		"linking an identity": func(o belongings) error {
			return b.store.LinkIdentity(ctx, b.newIdentity(o.identity.AccountID), o.second.BAPID, many, b.event(o.identity.AccountID))
		},
		"removing an identity": func(o belongings) error { return b.store.RemoveIdentity(ctx, b.removal(o.second, o.identity)) },
		"deleting a session": func(o belongings) error {
			return b.store.DeleteSession(ctx, o.session.Token, b.event(o.identity.AccountID))
		},
		"ending a session": func(o belongings) error {
			return b.store.EndSession(ctx, o.identity.AccountID, o.session.ID, at(40), b.event(o.identity.AccountID))
		},
		"removing a passkey": func(o belongings) error {
			return b.store.RemovePasskey(ctx, o.identity.AccountID, o.passkey.ID, at(40), b.event(o.identity.AccountID))
		},
		"saving a backup": func(o belongings) error {
			return b.store.SaveBackup(ctx, b.backup(o.identity), o.identity.BAPID, b.event(o.identity.AccountID))
		},
		"removing a backup": func(o belongings) error {
			return b.store.RemoveBackup(ctx, o.identity.AccountID, o.identity.BAPID, o.second.BAPID, b.event(o.identity.AccountID))
		},
		"ending other sessions": func(o belongings) error {
			_, err := b.store.EndOtherSessions(ctx, o.identity.AccountID, o.session.Token, at(40), b.event(o.identity.AccountID))
			return err
		},
		"replacing a session": func(o belongings) error {
			return b.store.CreateSession(ctx, authz.NewSession{Session: b.session(o.identity), Replaces: o.session.Token, Event: b.event(o.identity.AccountID), Keep: plenty})
		},
		"signing in with a passkey": func(o belongings) error { return b.store.CreateSession(ctx, b.signIn(o.passkey, 8)) },
	}
}

// requestDeeds are those to device requests, and the sweep.
func (b *bench) requestDeeds() map[string]func(o belongings) error {
	ctx := b.Context()
	return map[string]func(o belongings) error{
		"cancelling a request": func(o belongings) error { return b.store.CancelDeviceRequest(ctx, o.pending.ID, at(40)) },
		"opening a request": func(o belongings) error {
			_, err := b.store.OpenDeviceRequest(ctx, authz.Opening{RequestID: o.pending.ID, AccountID: o.identity.AccountID, Claim: true, At: at(40)})
			return err
		},
		"approving a request": func(o belongings) error {
			a := b.approval(o.opened, o.identity)
			a.Event = b.event(o.identity.AccountID)
			return b.store.ApproveDeviceRequest(ctx, a)
		},
		"denying a request": func(o belongings) error {
			return b.store.DenyDeviceRequest(ctx, authz.Denial{
				RequestID: o.opened.ID, AccountID: o.identity.AccountID, At: at(40), Reported: []string{"client:" + b.word("client")}, Event: b.event(o.identity.AccountID),
				Keep: plenty,
			})
		},
		"redeeming a request": func(o belongings) error { return b.store.RedeemDeviceRequest(ctx, b.redemption(o.approved)) },
		"taking a review": func(o belongings) error {
			_, err := b.store.TakeReview(ctx, o.review.ID, o.review.Session, at(40))
			return err
		},
		"sweeping": func(belongings) error {
			_, err := b.store.Sweep(ctx, authz.SweepTimes{DeviceRequests: at(0), Grants: at(0), Events: at(0), Rest: at(0)}, 100)
			return err
		},
	}
}

// grantDeeds are those to grants and their tokens.
func (b *bench) grantDeeds() map[string]func(o belongings) error {
	ctx := b.Context()
	return map[string]func(o belongings) error{
		"revoking a grant": func(o belongings) error {
			return b.store.RevokeGrant(ctx, authz.Revocation{GrantID: o.issued.grant.ID, At: at(40), Event: b.event(o.identity.AccountID)})
		},
		"revoking all grants": func(o belongings) error {
			_, err := b.store.RevokeGrants(ctx, o.identity.AccountID, at(40), b.event(o.identity.AccountID))
			return err
		},
		"rotating a refresh token": func(o belongings) error { return b.store.RotateRefreshToken(ctx, b.rotation(o.token, at(35))) },
		"rotating and forgetting": func(o belongings) error {
			r := b.rotation(o.token, at(35))
			r.Forgotten = o.first.Token
			return b.store.RotateRefreshToken(ctx, r)
		},
		"rotating twice, and forgetting what was replaced before": func(o belongings) error {
			r := b.rotation(o.token, at(35))
			if err := b.store.RotateRefreshToken(ctx, r); err != nil {
				return err
			}
			r = b.rotation(r.Successor, at(36))
			r.Forgotten = o.first.Token // which o.token replaced
			return b.store.RotateRefreshToken(ctx, r)
		},
		"rotating after the end": func(o belongings) error {
			err := b.store.RevokeGrant(ctx, authz.Revocation{GrantID: o.issued.grant.ID, At: at(34), Event: b.event(o.identity.AccountID)})
			if err != nil {
				return err
			}
			if err := b.store.RotateRefreshToken(ctx, b.rotation(o.token, at(35))); !errors.Is(err, authz.ErrNotFound) {
				return errors.New("it was rotated")
			}
			return nil
		},
		"using a refresh token twice": func(o belongings) error {
			r := b.rotation(o.first, at(35))
			r.Reuse = b.event(o.identity.AccountID)
			if err := b.store.RotateRefreshToken(ctx, r); !errors.Is(err, authz.ErrReused) {
				return errors.New("it was rotated")
			}
			return nil
		},
	}
}

var neighbourCases = []testCase{
	// The first account of all is disabled, and the last: whoever asks for the wrong
	// one is told so.
	{"what is done to one owner's belongings leaves another's as they are", func(b *bench) {
		b.accountWith(func(a *authz.Account) { a.Disabled = true })
		before := b.everything()
		first := b.keptOf(before) // of the first neighbour before there was another
		acted, after := b.everything(), b.everything()
		b.accountWith(func(a *authz.Account) { a.Disabled = true })
		names := []string{}
		for name := range b.deeds() {
			names = append(names, name)
		}
		slices.Sort(names)
		for n, name := range names {
			if n > 0 {
				acted = b.everything()
			}
			last, mine := b.keptOf(after), b.keptOf(acted)
			if slices.Contains(first, nil) {
				b.Fatalf("before %s: %v", name, first)
			}
			b.ok(b.deeds()[name](acted))
			b.same(b.keptOf(before), first)
			b.same(b.keptOf(after), last)
			b.changesLittle(name, mine, b.keptOf(acted))
		}
		for _, o := range []belongings{before, after} {
			_, err := b.store.TakeReview(b.Context(), o.review.ID, o.review.Session, at(40))
			b.ok(err)
		}
	}},
	{"a disabled account's grants are not alive, whoever else there is", func(b *bench) {
		b.approved()
		_, i := b.accountWith(func(a *authz.Account) { a.Disabled = true })
		b.approved()
		r := b.pending()
		a := b.approval(r, i)
		b.ok(b.store.ApproveDeviceRequest(b.Context(), a))
		_, _, err := b.store.LiveGrant(b.Context(), a.Grant.ID, at(40))
		b.refused(err, authz.ErrNotFound)
	}},
	{"what is over at a time is swept after it, and not at it", func(b *bench) {
		ctx, over := b.Context(), at(60)
		_, i := b.account()
		s, r, key := b.session(i), b.review(), b.hash()
		s.ExpiresAt, r.ExpiresAt = over, over
		b.ok(b.store.CreateSession(ctx, authz.NewSession{Session: s, Event: anyEvent, Keep: plenty}))
		b.ok(b.store.CreateReview(ctx, r, plenty))
		b.ok(b.store.UseOnce(ctx, key, at(0), over))
		b.ok(b.store.CountGuesses(ctx, []string{"subject"}, over))
		b.report("alice", over, "client:a")
		redemption := b.redemption(b.approved())
		redemption.RefreshToken.ExpiresAt = over
		b.ok(b.store.RedeemDeviceRequest(ctx, redemption))
		all := func(before time.Time) int {
			n, err := b.store.Sweep(ctx, authz.SweepTimes{DeviceRequests: at(0), Grants: at(0), Counted: before, Rest: before}, 100)
			b.ok(err)
			return n
		}
		b.same(all(over), 0)
		b.same(all(over.Add(time.Millisecond)), 6)
	}},
}

// changes is how many of an owner's belongings each deed changes. Sessions count
// twice, in their list and by themselves, requests by code and by id, and grants
// dead or alive; the events are one.
var changes = map[string]int{
	"approving a request": 3, "cancelling a request": 2, "deleting a session": 3, "denying a request": 3, "ending a session": 3,
	"ending other sessions": 3, "linking an identity": 1, "opening a request": 2, "redeeming a request": 4, "removing a backup": 2,
	"removing a client": 3, "removing a passkey": 2, "removing an identity": 4, "replacing a session": 3, "revoking a grant": 3, "revoking all grants": 5,
	"rotating a refresh token": 2, "rotating and forgetting": 3, "saving a backup": 2, "setting a profile": 4, "signing in with a passkey": 3,
	"rotating twice, and forgetting what was replaced before": 2, "rotating after the end": 3, "using a refresh token twice": 3, "taking a review": 0, "sweeping": 0,
}

func (b *bench) changesLittle(name string, before, after []any) {
	b.Helper()
	n := 0
	for k := range before {
		if !cmp.Equal(before[k], after[k]) {
			n++
		}
	}
	if n != changes[name] {
		b.Errorf("%s changes %d of its owner's belongings, want %d", name, n, changes[name])
	}
}
