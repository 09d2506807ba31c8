package storagetest

import (
	"slices"
	"time"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/contract"
)

const grace = 30 * time.Second

// issued stores a grant that has a refresh token.
func (f *fixture) issued() (approved, authz.RefreshToken) {
	f.Helper()
	return f.issuedWith(func(*authz.DeviceRequest, *authz.Grant) {})
}

func (f *fixture) issuedWith(edit func(*authz.DeviceRequest, *authz.Grant)) (approved, authz.RefreshToken) {
	f.Helper()
	a := f.approvedWith(edit)
	r := f.redemption(a)
	f.ok(f.store.RedeemDeviceRequest(f.Context(), r))
	return a, *r.RefreshToken
}

// rotation replaces a token by a new one.
func (f *fixture) rotation(t authz.RefreshToken, when time.Time) contract.Rotation {
	return contract.Rotation{
		Token: t.Token, At: when, Grace: grace,
		Successor: authz.RefreshToken{Token: f.hash(), GrantID: t.GrantID, ExpiresAt: at(7000), Thumbprint: f.word("thumbprint")},
		Reuse:     anyEvent,
	}
}

// rotated rotates a token and returns its successor.
func (f *fixture) rotated(t authz.RefreshToken, when time.Time) contract.Rotation {
	f.Helper()
	r := f.rotation(t, when)
	f.ok(f.store.RotateRefreshToken(f.Context(), r))
	return r
}

// lives ends the test unless a grant is as alive as wanted.
func (f *fixture) lives(grantID string, want bool) {
	f.Helper()
	g, err := f.store.Grant(f.Context(), grantID)
	f.ok(err)
	if g.RevokedAt.IsZero() != want {
		f.Fatalf("the grant was revoked at %v, want it alive: %v", g.RevokedAt, want)
	}
}

var refreshCases = []testCase{
	{"a refresh token is found until it expires, rotated or not", func(f *fixture) {
		_, t := f.issued()
		f.rotated(t, at(100))
		got, err := f.store.RefreshToken(f.Context(), t.Token, t.ExpiresAt.Add(-time.Millisecond))
		f.ok(err)
		rotated := t
		rotated.RotatedAt = at(100)
		f.same(got, rotated)
		_, err = f.store.RefreshToken(f.Context(), t.Token, t.ExpiresAt)
		f.refused(err, contract.ErrNotFound)
		_, err = f.store.RefreshToken(f.Context(), f.hash(), at(100))
		f.refused(err, contract.ErrNotFound)
	}},
	{"R-01 a rotation stores the successor and when the grant was used", func(f *fixture) {
		a, t := f.issued()
		r := f.rotated(t, at(100))
		got, err := f.store.RefreshToken(f.Context(), r.Successor.Token, at(100))
		f.ok(err)
		f.same(got, r.Successor)
		g, err := f.store.Grant(f.Context(), a.grant.ID)
		f.ok(err)
		f.same(g.LastUsedAt, at(100))
		f.rotated(r.Successor, at(200))
	}},
	{"R-03 the same rotation again within the grace changes nothing", func(f *fixture) {
		a, t := f.issued()
		r := f.rotated(t, at(100))
		again := r
		again.At = r.At.Add(grace)
		again.Successor.ExpiresAt, again.Successor.Thumbprint = at(6500), f.word("thumbprint")
		f.ok(f.store.RotateRefreshToken(f.Context(), again))
		got, err := f.store.RefreshToken(f.Context(), r.Successor.Token, at(100))
		f.ok(err)
		f.same(got, r.Successor)
		g, err := f.store.Grant(f.Context(), a.grant.ID)
		f.ok(err)
		f.same(g.LastUsedAt, r.At)
		f.lives(a.grant.ID, true)
	}},
	{"R-02 a token used again after the grace ends the grant", func(f *fixture) {
		a, t := f.issued()
		r := f.rotated(t, at(100))
		late := r
		late.At = r.At.Add(grace + time.Millisecond)
		f.refused(f.store.RotateRefreshToken(f.Context(), late), contract.ErrReused)
		g, err := f.store.Grant(f.Context(), a.grant.ID)
		f.ok(err)
		f.same(g.RevokedAt, late.At)
		f.refused(f.store.RotateRefreshToken(f.Context(), f.rotation(r.Successor, at(140))), contract.ErrNotFound)
	}},
	{"R-02 the end of a reused token's grant survives a restart", func(f *fixture) {
		a, t := f.issued()
		f.rotated(t, at(100))
		f.refused(f.store.RotateRefreshToken(f.Context(), f.rotation(t, at(200))), contract.ErrReused)
		f.reopen()
		f.lives(a.grant.ID, false)
	}},
	{"R-02 a token used again for another successor ends the grant, even within the grace", func(f *fixture) {
		a, t := f.issued()
		f.rotated(t, at(100))
		fork := f.rotation(t, at(101))
		f.refused(f.store.RotateRefreshToken(f.Context(), fork), contract.ErrReused)
		f.lives(a.grant.ID, false)
		_, err := f.store.RefreshToken(f.Context(), fork.Successor.Token, at(101))
		f.refused(err, contract.ErrNotFound)
	}},
	{"R-02 a token used again after its successor was rotated ends the grant, even within the grace", func(f *fixture) {
		a, t := f.issued()
		first := f.rotated(t, at(100))
		f.rotated(first.Successor, at(101))
		again := first
		again.At = at(102)
		f.refused(f.store.RotateRefreshToken(f.Context(), again), contract.ErrReused)
		f.lives(a.grant.ID, false)
	}},
	{"R-04 of 32 concurrent rotations to one successor all succeed, and there is one", func(f *fixture) {
		a, t := f.issued()
		r := f.rotation(t, at(100))
		errs := race(32, func(int) error { return f.store.RotateRefreshToken(f.Context(), r) })
		f.count(errs, len(errs), func(error) bool { return false })
		f.lives(a.grant.ID, true)
		f.rotated(r.Successor, at(101))
	}},
	{"R-04 of 32 concurrent rotations to different successors one is stored, and the grant ends", func(f *fixture) {
		a, t := f.issued()
		rotations := make([]contract.Rotation, 32)
		for i := range rotations {
			rotations[i] = f.rotation(t, at(100))
		}
		errs := race(len(rotations), func(i int) error { return f.store.RotateRefreshToken(f.Context(), rotations[i]) })
		// The first loser ends the grant; those after it find no living one.
		f.count(errs, 1, func(err error) bool { return is(contract.ErrReused)(err) || is(contract.ErrNotFound)(err) })
		if !slices.ContainsFunc(errs, is(contract.ErrReused)) {
			f.Fatal("no call noticed the reuse")
		}
		f.lives(a.grant.ID, false)
		for i, r := range rotations {
			_, err := f.store.RefreshToken(f.Context(), r.Successor.Token, at(100))
			if errs[i] == nil {
				f.ok(err)
			} else {
				f.refused(err, contract.ErrNotFound)
			}
		}
	}},
	{"R-08 a rotation needs a token that is there and not expired, of a living grant", func(f *fixture) {
		a, t := f.issued()
		unknown := t
		unknown.Token = f.hash()
		f.refused(f.store.RotateRefreshToken(f.Context(), f.rotation(unknown, at(100))), contract.ErrNotFound)

		f.refused(f.store.RotateRefreshToken(f.Context(), f.rotation(t, t.ExpiresAt)), contract.ErrNotFound)
		f.refused(f.store.RotateRefreshToken(f.Context(), f.rotation(t, a.grant.ExpiresAt)), contract.ErrNotFound)
		f.lives(a.grant.ID, true)

		f.ok(f.store.RevokeGrant(f.Context(), contract.Revocation{GrantID: a.grant.ID, At: at(99), Event: anyEvent}))
		dead := f.rotation(t, at(100))
		f.refused(f.store.RotateRefreshToken(f.Context(), dead), contract.ErrNotFound)
		_, err := f.store.RefreshToken(f.Context(), dead.Successor.Token, at(100))
		f.refused(err, contract.ErrNotFound)
	}},
	{"R-08 a token that expires before its grant ends by itself", func(f *fixture) {
		a := f.approved()
		r := f.redemption(a)
		r.RefreshToken.ExpiresAt = at(300)
		f.ok(f.store.RedeemDeviceRequest(f.Context(), r))
		f.refused(f.store.RotateRefreshToken(f.Context(), f.rotation(*r.RefreshToken, at(300))), contract.ErrNotFound)
		f.rotated(*r.RefreshToken, at(300).Add(-time.Millisecond))
	}},
	{"R-08 a rotated token is not there when it or its grant has ended, not even within the grace", func(f *fixture) {
		short := f.approved()
		r := f.redemption(short)
		r.RefreshToken.ExpiresAt = at(120)
		f.ok(f.store.RedeemDeviceRequest(f.Context(), r))
		again := f.rotated(*r.RefreshToken, at(100))
		again.At = at(120)
		f.refused(f.store.RotateRefreshToken(f.Context(), again), contract.ErrNotFound)
		f.refused(f.store.RotateRefreshToken(f.Context(), f.rotation(*r.RefreshToken, at(120))), contract.ErrNotFound)
		f.lives(short.grant.ID, true)

		expired, t := f.issued()
		again = f.rotated(t, expired.grant.ExpiresAt.Add(-time.Second))
		again.At = expired.grant.ExpiresAt
		f.refused(f.store.RotateRefreshToken(f.Context(), again), contract.ErrNotFound)

		revoked, t := f.issued()
		again = f.rotated(t, at(100))
		f.ok(f.store.RevokeGrant(f.Context(), contract.Revocation{GrantID: revoked.grant.ID, At: at(101), Event: anyEvent}))
		again.At = at(102)
		f.refused(f.store.RotateRefreshToken(f.Context(), again), contract.ErrNotFound)
		f.refused(f.store.RotateRefreshToken(f.Context(), f.rotation(t, at(102))), contract.ErrNotFound)
	}},
	{"a rotation forgets the token before, and what it names otherwise stays", func(f *fixture) {
		_, t := f.issued()
		_, foreign := f.issued()
		second := f.rotated(t, at(100)).Successor
		elsewhere := f.rotated(foreign, at(100)).Successor
		kept := func(tokens ...authz.RefreshToken) {
			f.Helper()
			for _, k := range tokens {
				_, err := f.store.RefreshToken(f.Context(), k.Token, at(100))
				f.ok(err)
			}
		}
		late := f.rotation(t, at(131)) // refused, which forgets nothing
		late.Forgotten = second.Token
		r := f.rotation(second, at(101))
		for _, other := range []authz.Hash{foreign.Token, elsewhere.Token, f.hash(), second.Token} {
			r := f.rotation(r.Successor, at(102))
			r.Token, r.Forgotten = f.hash(), other
			f.refused(f.store.RotateRefreshToken(f.Context(), r), contract.ErrNotFound)
		}
		kept(t, second, foreign, elsewhere)
		r.Forgotten = t.Token
		f.ok(f.store.RotateRefreshToken(f.Context(), r))
		_, err := f.store.RefreshToken(f.Context(), t.Token, at(100))
		f.refused(err, contract.ErrNotFound)
		kept(second, r.Successor, foreign, elsewhere)

		third := f.rotation(r.Successor, at(103)) // names what it did not replace
		third.Forgotten = foreign.Token
		f.ok(f.store.RotateRefreshToken(f.Context(), third))
		kept(second, foreign, elsewhere)
		third.At = at(104)
		f.ok(f.store.RotateRefreshToken(f.Context(), third)) // again, within the grace
		f.refused(f.store.RotateRefreshToken(f.Context(), late), contract.ErrNotFound)
	}},
	{"R-02 a token whose successor is kept no more ends the grant", func(f *fixture) {
		a, t := f.issued()
		second := f.rotated(t, at(100)).Successor
		third := f.rotated(second, at(101)).Successor
		r := f.rotation(third, at(102))
		r.Forgotten = second.Token
		f.ok(f.store.RotateRefreshToken(f.Context(), r))
		again := contract.Rotation{Token: t.Token, Successor: second, At: at(103), Grace: grace, Reuse: anyEvent}
		f.refused(f.store.RotateRefreshToken(f.Context(), again), contract.ErrReused)
		f.lives(a.grant.ID, false)
	}},
	{"a rotation whose successor cannot be stored does not happen", func(f *fixture) {
		_, t := f.issued()
		_, other := f.issued()
		r := f.rotation(t, at(100))
		r.Successor.Token = other.Token
		if err := f.store.RotateRefreshToken(f.Context(), r); err == nil {
			f.Fatal("two grants have one refresh token")
		}
		f.rotated(t, at(101))
	}},
}
