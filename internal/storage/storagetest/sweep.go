package storagetest

import (
	"time"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/contract"
)

// sweep removes what was over at a time, of every kind.
func (f *fixture) sweep(before time.Time, limit int) int {
	f.Helper()
	n, err := f.store.Sweep(f.Context(), contract.SweepTimes{DeviceRequests: before, Grants: before, Counted: before.Add(-time.Hour), Rest: before}, limit)
	f.ok(err)
	return n
}

// requestUntil stores a request that expires at a time.
func (f *fixture) requestUntil(expires time.Time) authz.DeviceRequest {
	f.Helper()
	r := f.request()
	r.ExpiresAt = expires
	f.ok(f.store.CreateDeviceRequest(f.Context(), r))
	return r
}

// gone ends the test unless a request is no longer found by anything.
func (f *fixture) gone(r authz.DeviceRequest) {
	f.Helper()
	_, err := f.store.DeviceRequest(f.Context(), r.DeviceCode)
	f.refused(err, contract.ErrNotFound)
	_, err = f.store.DeviceRequestByUserCode(f.Context(), r.UserCode)
	f.refused(err, contract.ErrNotFound)
	_, err = f.store.DeviceRequestByID(f.Context(), r.ID)
	f.refused(err, contract.ErrNotFound)
}

var sweepCases = []testCase{
	{"an empty database has nothing to sweep", func(f *fixture) { f.same(f.sweep(at(9_999_999), 100), 0) }},
	{"requests that expired before are swept, whatever their state, and no others", func(f *fixture) {
		over, edge, live := f.requestUntil(at(60)), f.requestUntil(at(61)), f.requestUntil(at(62))
		decided := f.approvedWith(func(r *authz.DeviceRequest, _ *authz.Grant) { r.ExpiresAt = at(60) })
		f.same(f.sweep(at(61), 100), 2)
		f.gone(over)
		f.gone(decided.request)
		f.kept(edge)
		f.kept(live)
		_, err := f.store.Grant(f.Context(), decided.grant.ID)
		f.ok(err)
	}},
	{"each sweep takes at most its limit, and sweeping again takes the rest", func(f *fixture) {
		for range 25 {
			f.requestUntil(at(60))
		}
		for _, want := range []int{10, 10, 5, 0} {
			f.same(f.sweep(at(61), 10), want)
		}
	}},
	{"what lives longer does not shield what is over behind it", func(f *fixture) {
		var live []authz.DeviceRequest
		for range 12 {
			live = append(live, f.requestUntil(at(9000)))
		}
		over := []authz.DeviceRequest{f.requestUntil(at(60)), f.requestUntil(at(50)), f.requestUntil(at(60))}
		f.same(f.sweep(at(61), 2), 2)
		f.same(f.sweep(at(61), 2), 1)
		for _, r := range over {
			f.gone(r)
		}
		for _, r := range live {
			f.kept(r)
		}
	}},
	{"a swept request's codes and id are free again", func(f *fixture) {
		r := f.requestUntil(at(60))
		f.sweep(at(61), 10)
		f.gone(r)
		r.CreatedAt, r.ExpiresAt = at(100), at(1000)
		f.ok(f.store.CreateDeviceRequest(f.Context(), r))
		f.kept(r)
	}},
	{"a request made after a sweep is found by another server", func(f *fixture) {
		other := f.connect()
		f.requestUntil(at(60))
		_, err := other.DeviceRequest(f.Context(), f.hash())
		f.refused(err, contract.ErrNotFound)
		f.same(f.sweep(at(61), 10), 1)
		r := f.requestUntil(at(900))
		got, err := other.DeviceRequest(f.Context(), r.DeviceCode)
		f.ok(err)
		f.same(got, r)
	}},
	{"grants that expired or were revoked before are swept with their receipts", func(f *fixture) {
		expired := f.approvedWith(func(_ *authz.DeviceRequest, g *authz.Grant) { g.ExpiresAt = at(60) }).grant
		revoked, edge, live := f.approved().grant, f.approved().grant, f.approved().grant
		f.ok(f.store.RevokeGrant(f.Context(), contract.Revocation{GrantID: revoked.ID, At: at(60), Event: anyEvent}))
		f.ok(f.store.RevokeGrant(f.Context(), contract.Revocation{GrantID: edge.ID, At: at(61), Event: anyEvent}))
		n, err := f.store.Sweep(f.Context(), contract.SweepTimes{DeviceRequests: at(0), Grants: at(61), Rest: at(0)}, 100)
		f.ok(err)
		f.same(n, 2)
		for _, g := range []authz.Grant{expired, revoked} {
			_, err := f.store.Grant(f.Context(), g.ID)
			f.refused(err, contract.ErrNotFound)
			_, err = f.store.Receipt(f.Context(), g.ID)
			f.refused(err, contract.ErrNotFound)
		}
		for _, g := range []authz.Grant{edge, live} {
			_, err := f.store.Receipt(f.Context(), g.ID)
			f.ok(err)
		}
	}},
	{"sessions, reviews, used keys and refresh tokens that expired before are swept", sweepRest},
	{"windows of guesses are swept when they are long over", func(f *fixture) {
		old, current := at(0), at(72*3600)
		f.ok(f.store.CountGuesses(f.Context(), []string{"a", "b"}, old))
		f.ok(f.store.CountGuesses(f.Context(), []string{"a"}, current))
		f.sweep(current.Add(time.Second), 100)
		f.guesses([]string{"a", "b"}, old, []int{0, 0})
		f.guesses([]string{"a"}, current, []int{1})
	}},
	{"each kind has its own limit", func(f *fixture) {
		for range 3 {
			f.requestUntil(at(60))
			f.ok(f.store.UseOnce(f.Context(), f.hash(), at(0), at(60)))
		}
		f.same(f.sweep(at(61), 2), 4)
		f.same(f.sweep(at(61), 2), 2)
	}},
}

func sweepRest(f *fixture) {
	ctx := f.Context()
	_, i := f.account()
	over, live := f.session(i), f.session(i)
	over.ExpiresAt, live.ExpiresAt = at(60), at(62)
	f.ok(f.store.CreateSession(ctx, contract.NewSession{Session: over, Event: anyEvent, Keep: plenty}))
	f.ok(f.store.CreateSession(ctx, contract.NewSession{Session: live, Event: anyEvent, Keep: plenty}))
	overReview, liveReview := f.review(), f.review()
	overReview.ExpiresAt, liveReview.ExpiresAt = at(60), at(62)
	f.ok(f.store.CreateReview(ctx, overReview, plenty))
	f.ok(f.store.CreateReview(ctx, liveReview, plenty))
	overKey, liveKey := f.hash(), f.hash()
	f.ok(f.store.UseOnce(ctx, overKey, at(0), at(60)))
	f.ok(f.store.UseOnce(ctx, liveKey, at(0), at(62)))
	var tokens []authz.Hash
	for _, expires := range []int{60, 62} {
		r := f.redemption(f.approved())
		r.RefreshToken.ExpiresAt = at(expires)
		f.ok(f.store.RedeemDeviceRequest(ctx, r))
		tokens = append(tokens, r.RefreshToken.Token)
	}

	n, err := f.store.Sweep(ctx, contract.SweepTimes{DeviceRequests: at(0), Grants: at(0), Rest: at(61)}, 100)
	f.ok(err)
	f.same(n, 4)

	// Asked as of a time at which all of them still counted.
	_, err = f.store.Session(ctx, over.Token, at(0))
	f.refused(err, contract.ErrNotFound)
	_, err = f.store.Session(ctx, live.Token, at(0))
	f.ok(err)
	_, err = f.store.TakeReview(ctx, overReview.ID, overReview.Session, at(0))
	f.refused(err, contract.ErrNotFound)
	_, err = f.store.TakeReview(ctx, liveReview.ID, liveReview.Session, at(0))
	f.ok(err)
	f.ok(f.store.UseOnce(ctx, overKey, at(0), at(60)))
	f.refused(f.store.UseOnce(ctx, liveKey, at(0), at(60)), contract.ErrExists)
	_, err = f.store.RefreshToken(ctx, tokens[0], at(0))
	f.refused(err, contract.ErrNotFound)
	_, err = f.store.RefreshToken(ctx, tokens[1], at(0))
	f.ok(err)
}
