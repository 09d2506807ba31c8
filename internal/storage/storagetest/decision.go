package storagetest

import (
	"fmt"
	"slices"
	"time"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/contract"
)

// approved is a request that was approved, and what came of it.
type approved struct {
	request  authz.DeviceRequest // as it is kept after the approval
	identity authz.Identity
	grant    authz.Grant
	receipt  string
}

// approval makes what an owner's approval of a request stores.
func (f *fixture) approval(r authz.DeviceRequest, i authz.Identity) contract.Approval {
	return contract.Approval{
		RequestID: r.ID, AccountID: i.AccountID, Unclaimed: true, At: at(10), Grant: f.grant(r, i), Receipt: f.word("receipt"),
		Event: anyEvent, Keep: plenty, Living: many,
	}
}

// approved stores an account and a request of nobody, which the account approves.
func (f *fixture) approved() approved {
	f.Helper()
	return f.approvedWith(func(*authz.DeviceRequest, *authz.Grant) {})
}

func (f *fixture) approvedWith(edit func(*authz.DeviceRequest, *authz.Grant)) approved {
	f.Helper()
	_, identity := f.account()
	r := f.request()
	g := f.grant(r, identity)
	edit(&r, &g)
	f.ok(f.store.CreateDeviceRequest(f.Context(), r))
	a := f.approval(r, identity)
	a.Grant = g
	f.ok(f.store.ApproveDeviceRequest(f.Context(), a))
	r.State, r.AccountID = authz.Approved, a.AccountID
	return approved{r, identity, g, a.Receipt}
}

// decide is approving or denying, whose conditions are the same.
type decide func(f *fixture, r authz.DeviceRequest, accountID string, unclaimed bool, at time.Time) error

func approve(f *fixture, r authz.DeviceRequest, accountID string, unclaimed bool, at time.Time) error {
	a := f.approval(r, f.memberOf(accountID))
	a.Unclaimed, a.At = unclaimed, at
	return f.store.ApproveDeviceRequest(f.Context(), a)
}

func deny(f *fixture, r authz.DeviceRequest, accountID string, unclaimed bool, at time.Time) error {
	return f.store.DenyDeviceRequest(f.Context(), contract.Denial{RequestID: r.ID, AccountID: accountID, Unclaimed: unclaimed, At: at, Event: anyEvent, Keep: plenty})
}

// noGrant ends the test if a request has a grant or a receipt.
func (f *fixture) noGrant(r authz.DeviceRequest) {
	f.Helper()
	_, err := f.store.Grant(f.Context(), r.ID)
	f.refused(err, contract.ErrNotFound)
	_, err = f.store.Receipt(f.Context(), r.ID)
	f.refused(err, contract.ErrNotFound)
}

// redeem redeems a request with a refresh token of its own.
func (f *fixture) redemption(a approved) contract.Redemption {
	return contract.Redemption{
		DeviceCode: a.request.DeviceCode, ClientID: a.request.ClientID, At: at(20),
		RefreshToken: &authz.RefreshToken{Token: f.hash(), GrantID: a.grant.ID, ExpiresAt: at(6000), Thumbprint: f.word("thumbprint")},
	}
}

// neverIssued ends the test if a redemption left anything behind.
func (f *fixture) neverIssued(r contract.Redemption, g authz.Grant) {
	f.Helper()
	_, err := f.store.RefreshToken(f.Context(), r.RefreshToken.Token, r.At)
	f.refused(err, contract.ErrNotFound)
	got, err := f.store.Grant(f.Context(), g.ID)
	f.ok(err)
	f.same(got, g)
}

var decisionCases = slices.Concat(
	conditions("an approval", approve, authz.Approved),
	conditions("a denial", deny, authz.Denied),
	[]testCase{
		{"an approval stores the grant and the receipt with it", func(f *fixture) {
			a := f.approved()
			f.kept(a.request)
			got, err := f.store.Grant(f.Context(), a.grant.ID)
			f.ok(err)
			f.same(got, a.grant)
			receipt, err := f.store.Receipt(f.Context(), a.grant.ID)
			f.ok(err)
			f.same(receipt, a.receipt)
		}},
		{"an approval whose grant cannot be stored does not happen", func(f *fixture) {
			first, second := f.approved(), f.pending()
			a := f.approval(second, first.identity)
			a.Grant.ID = first.grant.ID
			if err := f.store.ApproveDeviceRequest(f.Context(), a); err == nil {
				f.Fatal("two grants have one id")
			}
			f.kept(second)
		}},
		{"an approval needs its identity and its passkey to be the account's", func(f *fixture) {
			a, i := f.account()
			_, foreign := f.account()
			mine, theirs := f.added(i), f.added(foreign)
			for _, edit := range []func(g *authz.Grant){
				func(g *authz.Grant) { g.BAPID = foreign.BAPID },
				func(g *authz.Grant) { g.BAPID = "nobody" },
				func(g *authz.Grant) { g.Passkey = theirs.ID },
				func(g *authz.Grant) { g.Passkey = "none" },
			} {
				r := f.pending()
				refused := f.approval(r, i)
				refused.Event = f.event(a.ID)
				edit(&refused.Grant)
				f.refused(f.store.ApproveDeviceRequest(f.Context(), refused), contract.ErrGone)
				f.kept(r)
				f.noGrant(r)
				f.ok(claim(f, f.store, r.ID, "somebody else", at(1)))
				r.AccountID = "somebody else"
				f.wrongState(f.store.ApproveDeviceRequest(f.Context(), refused), r)
			}
			r := f.pending()
			good := f.approval(r, i)
			good.Grant.Passkey, good.Event = mine.ID, f.event(a.ID)
			f.ok(f.store.ApproveDeviceRequest(f.Context(), good))
			got, err := f.store.Grant(f.Context(), r.ID)
			f.ok(err)
			f.same(got, good.Grant)
			events, err := f.store.Events(f.Context(), a.ID, contract.Position{}, 100)
			f.ok(err)
			f.same(len(events), 2) // the passkey's addition is the other
		}},
		{"of 32 concurrent approvals and denials one succeeds, and only its grant is there", decisionRace},
		{"a denied request has no grant and cannot be redeemed", func(f *fixture) {
			r := f.pending()
			f.ok(deny(f, r, "alice", true, at(10)))
			r.State, r.AccountID = authz.Denied, "alice"
			f.wrongState(f.store.RedeemDeviceRequest(f.Context(), f.redemption(approved{request: r})), r)
			f.noGrant(r)
			f.kept(r)
		}},
		{"a redemption stores the refresh token and when the grant was used", func(f *fixture) {
			a := f.approved()
			r := f.redemption(a)
			f.ok(f.store.RedeemDeviceRequest(f.Context(), r))
			a.request.State, a.grant.LastUsedAt = authz.Redeemed, r.At
			f.kept(a.request)
			g, err := f.store.Grant(f.Context(), a.grant.ID)
			f.ok(err)
			f.same(g, a.grant)
			token, err := f.store.RefreshToken(f.Context(), r.RefreshToken.Token, r.At)
			f.ok(err)
			f.same(token, *r.RefreshToken)
		}},
		{"a redemption needs no refresh token", func(f *fixture) {
			a := f.approved()
			r := f.redemption(a)
			r.RefreshToken = nil
			f.ok(f.store.RedeemDeviceRequest(f.Context(), r))
			a.request.State = authz.Redeemed
			f.kept(a.request)
		}},
		{"D-31 a device code works once", func(f *fixture) {
			a := f.approved()
			first, second := f.redemption(a), f.redemption(a)
			f.ok(f.store.RedeemDeviceRequest(f.Context(), first))
			a.request.State, a.grant.LastUsedAt = authz.Redeemed, first.At
			f.wrongState(f.store.RedeemDeviceRequest(f.Context(), second), a.request)
			f.neverIssued(second, a.grant)
		}},
		{"D-32 of 64 concurrent redemptions one succeeds, and only its token is there", redemptionRace},
		{"D-24 a code is bound to its client", func(f *fixture) {
			a := f.approved()
			r := f.redemption(a)
			r.ClientID = "another client"
			f.refused(f.store.RedeemDeviceRequest(f.Context(), r), contract.ErrNotFound)
			f.neverIssued(r, a.grant)
			f.ok(f.store.RedeemDeviceRequest(f.Context(), f.redemption(a)))
		}},
		{"a redemption needs a code that is there, approved and not expired", func(f *fixture) {
			a := f.approved()
			r := f.redemption(a)
			r.DeviceCode = f.hash()
			f.refused(f.store.RedeemDeviceRequest(f.Context(), r), contract.ErrNotFound)

			pending := f.pending()
			f.wrongState(f.store.RedeemDeviceRequest(f.Context(), f.redemption(approved{request: pending})), pending)

			late := f.redemption(a)
			late.At = a.request.ExpiresAt // requirement D-29
			f.wrongState(f.store.RedeemDeviceRequest(f.Context(), late), a.request)
			f.neverIssued(late, a.grant)
			inTime := f.redemption(a)
			inTime.At = a.request.ExpiresAt.Add(-time.Millisecond)
			f.ok(f.store.RedeemDeviceRequest(f.Context(), inTime))
		}},
		{"a redemption whose token cannot be stored does not happen", func(f *fixture) {
			first, second := f.approved(), f.approved()
			taken, r := f.redemption(first), f.redemption(second)
			f.ok(f.store.RedeemDeviceRequest(f.Context(), taken))
			r.RefreshToken.Token = taken.RefreshToken.Token
			if err := f.store.RedeemDeviceRequest(f.Context(), r); err == nil {
				f.Fatal("two grants have one refresh token")
			}
			f.kept(second.request)
		}},
	},
)

// conditions are the cases in which approving and denying are alike.
func conditions(name string, do decide, done authz.State) []testCase {
	return []testCase{
		{name + " is a claim too, where nobody has claimed and that is allowed", func(f *fixture) {
			r := f.pending()
			f.ok(do(f, r, "alice", true, at(10)))
			r.State, r.AccountID = done, "alice"
			f.kept(r)
		}},
		{name + " of a request of nobody is refused where that is not allowed", func(f *fixture) {
			r := f.pending()
			f.wrongState(do(f, r, "alice", false, at(10)), r)
			f.kept(r)
			f.noGrant(r)
		}},
		{name + " by the account that claimed succeeds", func(f *fixture) {
			r := f.pending()
			f.ok(claim(f, f.store, r.ID, "alice", at(1)))
			f.ok(do(f, r, "alice", false, at(10)))
			r.State, r.AccountID = done, "alice"
			f.kept(r)
		}},
		{"D-37 " + name + " by another account than the one that claimed is refused", func(f *fixture) {
			r := f.pending()
			f.ok(claim(f, f.store, r.ID, "alice", at(1)))
			r.AccountID = "alice"
			for _, unclaimed := range []bool{false, true} {
				f.wrongState(do(f, r, "bob", unclaimed, at(10)), r)
			}
			f.kept(r)
			f.noGrant(r)
		}},
		{name + " comes before the expiry", func(f *fixture) {
			r := f.pending()
			f.wrongState(do(f, r, "alice", true, r.ExpiresAt), r)
			f.noGrant(r)
			f.ok(do(f, r, "alice", true, r.ExpiresAt.Add(-time.Millisecond)))
		}},
		{name + " of a decided or redeemed request is refused", func(f *fixture) {
			yes, no := f.approved().request, f.pending()
			f.wrongState(do(f, yes, yes.AccountID, true, at(20)), yes)
			f.ok(deny(f, no, "alice", true, at(10)))
			no.State, no.AccountID = authz.Denied, "alice"
			f.wrongState(do(f, no, "alice", true, at(20)), no)
			redeemed := f.approved()
			f.ok(f.store.RedeemDeviceRequest(f.Context(), f.redemption(redeemed)))
			redeemed.request.State = authz.Redeemed
			f.wrongState(do(f, redeemed.request, redeemed.request.AccountID, true, at(30)), redeemed.request)
		}},
		{name + " of a request that is not there is refused", func(f *fixture) {
			r := f.request()
			f.refused(do(f, r, "alice", true, at(10)), contract.ErrNotFound)
			f.noGrant(r)
		}},
	}
}

// decisionRace lets many owners approve and deny one request at once.
func decisionRace(f *fixture) {
	r := f.pending()
	approvals := make([]contract.Approval, 32)
	for i := range approvals {
		approvals[i] = f.approval(r, f.memberOf(fmt.Sprintf("account %d", i)))
	}
	errs := race(len(approvals), func(i int) error {
		if i%2 == 0 {
			return f.store.ApproveDeviceRequest(f.Context(), approvals[i])
		}
		return deny(f, r, approvals[i].AccountID, true, at(10))
	})
	f.count(errs, 1, isState)
	winner := slices.Index(errs, nil)
	r.AccountID = approvals[winner].AccountID
	if winner%2 == 1 {
		r.State = authz.Denied
		f.kept(r)
		f.noGrant(r)
		return
	}
	r.State = authz.Approved
	f.kept(r)
	g, err := f.store.Grant(f.Context(), r.ID)
	f.ok(err)
	f.same(g, approvals[winner].Grant)
	receipt, err := f.store.Receipt(f.Context(), r.ID)
	f.ok(err)
	f.same(receipt, approvals[winner].Receipt)
}

func redemptionRace(f *fixture) {
	a := f.approved()
	redemptions := make([]contract.Redemption, 64)
	for i := range redemptions {
		redemptions[i] = f.redemption(a)
	}
	errs := race(len(redemptions), func(i int) error { return f.store.RedeemDeviceRequest(f.Context(), redemptions[i]) })
	f.count(errs, 1, isState)
	for i, r := range redemptions {
		_, err := f.store.RefreshToken(f.Context(), r.RefreshToken.Token, r.At)
		if errs[i] == nil {
			f.ok(err)
		} else {
			f.refused(err, contract.ErrNotFound)
		}
	}
}
