package storagetest

import (
	"time"

	"countersign.dev/internal/authz"
)

// sweep removes what was over at a time, of every kind.
func (b *bench) sweep(before time.Time, limit int) int {
	b.Helper()
	n, err := b.store.Sweep(b.Context(), authz.SweepTimes{DeviceRequests: before, Grants: before, Counted: before.Add(-time.Hour), Rest: before}, limit)
	b.ok(err)
	return n
}

// requestUntil stores a request that expires at a time.
func (b *bench) requestUntil(expires time.Time) authz.DeviceRequest {
	b.Helper()
	r := b.request()
	r.ExpiresAt = expires
	b.ok(b.store.CreateDeviceRequest(b.Context(), r))
	return r
}

// gone ends the test unless a request is no longer found by anything.
func (b *bench) gone(r authz.DeviceRequest) {
	b.Helper()
	_, err := b.store.DeviceRequest(b.Context(), r.DeviceCode)
	b.refused(err, authz.ErrNotFound)
	_, err = b.store.DeviceRequestByUserCode(b.Context(), r.UserCode)
	b.refused(err, authz.ErrNotFound)
	_, err = b.store.DeviceRequestByID(b.Context(), r.ID)
	b.refused(err, authz.ErrNotFound)
}

var sweepCases = []testCase{
	{"an empty database has nothing to sweep", func(b *bench) { b.same(b.sweep(at(9_999_999), 100), 0) }},
	{"requests that expired before are swept, whatever their state, and no others", func(b *bench) {
		over, edge, live := b.requestUntil(at(60)), b.requestUntil(at(61)), b.requestUntil(at(62))
		decided := b.approvedWith(func(r *authz.DeviceRequest, _ *authz.Grant) { r.ExpiresAt = at(60) })
		b.same(b.sweep(at(61), 100), 2)
		b.gone(over)
		b.gone(decided.request)
		b.kept(edge)
		b.kept(live)
		_, err := b.store.Grant(b.Context(), decided.grant.ID)
		b.ok(err)
	}},
	{"each sweep takes at most its limit, and sweeping again takes the rest", func(b *bench) {
		for range 25 {
			b.requestUntil(at(60))
		}
		for _, want := range []int{10, 10, 5, 0} {
			b.same(b.sweep(at(61), 10), want)
		}
	}},
	{"what lives longer does not shield what is over behind it", func(b *bench) {
		var live []authz.DeviceRequest
		for range 12 {
			live = append(live, b.requestUntil(at(9000)))
		}
		over := []authz.DeviceRequest{b.requestUntil(at(60)), b.requestUntil(at(50)), b.requestUntil(at(60))}
		b.same(b.sweep(at(61), 2), 2)
		b.same(b.sweep(at(61), 2), 1)
		for _, r := range over {
			b.gone(r)
		}
		for _, r := range live {
			b.kept(r)
		}
	}},
	{"a swept request's codes and id are free again", func(b *bench) {
		r := b.requestUntil(at(60))
		b.sweep(at(61), 10)
		b.gone(r)
		r.CreatedAt, r.ExpiresAt = at(100), at(1000)
		b.ok(b.store.CreateDeviceRequest(b.Context(), r))
		b.kept(r)
	}},
	{"a request made after a sweep is found by another server", func(b *bench) {
		other := b.connect()
		b.requestUntil(at(60))
		_, err := other.DeviceRequest(b.Context(), b.hash())
		b.refused(err, authz.ErrNotFound)
		b.same(b.sweep(at(61), 10), 1)
		r := b.requestUntil(at(900))
		got, err := other.DeviceRequest(b.Context(), r.DeviceCode)
		b.ok(err)
		b.same(got, r)
	}},
	{"grants that expired or were revoked before are swept with their receipts", func(b *bench) {
		expired := b.approvedWith(func(_ *authz.DeviceRequest, g *authz.Grant) { g.ExpiresAt = at(60) }).grant
		revoked, edge, live := b.approved().grant, b.approved().grant, b.approved().grant
		b.ok(b.store.RevokeGrant(b.Context(), authz.Revocation{GrantID: revoked.ID, At: at(60), Event: anyEvent}))
		b.ok(b.store.RevokeGrant(b.Context(), authz.Revocation{GrantID: edge.ID, At: at(61), Event: anyEvent}))
		n, err := b.store.Sweep(b.Context(), authz.SweepTimes{DeviceRequests: at(0), Grants: at(61), Rest: at(0)}, 100)
		b.ok(err)
		b.same(n, 2)
		for _, g := range []authz.Grant{expired, revoked} {
			_, err := b.store.Grant(b.Context(), g.ID)
			b.refused(err, authz.ErrNotFound)
			_, err = b.store.Receipt(b.Context(), g.ID)
			b.refused(err, authz.ErrNotFound)
		}
		for _, g := range []authz.Grant{edge, live} {
			_, err := b.store.Receipt(b.Context(), g.ID)
			b.ok(err)
		}
	}},
	{"sessions, reviews, used keys and refresh tokens that expired before are swept", sweepRest},
	{"windows of guesses are swept when they are long over", func(b *bench) {
		old, current := at(0), at(72*3600)
		b.ok(b.store.CountGuesses(b.Context(), []string{"a", "b"}, old))
		b.ok(b.store.CountGuesses(b.Context(), []string{"a"}, current))
		b.sweep(current.Add(time.Second), 100)
		b.guesses([]string{"a", "b"}, old, []int{0, 0})
		b.guesses([]string{"a"}, current, []int{1})
	}},
	{"each kind has its own limit", func(b *bench) {
		for range 3 {
			b.requestUntil(at(60))
			b.ok(b.store.UseOnce(b.Context(), b.hash(), at(0), at(60)))
		}
		b.same(b.sweep(at(61), 2), 4)
		b.same(b.sweep(at(61), 2), 2)
	}},
}

func sweepRest(b *bench) {
	ctx := b.Context()
	_, i := b.account()
	over, live := b.session(i), b.session(i)
	over.ExpiresAt, live.ExpiresAt = at(60), at(62)
	b.ok(b.store.CreateSession(ctx, authz.NewSession{Session: over, Event: anyEvent, Keep: plenty}))
	b.ok(b.store.CreateSession(ctx, authz.NewSession{Session: live, Event: anyEvent, Keep: plenty}))
	overReview, liveReview := b.review(), b.review()
	overReview.ExpiresAt, liveReview.ExpiresAt = at(60), at(62)
	b.ok(b.store.CreateReview(ctx, overReview, plenty))
	b.ok(b.store.CreateReview(ctx, liveReview, plenty))
	overKey, liveKey := b.hash(), b.hash()
	b.ok(b.store.UseOnce(ctx, overKey, at(0), at(60)))
	b.ok(b.store.UseOnce(ctx, liveKey, at(0), at(62)))
	var tokens []authz.Hash
	for _, expires := range []int{60, 62} {
		r := b.redemption(b.approved())
		r.RefreshToken.ExpiresAt = at(expires)
		b.ok(b.store.RedeemDeviceRequest(ctx, r))
		tokens = append(tokens, r.RefreshToken.Token)
	}

	n, err := b.store.Sweep(ctx, authz.SweepTimes{DeviceRequests: at(0), Grants: at(0), Rest: at(61)}, 100)
	b.ok(err)
	b.same(n, 4)

	// Asked as of a time at which all of them still counted.
	_, err = b.store.Session(ctx, over.Token, at(0))
	b.refused(err, authz.ErrNotFound)
	_, err = b.store.Session(ctx, live.Token, at(0))
	b.ok(err)
	_, err = b.store.TakeReview(ctx, overReview.ID, overReview.Session, at(0))
	b.refused(err, authz.ErrNotFound)
	_, err = b.store.TakeReview(ctx, liveReview.ID, liveReview.Session, at(0))
	b.ok(err)
	b.ok(b.store.UseOnce(ctx, overKey, at(0), at(60)))
	b.refused(b.store.UseOnce(ctx, liveKey, at(0), at(60)), authz.ErrExists)
	_, err = b.store.RefreshToken(ctx, tokens[0], at(0))
	b.refused(err, authz.ErrNotFound)
	_, err = b.store.RefreshToken(ctx, tokens[1], at(0))
	b.ok(err)
}
