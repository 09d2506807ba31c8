package storagetest

import (
	"cmp"
	"slices"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/contract"
)

// client makes a client with every member set.
func (f *fixture) client() authz.Client {
	return authz.Client{
		ID: f.word("client"), Name: "A Client", Secret: f.hash(),
		RedirectURIs: []string{"https://a.example/back", "https://b.example/?a=<b>&c"},
		GrantTypes:   []string{authz.GrantDevice, authz.GrantRefresh},
		Scope:        "openid profile", AuthMethod: authz.AuthBasic,
		MemberKey: f.word("02ab"), OwnerBAPID: f.word("bap"), IDTokenAlg: "RS256",
		Approval: authz.ApprovalSigned, Registered: true,
	}
}

var clientCases = []testCase{
	{"a client is kept with every member", func(f *fixture) {
		full, bare := f.client(), authz.Client{ID: f.word("client")}
		for _, c := range []authz.Client{full, bare} {
			f.ok(f.store.AddClient(f.Context(), c))
			got, err := f.store.Client(f.Context(), c.ID)
			f.ok(err)
			f.same(got, c)
		}
	}},
	{"a client that is not there is not found", func(f *fixture) {
		f.ok(f.store.AddClient(f.Context(), f.client()))
		_, err := f.store.Client(f.Context(), "nobody")
		f.refused(err, contract.ErrNotFound)
	}},
	{"a client id is taken once, and the first client stays", func(f *fixture) {
		first, second := f.client(), f.client()
		second.ID = first.ID
		f.ok(f.store.AddClient(f.Context(), first))
		f.refused(f.store.AddClient(f.Context(), second), contract.ErrExists)
		got, err := f.store.Client(f.Context(), first.ID)
		f.ok(err)
		f.same(got, first)
	}},
	{"of concurrent additions of one client id one succeeds", func(f *fixture) {
		c := f.client()
		errs := race(16, func(int) error { return f.store.AddClient(f.Context(), c) })
		f.count(errs, 1, is(contract.ErrExists))
	}},
	{"ids and names of clients are kept byte for byte", func(f *fixture) {
		for _, s := range awkward {
			f.ok(f.store.AddClient(f.Context(), authz.Client{ID: s, Name: s}))
		}
		for _, s := range awkward {
			got, err := f.store.Client(f.Context(), s)
			f.ok(err)
			f.same(got, authz.Client{ID: s, Name: s})
		}
	}},
	{"clients are listed by id, in the order of their bytes", func(f *fixture) {
		none, err := f.store.Clients(f.Context())
		f.ok(err)
		f.same(len(none), 0)
		want := make([]authz.Client, 0, 5)
		for _, id := range []string{"b", "a", "B", "é", "10"} {
			c := f.client()
			c.ID = id
			f.ok(f.store.AddClient(f.Context(), c))
			want = append(want, c)
		}
		slices.SortFunc(want, func(x, y authz.Client) int { return cmp.Compare(x.ID, y.ID) })
		got, err := f.store.Clients(f.Context())
		f.ok(err)
		f.same(got, want)
	}},
	{"removing a client revokes its living grants and no others", removeClient},
	{"removing a client that is not there changes nothing", func(f *fixture) {
		a := f.approved() // of a client that nobody registered
		f.refused(f.store.RemoveClient(f.Context(), a.request.ClientID, at(60)), contract.ErrNotFound)
		got, err := f.store.Grant(f.Context(), a.grant.ID)
		f.ok(err)
		f.same(got, a.grant)
	}},
	{"a client is removed once, and can come back", func(f *fixture) {
		c := f.client()
		f.ok(f.store.AddClient(f.Context(), c))
		errs := race(8, func(int) error { return f.store.RemoveClient(f.Context(), c.ID, at(1)) })
		f.count(errs, 1, is(contract.ErrNotFound))
		_, err := f.store.Client(f.Context(), c.ID)
		f.refused(err, contract.ErrNotFound)
		f.ok(f.store.AddClient(f.Context(), c))
	}},
}

func removeClient(f *fixture) {
	ctx, c := f.Context(), f.client()
	f.ok(f.store.AddClient(ctx, c))
	approve := func(edit func(*authz.Grant), clientID string) authz.Grant {
		return f.approvedWith(func(r *authz.DeviceRequest, g *authz.Grant) {
			r.ClientID, g.ClientID = clientID, clientID
			edit(g)
		}).grant
	}
	asIs := func(*authz.Grant) {}
	alive := approve(asIs, c.ID)
	revoked := approve(asIs, c.ID)
	f.ok(f.store.RevokeGrant(ctx, contract.Revocation{GrantID: revoked.ID, At: at(30), Event: anyEvent}))
	over := approve(func(g *authz.Grant) { g.ExpiresAt = at(60) }, c.ID)
	foreign := approve(asIs, "another client")

	f.ok(f.store.RemoveClient(ctx, c.ID, at(60)))

	alive.RevokedAt, revoked.RevokedAt = at(60), at(30)
	for _, want := range []authz.Grant{alive, revoked, over, foreign} {
		got, err := f.store.Grant(ctx, want.ID)
		f.ok(err)
		f.same(got, want)
	}
}
