package storagetest

import (
	"fmt"
	"slices"
	"time"

	"countersign.dev/internal/authz"
)

// approved is a request that was approved, and what came of it.
type approved struct {
	request  authz.DeviceRequest // as it is kept after the approval
	identity authz.Identity
	grant    authz.Grant
	receipt  string
}

// approval makes what an owner's approval of a request stores.
func (b *bench) approval(r authz.DeviceRequest, i authz.Identity) authz.Approval {
	return authz.Approval{
		RequestID: r.ID, AccountID: i.AccountID, Unclaimed: true, At: at(10), Grant: b.grant(r, i), Receipt: b.word("receipt"),
		Event: anyEvent, Keep: plenty, Living: many,
	}
}

// approved stores an account and a request of nobody, which the account approves.
func (b *bench) approved() approved {
	b.Helper()
	return b.approvedWith(func(*authz.DeviceRequest, *authz.Grant) {})
}

func (b *bench) approvedWith(edit func(*authz.DeviceRequest, *authz.Grant)) approved {
	b.Helper()
	_, identity := b.account()
	r := b.request()
	g := b.grant(r, identity)
	edit(&r, &g)
	b.ok(b.store.CreateDeviceRequest(b.Context(), r))
	a := b.approval(r, identity)
	a.Grant = g
	b.ok(b.store.ApproveDeviceRequest(b.Context(), a))
	r.State, r.AccountID = authz.Approved, a.AccountID
	return approved{r, identity, g, a.Receipt}
}

// decide is approving or denying, whose conditions are the same.
type decide func(b *bench, r authz.DeviceRequest, accountID string, unclaimed bool, at time.Time) error

func approve(b *bench, r authz.DeviceRequest, accountID string, unclaimed bool, at time.Time) error {
	a := b.approval(r, b.memberOf(accountID))
	a.Unclaimed, a.At = unclaimed, at
	return b.store.ApproveDeviceRequest(b.Context(), a)
}

func deny(b *bench, r authz.DeviceRequest, accountID string, unclaimed bool, at time.Time) error {
	return b.store.DenyDeviceRequest(b.Context(), authz.Denial{RequestID: r.ID, AccountID: accountID, Unclaimed: unclaimed, At: at, Event: anyEvent, Keep: plenty})
}

// noGrant ends the test if a request has a grant or a receipt.
func (b *bench) noGrant(r authz.DeviceRequest) {
	b.Helper()
	_, err := b.store.Grant(b.Context(), r.ID)
	b.refused(err, authz.ErrNotFound)
	_, err = b.store.Receipt(b.Context(), r.ID)
	b.refused(err, authz.ErrNotFound)
}

// redeem redeems a request with a refresh token of its own.
func (b *bench) redemption(a approved) authz.Redemption {
	return authz.Redemption{
		DeviceCode: a.request.DeviceCode, ClientID: a.request.ClientID, At: at(20),
		RefreshToken: &authz.RefreshToken{Token: b.hash(), GrantID: a.grant.ID, ExpiresAt: at(6000)},
	}
}

// neverIssued ends the test if a redemption left anything behind.
func (b *bench) neverIssued(r authz.Redemption, g authz.Grant) {
	b.Helper()
	_, err := b.store.RefreshToken(b.Context(), r.RefreshToken.Token, r.At)
	b.refused(err, authz.ErrNotFound)
	got, err := b.store.Grant(b.Context(), g.ID)
	b.ok(err)
	b.same(got, g)
}

var decisionCases = slices.Concat(
	conditions("an approval", approve, authz.Approved),
	conditions("a denial", deny, authz.Denied),
	[]testCase{
		{"an approval stores the grant and the receipt with it", func(b *bench) {
			a := b.approved()
			b.kept(a.request)
			got, err := b.store.Grant(b.Context(), a.grant.ID)
			b.ok(err)
			b.same(got, a.grant)
			receipt, err := b.store.Receipt(b.Context(), a.grant.ID)
			b.ok(err)
			b.same(receipt, a.receipt)
		}},
		{"an approval whose grant cannot be stored does not happen", func(b *bench) {
			first, second := b.approved(), b.pending()
			a := b.approval(second, first.identity)
			a.Grant.ID = first.grant.ID
			if err := b.store.ApproveDeviceRequest(b.Context(), a); err == nil {
				b.Fatal("two grants have one id")
			}
			b.kept(second)
		}},
		{"an approval needs its identity and its passkey to be the account's", func(b *bench) {
			a, i := b.account()
			_, foreign := b.account()
			mine, theirs := b.added(i), b.added(foreign)
			for _, edit := range []func(g *authz.Grant){
				func(g *authz.Grant) { g.BAPID = foreign.BAPID },
				func(g *authz.Grant) { g.BAPID = "nobody" },
				func(g *authz.Grant) { g.Passkey = theirs.ID },
				func(g *authz.Grant) { g.Passkey = "none" },
			} {
				r := b.pending()
				refused := b.approval(r, i)
				refused.Event = b.event(a.ID)
				edit(&refused.Grant)
				b.refused(b.store.ApproveDeviceRequest(b.Context(), refused), authz.ErrGone)
				b.kept(r)
				b.noGrant(r)
				b.ok(claim(b, b.store, r.ID, "somebody else", at(1)))
				r.AccountID = "somebody else"
				b.wrongState(b.store.ApproveDeviceRequest(b.Context(), refused), r)
			}
			r := b.pending()
			good := b.approval(r, i)
			good.Grant.Passkey, good.Event = mine.ID, b.event(a.ID)
			b.ok(b.store.ApproveDeviceRequest(b.Context(), good))
			got, err := b.store.Grant(b.Context(), r.ID)
			b.ok(err)
			b.same(got, good.Grant)
			events, err := b.store.Events(b.Context(), a.ID, authz.Position{}, 100)
			b.ok(err)
			b.same(len(events), 2) // the passkey's addition is the other
		}},
		{"of 32 concurrent approvals and denials one succeeds, and only its grant is there", decisionRace},
		{"a denied request has no grant and cannot be redeemed", func(b *bench) {
			r := b.pending()
			b.ok(deny(b, r, "alice", true, at(10)))
			r.State, r.AccountID = authz.Denied, "alice"
			b.wrongState(b.store.RedeemDeviceRequest(b.Context(), b.redemption(approved{request: r})), r)
			b.noGrant(r)
			b.kept(r)
		}},
		{"a redemption stores the refresh token and when the grant was used", func(b *bench) {
			a := b.approved()
			r := b.redemption(a)
			b.ok(b.store.RedeemDeviceRequest(b.Context(), r))
			a.request.State, a.grant.LastUsedAt = authz.Redeemed, r.At
			b.kept(a.request)
			g, err := b.store.Grant(b.Context(), a.grant.ID)
			b.ok(err)
			b.same(g, a.grant)
			token, err := b.store.RefreshToken(b.Context(), r.RefreshToken.Token, r.At)
			b.ok(err)
			b.same(token, *r.RefreshToken)
		}},
		{"a redemption needs no refresh token", func(b *bench) {
			a := b.approved()
			r := b.redemption(a)
			r.RefreshToken = nil
			b.ok(b.store.RedeemDeviceRequest(b.Context(), r))
			a.request.State = authz.Redeemed
			b.kept(a.request)
		}},
		{"D-31 a device code works once", func(b *bench) {
			a := b.approved()
			first, second := b.redemption(a), b.redemption(a)
			b.ok(b.store.RedeemDeviceRequest(b.Context(), first))
			a.request.State, a.grant.LastUsedAt = authz.Redeemed, first.At
			b.wrongState(b.store.RedeemDeviceRequest(b.Context(), second), a.request)
			b.neverIssued(second, a.grant)
		}},
		{"D-32 of 64 concurrent redemptions one succeeds, and only its token is there", redemptionRace},
		{"D-24 a code is bound to its client", func(b *bench) {
			a := b.approved()
			r := b.redemption(a)
			r.ClientID = "another client"
			b.refused(b.store.RedeemDeviceRequest(b.Context(), r), authz.ErrNotFound)
			b.neverIssued(r, a.grant)
			b.ok(b.store.RedeemDeviceRequest(b.Context(), b.redemption(a)))
		}},
		{"a redemption needs a code that is there, approved and not expired", func(b *bench) {
			a := b.approved()
			r := b.redemption(a)
			r.DeviceCode = b.hash()
			b.refused(b.store.RedeemDeviceRequest(b.Context(), r), authz.ErrNotFound)

			pending := b.pending()
			b.wrongState(b.store.RedeemDeviceRequest(b.Context(), b.redemption(approved{request: pending})), pending)

			late := b.redemption(a)
			late.At = a.request.ExpiresAt // requirement D-29
			b.wrongState(b.store.RedeemDeviceRequest(b.Context(), late), a.request)
			b.neverIssued(late, a.grant)
			inTime := b.redemption(a)
			inTime.At = a.request.ExpiresAt.Add(-time.Millisecond)
			b.ok(b.store.RedeemDeviceRequest(b.Context(), inTime))
		}},
		{"a redemption whose token cannot be stored does not happen", func(b *bench) {
			first, second := b.approved(), b.approved()
			taken, r := b.redemption(first), b.redemption(second)
			b.ok(b.store.RedeemDeviceRequest(b.Context(), taken))
			r.RefreshToken.Token = taken.RefreshToken.Token
			if err := b.store.RedeemDeviceRequest(b.Context(), r); err == nil {
				b.Fatal("two grants have one refresh token")
			}
			b.kept(second.request)
		}},
	},
)

// conditions are the cases in which approving and denying are alike.
func conditions(name string, do decide, done authz.State) []testCase {
	return []testCase{
		{name + " is a claim too, where nobody has claimed and that is allowed", func(b *bench) {
			r := b.pending()
			b.ok(do(b, r, "alice", true, at(10)))
			r.State, r.AccountID = done, "alice"
			b.kept(r)
		}},
		{name + " of a request of nobody is refused where that is not allowed", func(b *bench) {
			r := b.pending()
			b.wrongState(do(b, r, "alice", false, at(10)), r)
			b.kept(r)
			b.noGrant(r)
		}},
		{name + " by the account that claimed succeeds", func(b *bench) {
			r := b.pending()
			b.ok(claim(b, b.store, r.ID, "alice", at(1)))
			b.ok(do(b, r, "alice", false, at(10)))
			r.State, r.AccountID = done, "alice"
			b.kept(r)
		}},
		{"D-37 " + name + " by another account than the one that claimed is refused", func(b *bench) {
			r := b.pending()
			b.ok(claim(b, b.store, r.ID, "alice", at(1)))
			r.AccountID = "alice"
			for _, unclaimed := range []bool{false, true} {
				b.wrongState(do(b, r, "bob", unclaimed, at(10)), r)
			}
			b.kept(r)
			b.noGrant(r)
		}},
		{name + " comes before the expiry", func(b *bench) {
			r := b.pending()
			b.wrongState(do(b, r, "alice", true, r.ExpiresAt), r)
			b.noGrant(r)
			b.ok(do(b, r, "alice", true, r.ExpiresAt.Add(-time.Millisecond)))
		}},
		{name + " of a decided or redeemed request is refused", func(b *bench) {
			yes, no := b.approved().request, b.pending()
			b.wrongState(do(b, yes, yes.AccountID, true, at(20)), yes)
			b.ok(deny(b, no, "alice", true, at(10)))
			no.State, no.AccountID = authz.Denied, "alice"
			b.wrongState(do(b, no, "alice", true, at(20)), no)
			redeemed := b.approved()
			b.ok(b.store.RedeemDeviceRequest(b.Context(), b.redemption(redeemed)))
			redeemed.request.State = authz.Redeemed
			b.wrongState(do(b, redeemed.request, redeemed.request.AccountID, true, at(30)), redeemed.request)
		}},
		{name + " of a request that is not there is refused", func(b *bench) {
			r := b.request()
			b.refused(do(b, r, "alice", true, at(10)), authz.ErrNotFound)
			b.noGrant(r)
		}},
	}
}

// decisionRace lets many owners approve and deny one request at once.
func decisionRace(b *bench) {
	r := b.pending()
	approvals := make([]authz.Approval, 32)
	for i := range approvals {
		approvals[i] = b.approval(r, b.memberOf(fmt.Sprintf("account %d", i)))
	}
	errs := race(len(approvals), func(i int) error {
		if i%2 == 0 {
			return b.store.ApproveDeviceRequest(b.Context(), approvals[i])
		}
		return deny(b, r, approvals[i].AccountID, true, at(10))
	})
	b.count(errs, 1, isState)
	winner := slices.Index(errs, nil)
	r.AccountID = approvals[winner].AccountID
	if winner%2 == 1 {
		r.State = authz.Denied
		b.kept(r)
		b.noGrant(r)
		return
	}
	r.State = authz.Approved
	b.kept(r)
	g, err := b.store.Grant(b.Context(), r.ID)
	b.ok(err)
	b.same(g, approvals[winner].Grant)
	receipt, err := b.store.Receipt(b.Context(), r.ID)
	b.ok(err)
	b.same(receipt, approvals[winner].Receipt)
}

func redemptionRace(b *bench) {
	a := b.approved()
	redemptions := make([]authz.Redemption, 64)
	for i := range redemptions {
		redemptions[i] = b.redemption(a)
	}
	errs := race(len(redemptions), func(i int) error { return b.store.RedeemDeviceRequest(b.Context(), redemptions[i]) })
	b.count(errs, 1, isState)
	for i, r := range redemptions {
		_, err := b.store.RefreshToken(b.Context(), r.RefreshToken.Token, r.At)
		if errs[i] == nil {
			b.ok(err)
		} else {
			b.refused(err, authz.ErrNotFound)
		}
	}
}
