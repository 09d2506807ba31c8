package storagetest

import (
	"slices"
	"time"

	"countersign.dev/internal/authz"
)

const grace = 30 * time.Second

// issued stores a grant that has a refresh token.
func (b *bench) issued() (approved, authz.RefreshToken) {
	b.Helper()
	return b.issuedWith(func(*authz.DeviceRequest, *authz.Grant) {})
}

func (b *bench) issuedWith(edit func(*authz.DeviceRequest, *authz.Grant)) (approved, authz.RefreshToken) {
	b.Helper()
	a := b.approvedWith(edit)
	r := b.redemption(a)
	b.ok(b.store.RedeemDeviceRequest(b.Context(), r))
	return a, *r.RefreshToken
}

// rotation replaces a token by a new one.
func (b *bench) rotation(t authz.RefreshToken, when time.Time) authz.Rotation {
	return authz.Rotation{
		Token: t.Token, At: when, Grace: grace,
		Successor: authz.RefreshToken{Token: b.hash(), GrantID: t.GrantID, ExpiresAt: at(7000)},
		Reuse:     anyEvent,
	}
}

// rotated rotates a token and returns its successor.
func (b *bench) rotated(t authz.RefreshToken, when time.Time) authz.Rotation {
	b.Helper()
	r := b.rotation(t, when)
	b.ok(b.store.RotateRefreshToken(b.Context(), r))
	return r
}

// lives ends the test unless a grant is as alive as wanted.
func (b *bench) lives(grantID string, want bool) {
	b.Helper()
	g, err := b.store.Grant(b.Context(), grantID)
	b.ok(err)
	if g.RevokedAt.IsZero() != want {
		b.Fatalf("the grant was revoked at %v, want it alive: %v", g.RevokedAt, want)
	}
}

var refreshCases = []testCase{
	{"a refresh token is found until it expires, rotated or not", func(b *bench) {
		_, t := b.issued()
		b.rotated(t, at(100))
		got, err := b.store.RefreshToken(b.Context(), t.Token, t.ExpiresAt.Add(-time.Millisecond))
		b.ok(err)
		b.same(got, t)
		_, err = b.store.RefreshToken(b.Context(), t.Token, t.ExpiresAt)
		b.refused(err, authz.ErrNotFound)
		_, err = b.store.RefreshToken(b.Context(), b.hash(), at(100))
		b.refused(err, authz.ErrNotFound)
	}},
	{"R-01 a rotation stores the successor and when the grant was used", func(b *bench) {
		a, t := b.issued()
		r := b.rotated(t, at(100))
		got, err := b.store.RefreshToken(b.Context(), r.Successor.Token, at(100))
		b.ok(err)
		b.same(got, r.Successor)
		g, err := b.store.Grant(b.Context(), a.grant.ID)
		b.ok(err)
		b.same(g.LastUsedAt, at(100))
		b.rotated(r.Successor, at(200))
	}},
	{"R-03 the same rotation again within the grace changes nothing", func(b *bench) {
		a, t := b.issued()
		r := b.rotated(t, at(100))
		again := r
		again.At = r.At.Add(grace)
		again.Successor.ExpiresAt = at(6500)
		b.ok(b.store.RotateRefreshToken(b.Context(), again))
		got, err := b.store.RefreshToken(b.Context(), r.Successor.Token, at(100))
		b.ok(err)
		b.same(got, r.Successor)
		g, err := b.store.Grant(b.Context(), a.grant.ID)
		b.ok(err)
		b.same(g.LastUsedAt, r.At)
		b.lives(a.grant.ID, true)
	}},
	{"R-02 a token used again after the grace ends the grant", func(b *bench) {
		a, t := b.issued()
		r := b.rotated(t, at(100))
		late := r
		late.At = r.At.Add(grace + time.Millisecond)
		b.refused(b.store.RotateRefreshToken(b.Context(), late), authz.ErrReused)
		g, err := b.store.Grant(b.Context(), a.grant.ID)
		b.ok(err)
		b.same(g.RevokedAt, late.At)
		b.refused(b.store.RotateRefreshToken(b.Context(), b.rotation(r.Successor, at(140))), authz.ErrNotFound)
	}},
	{"R-02 the end of a reused token's grant survives a restart", func(b *bench) {
		a, t := b.issued()
		b.rotated(t, at(100))
		b.refused(b.store.RotateRefreshToken(b.Context(), b.rotation(t, at(200))), authz.ErrReused)
		b.reopen()
		b.lives(a.grant.ID, false)
	}},
	{"R-02 a token used again for another successor ends the grant, even within the grace", func(b *bench) {
		a, t := b.issued()
		b.rotated(t, at(100))
		fork := b.rotation(t, at(101))
		b.refused(b.store.RotateRefreshToken(b.Context(), fork), authz.ErrReused)
		b.lives(a.grant.ID, false)
		_, err := b.store.RefreshToken(b.Context(), fork.Successor.Token, at(101))
		b.refused(err, authz.ErrNotFound)
	}},
	{"R-02 a token used again after its successor was rotated ends the grant, even within the grace", func(b *bench) {
		a, t := b.issued()
		first := b.rotated(t, at(100))
		b.rotated(first.Successor, at(101))
		again := first
		again.At = at(102)
		b.refused(b.store.RotateRefreshToken(b.Context(), again), authz.ErrReused)
		b.lives(a.grant.ID, false)
	}},
	{"R-04 of 32 concurrent rotations to one successor all succeed, and there is one", func(b *bench) {
		a, t := b.issued()
		r := b.rotation(t, at(100))
		errs := race(32, func(int) error { return b.store.RotateRefreshToken(b.Context(), r) })
		b.count(errs, len(errs), func(error) bool { return false })
		b.lives(a.grant.ID, true)
		b.rotated(r.Successor, at(101))
	}},
	{"R-04 of 32 concurrent rotations to different successors one is stored, and the grant ends", func(b *bench) {
		a, t := b.issued()
		rotations := make([]authz.Rotation, 32)
		for i := range rotations {
			rotations[i] = b.rotation(t, at(100))
		}
		errs := race(len(rotations), func(i int) error { return b.store.RotateRefreshToken(b.Context(), rotations[i]) })
		// The first loser ends the grant; those after it find no living one.
		b.count(errs, 1, func(err error) bool { return is(authz.ErrReused)(err) || is(authz.ErrNotFound)(err) })
		if !slices.ContainsFunc(errs, is(authz.ErrReused)) {
			b.Fatal("no call noticed the reuse")
		}
		b.lives(a.grant.ID, false)
		for i, r := range rotations {
			_, err := b.store.RefreshToken(b.Context(), r.Successor.Token, at(100))
			if errs[i] == nil {
				b.ok(err)
			} else {
				b.refused(err, authz.ErrNotFound)
			}
		}
	}},
	{"R-08 a rotation needs a token that is there and not expired, of a living grant", func(b *bench) {
		a, t := b.issued()
		unknown := t
		unknown.Token = b.hash()
		b.refused(b.store.RotateRefreshToken(b.Context(), b.rotation(unknown, at(100))), authz.ErrNotFound)

		b.refused(b.store.RotateRefreshToken(b.Context(), b.rotation(t, t.ExpiresAt)), authz.ErrNotFound)
		b.refused(b.store.RotateRefreshToken(b.Context(), b.rotation(t, a.grant.ExpiresAt)), authz.ErrNotFound)
		b.lives(a.grant.ID, true)

		b.ok(b.store.RevokeGrant(b.Context(), authz.Revocation{GrantID: a.grant.ID, At: at(99), Event: anyEvent}))
		dead := b.rotation(t, at(100))
		b.refused(b.store.RotateRefreshToken(b.Context(), dead), authz.ErrNotFound)
		_, err := b.store.RefreshToken(b.Context(), dead.Successor.Token, at(100))
		b.refused(err, authz.ErrNotFound)
	}},
	{"R-08 a token that expires before its grant ends by itself", func(b *bench) {
		a := b.approved()
		r := b.redemption(a)
		r.RefreshToken.ExpiresAt = at(300)
		b.ok(b.store.RedeemDeviceRequest(b.Context(), r))
		b.refused(b.store.RotateRefreshToken(b.Context(), b.rotation(*r.RefreshToken, at(300))), authz.ErrNotFound)
		b.rotated(*r.RefreshToken, at(300).Add(-time.Millisecond))
	}},
	{"R-08 a rotated token is not there when it or its grant has ended, not even within the grace", func(b *bench) {
		short := b.approved()
		r := b.redemption(short)
		r.RefreshToken.ExpiresAt = at(120)
		b.ok(b.store.RedeemDeviceRequest(b.Context(), r))
		again := b.rotated(*r.RefreshToken, at(100))
		again.At = at(120)
		b.refused(b.store.RotateRefreshToken(b.Context(), again), authz.ErrNotFound)
		b.refused(b.store.RotateRefreshToken(b.Context(), b.rotation(*r.RefreshToken, at(120))), authz.ErrNotFound)
		b.lives(short.grant.ID, true)

		expired, t := b.issued()
		again = b.rotated(t, expired.grant.ExpiresAt.Add(-time.Second))
		again.At = expired.grant.ExpiresAt
		b.refused(b.store.RotateRefreshToken(b.Context(), again), authz.ErrNotFound)

		revoked, t := b.issued()
		again = b.rotated(t, at(100))
		b.ok(b.store.RevokeGrant(b.Context(), authz.Revocation{GrantID: revoked.grant.ID, At: at(101), Event: anyEvent}))
		again.At = at(102)
		b.refused(b.store.RotateRefreshToken(b.Context(), again), authz.ErrNotFound)
		b.refused(b.store.RotateRefreshToken(b.Context(), b.rotation(t, at(102))), authz.ErrNotFound)
	}},
	{"a rotation forgets the token before, and what it names otherwise stays", func(b *bench) {
		_, t := b.issued()
		_, foreign := b.issued()
		second := b.rotated(t, at(100)).Successor
		elsewhere := b.rotated(foreign, at(100)).Successor
		kept := func(tokens ...authz.RefreshToken) {
			b.Helper()
			for _, k := range tokens {
				_, err := b.store.RefreshToken(b.Context(), k.Token, at(100))
				b.ok(err)
			}
		}
		late := b.rotation(t, at(131)) // refused, which forgets nothing
		late.Forgotten = second.Token
		r := b.rotation(second, at(101))
		for _, other := range []authz.Hash{foreign.Token, elsewhere.Token, b.hash(), second.Token} {
			r := b.rotation(r.Successor, at(102))
			r.Token, r.Forgotten = b.hash(), other
			b.refused(b.store.RotateRefreshToken(b.Context(), r), authz.ErrNotFound)
		}
		kept(t, second, foreign, elsewhere)
		r.Forgotten = t.Token
		b.ok(b.store.RotateRefreshToken(b.Context(), r))
		_, err := b.store.RefreshToken(b.Context(), t.Token, at(100))
		b.refused(err, authz.ErrNotFound)
		kept(second, r.Successor, foreign, elsewhere)

		third := b.rotation(r.Successor, at(103)) // names what it did not replace
		third.Forgotten = foreign.Token
		b.ok(b.store.RotateRefreshToken(b.Context(), third))
		kept(second, foreign, elsewhere)
		third.At = at(104)
		b.ok(b.store.RotateRefreshToken(b.Context(), third)) // again, within the grace
		b.refused(b.store.RotateRefreshToken(b.Context(), late), authz.ErrNotFound)
	}},
	{"R-02 a token whose successor is kept no more ends the grant", func(b *bench) {
		a, t := b.issued()
		second := b.rotated(t, at(100)).Successor
		third := b.rotated(second, at(101)).Successor
		r := b.rotation(third, at(102))
		r.Forgotten = second.Token
		b.ok(b.store.RotateRefreshToken(b.Context(), r))
		again := authz.Rotation{Token: t.Token, Successor: second, At: at(103), Grace: grace, Reuse: anyEvent}
		b.refused(b.store.RotateRefreshToken(b.Context(), again), authz.ErrReused)
		b.lives(a.grant.ID, false)
	}},
	{"a rotation whose successor cannot be stored does not happen", func(b *bench) {
		_, t := b.issued()
		_, other := b.issued()
		r := b.rotation(t, at(100))
		r.Successor.Token = other.Token
		if err := b.store.RotateRefreshToken(b.Context(), r); err == nil {
			b.Fatal("two grants have one refresh token")
		}
		b.rotated(t, at(101))
	}},
}
