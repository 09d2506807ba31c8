package storagetest

import (
	"cmp"
	"slices"

	"countersign.dev/internal/authz"
)

// client makes a client with every member set.
func (b *bench) client() authz.Client {
	return authz.Client{
		ID: b.word("client"), Name: "A Client", Secret: b.hash(),
		RedirectURIs: []string{"https://a.example/back", "https://b.example/?a=<b>&c"},
		GrantTypes:   []string{authz.GrantDevice, authz.GrantRefresh},
		Scope:        "openid profile", AuthMethod: authz.AuthBasic,
		MemberKey: b.word("02ab"), OwnerBAPID: b.word("bap"), IDTokenAlg: "RS256",
		Approval: authz.ApprovalSigned, Registered: true,
	}
}

var clientCases = []testCase{
	{"a client is kept with every member", func(b *bench) {
		full, bare := b.client(), authz.Client{ID: b.word("client")}
		for _, c := range []authz.Client{full, bare} {
			b.ok(b.store.AddClient(b.Context(), c))
			got, err := b.store.Client(b.Context(), c.ID)
			b.ok(err)
			b.same(got, c)
		}
	}},
	{"a client that is not there is not found", func(b *bench) {
		b.ok(b.store.AddClient(b.Context(), b.client()))
		_, err := b.store.Client(b.Context(), "nobody")
		b.refused(err, authz.ErrNotFound)
	}},
	{"a client id is taken once, and the first client stays", func(b *bench) {
		first, second := b.client(), b.client()
		second.ID = first.ID
		b.ok(b.store.AddClient(b.Context(), first))
		b.refused(b.store.AddClient(b.Context(), second), authz.ErrExists)
		got, err := b.store.Client(b.Context(), first.ID)
		b.ok(err)
		b.same(got, first)
	}},
	{"of concurrent additions of one client id one succeeds", func(b *bench) {
		c := b.client()
		errs := race(16, func(int) error { return b.store.AddClient(b.Context(), c) })
		b.count(errs, 1, is(authz.ErrExists))
	}},
	{"ids and names of clients are kept byte for byte", func(b *bench) {
		for _, s := range awkward {
			b.ok(b.store.AddClient(b.Context(), authz.Client{ID: s, Name: s}))
		}
		for _, s := range awkward {
			got, err := b.store.Client(b.Context(), s)
			b.ok(err)
			b.same(got, authz.Client{ID: s, Name: s})
		}
	}},
	{"clients are listed by id, in the order of their bytes", func(b *bench) {
		none, err := b.store.Clients(b.Context())
		b.ok(err)
		b.same(len(none), 0)
		want := make([]authz.Client, 0, 5)
		for _, id := range []string{"b", "a", "B", "é", "10"} {
			c := b.client()
			c.ID = id
			b.ok(b.store.AddClient(b.Context(), c))
			want = append(want, c)
		}
		slices.SortFunc(want, func(x, y authz.Client) int { return cmp.Compare(x.ID, y.ID) })
		got, err := b.store.Clients(b.Context())
		b.ok(err)
		b.same(got, want)
	}},
	{"removing a client revokes its living grants and no others", removeClient},
	{"removing a client that is not there changes nothing", func(b *bench) {
		a := b.approved() // of a client that nobody registered
		b.refused(b.store.RemoveClient(b.Context(), a.request.ClientID, at(60)), authz.ErrNotFound)
		got, err := b.store.Grant(b.Context(), a.grant.ID)
		b.ok(err)
		b.same(got, a.grant)
	}},
	{"a client is removed once, and can come back", func(b *bench) {
		c := b.client()
		b.ok(b.store.AddClient(b.Context(), c))
		errs := race(8, func(int) error { return b.store.RemoveClient(b.Context(), c.ID, at(1)) })
		b.count(errs, 1, is(authz.ErrNotFound))
		_, err := b.store.Client(b.Context(), c.ID)
		b.refused(err, authz.ErrNotFound)
		b.ok(b.store.AddClient(b.Context(), c))
	}},
}

func removeClient(b *bench) {
	ctx, c := b.Context(), b.client()
	b.ok(b.store.AddClient(ctx, c))
	approve := func(edit func(*authz.Grant), clientID string) authz.Grant {
		return b.approvedWith(func(r *authz.DeviceRequest, g *authz.Grant) {
			r.ClientID, g.ClientID = clientID, clientID
			edit(g)
		}).grant
	}
	asIs := func(*authz.Grant) {}
	alive := approve(asIs, c.ID)
	revoked := approve(asIs, c.ID)
	b.ok(b.store.RevokeGrant(ctx, authz.Revocation{GrantID: revoked.ID, At: at(30), Event: anyEvent}))
	over := approve(func(g *authz.Grant) { g.ExpiresAt = at(60) }, c.ID)
	foreign := approve(asIs, "another client")

	b.ok(b.store.RemoveClient(ctx, c.ID, at(60)))

	alive.RevokedAt, revoked.RevokedAt = at(60), at(30)
	for _, want := range []authz.Grant{alive, revoked, over, foreign} {
		got, err := b.store.Grant(ctx, want.ID)
		b.ok(err)
		b.same(got, want)
	}
}
