package storagetest

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/contract"
)

// grant makes the grant of a request, with every member set but the last use
// and the revocation.
func (f *fixture) grant(r authz.DeviceRequest, i authz.Identity) authz.Grant {
	return authz.Grant{
		ID: r.ID, AccountID: i.AccountID, ClientID: r.ClientID, Scope: r.Scope, BAPID: i.BAPID, MemberKey: i.MemberKey,
		Seen: r.Seen, Says: r.Says, Resources: r.Resources,
		ACR: authz.ACRSignature, Nonce: r.Nonce, AuthTime: at(5), CreatedAt: at(10), ExpiresAt: at(5000),
	}
}

// living is what is found of a grant that lives, with its identity and without.
func (f *fixture) living(id string, now time.Time) (authz.Grant, authz.Identity, error) {
	f.Helper()
	g, i, err := f.store.LiveGrant(f.Context(), id, now)
	alone, errAlone := f.store.GrantAlive(f.Context(), id, now)
	f.same(alone, g)
	if errors.Is(err, contract.ErrNotFound) != errors.Is(errAlone, contract.ErrNotFound) {
		f.Fatalf("with its identity: %v, without: %v", err, errAlone)
	}
	return g, i, err
}

var grantCases = []testCase{
	{"a grant and its receipt are kept byte for byte", func(f *fixture) {
		_, i := f.account()
		for _, s := range awkward {
			r := f.pending()
			a := f.approval(r, i)
			a.Receipt, a.Grant.Scope, a.Grant.Nonce, a.Grant.MemberKey, a.Grant.ACR = s, s, s, s, s
			a.Grant.Seen, a.Grant.Says = authz.Seen{Network: s, UserAgent: s}, authz.DeviceSays{Name: s, Platform: s, Origin: s}
			f.ok(f.store.ApproveDeviceRequest(f.Context(), a))
			got, err := f.store.Grant(f.Context(), r.ID)
			f.ok(err)
			f.same(got, a.Grant)
			receipt, err := f.store.Receipt(f.Context(), r.ID)
			f.ok(err)
			f.same(receipt, s)
		}
	}},
	{"a grant that is not there is not found", func(f *fixture) {
		pending := f.pending()
		f.noGrant(pending)
		_, _, err := f.living(pending.ID, at(0))
		f.refused(err, contract.ErrNotFound)
		f.refused(f.store.RevokeGrant(f.Context(), contract.Revocation{GrantID: pending.ID, At: at(0), Event: anyEvent}), contract.ErrNotFound)
	}},
	{"a grant without a signature has no receipt", func(f *fixture) {
		_, i := f.account()
		r := f.pending()
		a := f.approval(r, i)
		a.Receipt = ""
		f.ok(f.store.ApproveDeviceRequest(f.Context(), a))
		_, err := f.store.Receipt(f.Context(), r.ID)
		f.refused(err, contract.ErrNotFound)
	}},
	{"a living grant comes with its identity", func(f *fixture) {
		a := f.approved()
		second := f.newIdentity(a.identity.AccountID)
		f.ok(f.store.LinkIdentity(f.Context(), second, a.identity.BAPID, many, anyEvent))
		g, i, err := f.living(a.grant.ID, at(20))
		f.ok(err)
		f.same(g, a.grant)
		f.same(i, a.identity)
	}},
	{"a grant lives until it expires", func(f *fixture) {
		a := f.approved()
		_, _, err := f.living(a.grant.ID, a.grant.ExpiresAt.Add(-time.Millisecond))
		f.ok(err)
		_, _, err = f.living(a.grant.ID, a.grant.ExpiresAt)
		f.refused(err, contract.ErrNotFound)
		_, err = f.store.Grant(f.Context(), a.grant.ID)
		f.ok(err)
	}},
	{"a grant of a disabled account does not live", func(f *fixture) {
		_, i := f.accountWith(func(a *authz.Account) { a.Disabled = true })
		r := f.pending()
		f.ok(f.store.ApproveDeviceRequest(f.Context(), f.approval(r, i)))
		_, _, err := f.living(r.ID, at(20))
		f.refused(err, contract.ErrNotFound)
		_, err = f.store.Grant(f.Context(), r.ID)
		f.ok(err)
	}},
	{"a revoked grant does not live, and keeps the time of its first revocation", func(f *fixture) {
		a := f.approved()
		other := f.approved()
		f.ok(f.store.RevokeGrant(f.Context(), contract.Revocation{GrantID: a.grant.ID, At: at(30), Event: anyEvent}))
		f.ok(f.store.RevokeGrant(f.Context(), contract.Revocation{GrantID: a.grant.ID, At: at(40), Event: anyEvent}))
		_, _, err := f.living(a.grant.ID, at(20))
		f.refused(err, contract.ErrNotFound)
		got, err := f.store.Grant(f.Context(), a.grant.ID)
		f.ok(err)
		a.grant.RevokedAt = at(30)
		f.same(got, a.grant)
		_, err = f.store.Receipt(f.Context(), a.grant.ID)
		f.ok(err)
		_, _, err = f.living(other.grant.ID, at(40))
		f.ok(err)
	}},
	{"an account revokes all its living grants, and no others", func(f *fixture) {
		_, i := f.account()
		var grants []authz.Grant
		for n := range 4 {
			a := f.approval(f.pending(), i)
			if n == 3 {
				a.Grant.ExpiresAt = at(60)
			}
			f.ok(f.store.ApproveDeviceRequest(f.Context(), a))
			grants = append(grants, a.Grant)
		}
		foreign := f.approved().grant
		f.ok(f.store.RevokeGrant(f.Context(), contract.Revocation{GrantID: grants[2].ID, At: at(30), Event: anyEvent}))
		revoked := f.event(i.AccountID)
		for _, want := range []int{2, 0} {
			n, err := f.store.RevokeGrants(f.Context(), i.AccountID, at(60), revoked)
			f.ok(err)
			f.same(n, want)
		}
		grants[0].RevokedAt, grants[1].RevokedAt, grants[2].RevokedAt = at(60), at(60), at(30)
		for _, want := range append(grants, foreign) {
			got, err := f.store.Grant(f.Context(), want.ID)
			f.ok(err)
			f.same(got, want)
		}
		f.told(i.AccountID, revoked)
	}},
	{"the last use of a grant goes forward only, and a grant that is over is used no more", func(f *fixture) {
		a, other := f.approved(), f.approved()
		for _, used := range []struct{ at, want int }{{20, 20}, {30, 30}, {25, 30}, {30, 30}} {
			f.ok(f.store.UseGrant(f.Context(), a.grant.ID, at(used.at)))
			a.grant.LastUsedAt = at(used.want)
			got, err := f.store.Grant(f.Context(), a.grant.ID)
			f.ok(err)
			f.same(got, a.grant)
		}
		f.ok(f.store.RevokeGrant(f.Context(), contract.Revocation{GrantID: a.grant.ID, At: at(40), Event: anyEvent}))
		a.grant.RevokedAt = at(40)
		f.ok(f.store.UseGrant(f.Context(), a.grant.ID, at(50)))
		f.ok(f.store.UseGrant(f.Context(), other.grant.ID, other.grant.ExpiresAt))
		f.ok(f.store.UseGrant(f.Context(), "nothing", at(50)))
		for _, want := range []authz.Grant{a.grant, other.grant} {
			got, err := f.store.Grant(f.Context(), want.ID)
			f.ok(err)
			f.same(got, want)
		}
	}},
	{"an account's grants are listed, newest first, dead or alive", func(f *fixture) {
		_, i := f.account()
		f.approved()
		var want []authz.Grant
		for _, created := range []int{12, 10, 11} {
			r := f.pending()
			a := f.approval(r, i)
			a.Grant.CreatedAt, a.Grant.ClientID = at(created), fmt.Sprint("client ", created%11)
			f.ok(f.store.ApproveDeviceRequest(f.Context(), a))
			want = append(want, a.Grant)
		}
		f.ok(f.store.RevokeGrant(f.Context(), contract.Revocation{GrantID: want[0].ID, At: at(20), Event: anyEvent}))
		want[0].RevokedAt = at(20)
		slices.SortFunc(want, func(x, y authz.Grant) int { return y.CreatedAt.Compare(x.CreatedAt) })
		got, err := f.store.Grants(f.Context(), i.AccountID, contract.GrantList{Limit: 10})
		f.ok(err)
		f.same(got, want)
		alive, err := f.store.Grants(f.Context(), i.AccountID, contract.GrantList{AliveAt: at(20), After: positionOf(want[1]), Limit: 10})
		f.ok(err)
		f.same(alive, want[2:])
		ofOne, err := f.store.Grants(f.Context(), i.AccountID, contract.GrantList{ClientID: want[1].ClientID, Limit: 10})
		f.ok(err)
		f.same(ofOne, want[1:2])
		over, err := f.store.Grants(f.Context(), i.AccountID, contract.GrantList{AliveAt: at(5000), Limit: 10})
		f.ok(err)
		f.same(len(over), 0)
		none, err := f.store.Grants(f.Context(), "nobody", contract.GrantList{Limit: 10})
		f.ok(err)
		f.same(len(none), 0)
	}},
	{"a page of grants begins behind any of them, and behind one that is gone", func(f *fixture) {
		_, i := f.account()
		f.approved()
		var want []authz.Grant
		for _, created := range []int{10, 11, 11, 11, 12} {
			a := f.approval(f.pending(), i)
			a.Grant.CreatedAt = at(created)
			f.ok(f.store.ApproveDeviceRequest(f.Context(), a))
			want = append(want, a.Grant)
		}
		slices.SortFunc(want, func(x, y authz.Grant) int { return cmp.Or(y.CreatedAt.Compare(x.CreatedAt), cmp.Compare(x.ID, y.ID)) })
		for n, g := range want {
			got, err := f.store.Grants(f.Context(), i.AccountID, contract.GrantList{After: positionOf(g), Limit: 2})
			f.ok(err)
			f.same(append([]authz.Grant{}, got...), append([]authz.Grant{}, want[n+1:min(n+3, len(want))]...))
		}
		gone := positionOf(want[1])
		gone.ID = gone.ID[:len(gone.ID)-1]
		got, err := f.store.Grants(f.Context(), i.AccountID, contract.GrantList{After: gone, Limit: 10})
		f.ok(err)
		f.same(got, want[1:])
	}},
}

func positionOf(g authz.Grant) contract.Position { return contract.Position{At: g.CreatedAt, ID: g.ID} }
