package storagetest

import (
	"cmp"
	"slices"
	"time"

	"countersign.dev/internal/authz"
)

// grant makes the grant of a request, with every member set but the last use
// and the revocation.
func (b *bench) grant(r authz.DeviceRequest, i authz.Identity) authz.Grant {
	return authz.Grant{
		ID: r.ID, AccountID: i.AccountID, ClientID: r.ClientID, Scope: r.Scope, BAPID: i.BAPID, MemberKey: i.MemberKey,
		Seen: r.Seen, Says: r.Says,
		ACR: authz.ACRSignature, Nonce: r.Nonce, AuthTime: at(5), CreatedAt: at(10), ExpiresAt: at(5000),
	}
}

var grantCases = []testCase{
	{"a grant and its receipt are kept byte for byte", func(b *bench) {
		_, i := b.account()
		for _, s := range awkward {
			r := b.pending()
			a := b.approval(r, i)
			a.Receipt, a.Grant.Scope, a.Grant.Nonce, a.Grant.MemberKey, a.Grant.ACR = s, s, s, s, s
			a.Grant.Seen, a.Grant.Says = authz.Seen{Network: s, UserAgent: s}, authz.DeviceSays{Name: s, Platform: s, Origin: s}
			b.ok(b.store.ApproveDeviceRequest(b.Context(), a))
			got, err := b.store.Grant(b.Context(), r.ID)
			b.ok(err)
			b.same(got, a.Grant)
			receipt, err := b.store.Receipt(b.Context(), r.ID)
			b.ok(err)
			b.same(receipt, s)
		}
	}},
	{"a grant that is not there is not found", func(b *bench) {
		pending := b.pending()
		b.noGrant(pending)
		_, _, err := b.store.LiveGrant(b.Context(), pending.ID, at(0))
		b.refused(err, authz.ErrNotFound)
		b.refused(b.store.RevokeGrant(b.Context(), authz.Revocation{GrantID: pending.ID, At: at(0), Event: anyEvent}), authz.ErrNotFound)
	}},
	{"a grant without a signature has no receipt", func(b *bench) {
		_, i := b.account()
		r := b.pending()
		a := b.approval(r, i)
		a.Receipt = ""
		b.ok(b.store.ApproveDeviceRequest(b.Context(), a))
		_, err := b.store.Receipt(b.Context(), r.ID)
		b.refused(err, authz.ErrNotFound)
	}},
	{"a living grant comes with its identity", func(b *bench) {
		a := b.approved()
		second := b.newIdentity(a.identity.AccountID)
		b.ok(b.store.LinkIdentity(b.Context(), second, a.identity.BAPID, many, anyEvent))
		g, i, err := b.store.LiveGrant(b.Context(), a.grant.ID, at(20))
		b.ok(err)
		b.same(g, a.grant)
		b.same(i, a.identity)
	}},
	{"a grant lives until it expires", func(b *bench) {
		a := b.approved()
		_, _, err := b.store.LiveGrant(b.Context(), a.grant.ID, a.grant.ExpiresAt.Add(-time.Millisecond))
		b.ok(err)
		_, _, err = b.store.LiveGrant(b.Context(), a.grant.ID, a.grant.ExpiresAt)
		b.refused(err, authz.ErrNotFound)
		_, err = b.store.Grant(b.Context(), a.grant.ID)
		b.ok(err)
	}},
	{"a grant of a disabled account does not live", func(b *bench) {
		_, i := b.accountWith(func(a *authz.Account) { a.Disabled = true })
		r := b.pending()
		b.ok(b.store.ApproveDeviceRequest(b.Context(), b.approval(r, i)))
		_, _, err := b.store.LiveGrant(b.Context(), r.ID, at(20))
		b.refused(err, authz.ErrNotFound)
		_, err = b.store.Grant(b.Context(), r.ID)
		b.ok(err)
	}},
	{"a revoked grant does not live, and keeps the time of its first revocation", func(b *bench) {
		a := b.approved()
		other := b.approved()
		b.ok(b.store.RevokeGrant(b.Context(), authz.Revocation{GrantID: a.grant.ID, At: at(30), Event: anyEvent}))
		b.ok(b.store.RevokeGrant(b.Context(), authz.Revocation{GrantID: a.grant.ID, At: at(40), Event: anyEvent}))
		_, _, err := b.store.LiveGrant(b.Context(), a.grant.ID, at(20))
		b.refused(err, authz.ErrNotFound)
		got, err := b.store.Grant(b.Context(), a.grant.ID)
		b.ok(err)
		a.grant.RevokedAt = at(30)
		b.same(got, a.grant)
		_, err = b.store.Receipt(b.Context(), a.grant.ID)
		b.ok(err)
		_, _, err = b.store.LiveGrant(b.Context(), other.grant.ID, at(40))
		b.ok(err)
	}},
	{"an account revokes all its living grants, and no others", func(b *bench) {
		_, i := b.account()
		var grants []authz.Grant
		for n := range 4 {
			a := b.approval(b.pending(), i)
			if n == 3 {
				a.Grant.ExpiresAt = at(60)
			}
			b.ok(b.store.ApproveDeviceRequest(b.Context(), a))
			grants = append(grants, a.Grant)
		}
		foreign := b.approved().grant
		b.ok(b.store.RevokeGrant(b.Context(), authz.Revocation{GrantID: grants[2].ID, At: at(30), Event: anyEvent}))
		revoked := b.event(i.AccountID)
		for _, want := range []int{2, 0} {
			n, err := b.store.RevokeGrants(b.Context(), i.AccountID, at(60), revoked)
			b.ok(err)
			b.same(n, want)
		}
		grants[0].RevokedAt, grants[1].RevokedAt, grants[2].RevokedAt = at(60), at(60), at(30)
		for _, want := range append(grants, foreign) {
			got, err := b.store.Grant(b.Context(), want.ID)
			b.ok(err)
			b.same(got, want)
		}
		b.told(i.AccountID, revoked)
	}},
	{"the last use of a grant goes forward only, and a grant that is over is used no more", func(b *bench) {
		a, other := b.approved(), b.approved()
		for _, used := range []struct{ at, want int }{{20, 20}, {30, 30}, {25, 30}, {30, 30}} {
			b.ok(b.store.UseGrant(b.Context(), a.grant.ID, at(used.at)))
			a.grant.LastUsedAt = at(used.want)
			got, err := b.store.Grant(b.Context(), a.grant.ID)
			b.ok(err)
			b.same(got, a.grant)
		}
		b.ok(b.store.RevokeGrant(b.Context(), authz.Revocation{GrantID: a.grant.ID, At: at(40), Event: anyEvent}))
		a.grant.RevokedAt = at(40)
		b.ok(b.store.UseGrant(b.Context(), a.grant.ID, at(50)))
		b.ok(b.store.UseGrant(b.Context(), other.grant.ID, other.grant.ExpiresAt))
		b.ok(b.store.UseGrant(b.Context(), "nothing", at(50)))
		for _, want := range []authz.Grant{a.grant, other.grant} {
			got, err := b.store.Grant(b.Context(), want.ID)
			b.ok(err)
			b.same(got, want)
		}
	}},
	{"an account's grants are listed, newest first, dead or alive", func(b *bench) {
		_, i := b.account()
		b.approved()
		var want []authz.Grant
		for _, created := range []int{12, 10, 11} {
			r := b.pending()
			a := b.approval(r, i)
			a.Grant.CreatedAt = at(created)
			b.ok(b.store.ApproveDeviceRequest(b.Context(), a))
			want = append(want, a.Grant)
		}
		b.ok(b.store.RevokeGrant(b.Context(), authz.Revocation{GrantID: want[0].ID, At: at(20), Event: anyEvent}))
		want[0].RevokedAt = at(20)
		slices.SortFunc(want, func(x, y authz.Grant) int { return y.CreatedAt.Compare(x.CreatedAt) })
		got, err := b.store.Grants(b.Context(), i.AccountID, authz.GrantList{Limit: 10})
		b.ok(err)
		b.same(got, want)
		alive, err := b.store.Grants(b.Context(), i.AccountID, authz.GrantList{AliveAt: at(20), After: positionOf(want[1]), Limit: 10})
		b.ok(err)
		b.same(alive, want[2:])
		over, err := b.store.Grants(b.Context(), i.AccountID, authz.GrantList{AliveAt: at(5000), Limit: 10})
		b.ok(err)
		b.same(len(over), 0)
		none, err := b.store.Grants(b.Context(), "nobody", authz.GrantList{Limit: 10})
		b.ok(err)
		b.same(len(none), 0)
	}},
	{"a page of grants begins behind any of them, and behind one that is gone", func(b *bench) {
		_, i := b.account()
		b.approved()
		var want []authz.Grant
		for _, created := range []int{10, 11, 11, 11, 12} {
			a := b.approval(b.pending(), i)
			a.Grant.CreatedAt = at(created)
			b.ok(b.store.ApproveDeviceRequest(b.Context(), a))
			want = append(want, a.Grant)
		}
		slices.SortFunc(want, func(x, y authz.Grant) int { return cmp.Or(y.CreatedAt.Compare(x.CreatedAt), cmp.Compare(x.ID, y.ID)) })
		for n, g := range want {
			got, err := b.store.Grants(b.Context(), i.AccountID, authz.GrantList{After: positionOf(g), Limit: 2})
			b.ok(err)
			b.same(append([]authz.Grant{}, got...), append([]authz.Grant{}, want[n+1:min(n+3, len(want))]...))
		}
		gone := positionOf(want[1])
		gone.ID = gone.ID[:len(gone.ID)-1]
		got, err := b.store.Grants(b.Context(), i.AccountID, authz.GrantList{After: gone, Limit: 10})
		b.ok(err)
		b.same(got, want[1:])
	}},
}

func positionOf(g authz.Grant) authz.Position { return authz.Position{At: g.CreatedAt, ID: g.ID} }
