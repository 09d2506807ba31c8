package storagetest

import (
	"fmt"
	"time"

	"countersign.dev/internal/authz"
)

// request makes a pending request with every member set but the account.
func (b *bench) request() authz.DeviceRequest {
	return authz.DeviceRequest{
		ID: b.word("request"), DeviceCode: b.hash(), UserCode: b.hash(), ClientID: b.word("client"),
		Scope: "openid profile", State: authz.Pending, CreatedAt: at(0), ExpiresAt: at(900),
		SignatureRequired: true, ClientProved: true, MatchNumber: 47, Nonce: b.word("nonce"),
		Seen: authz.Seen{Network: "192.0.2.0/24", UserAgent: b.word("agent")},
		Says: authz.DeviceSays{Name: b.word("name"), Platform: "linux", Origin: "https://app.example"},
	}
}

// pending stores a request.
func (b *bench) pending() authz.DeviceRequest {
	b.Helper()
	r := b.request()
	b.ok(b.store.CreateDeviceRequest(b.Context(), r))
	return r
}

// kept ends the test unless a request is kept as wanted, however it is found.
func (b *bench) kept(want authz.DeviceRequest) {
	b.Helper()
	for _, find := range []func() (authz.DeviceRequest, error){
		func() (authz.DeviceRequest, error) { return b.store.DeviceRequest(b.Context(), want.DeviceCode) },
		func() (authz.DeviceRequest, error) {
			return b.store.DeviceRequestByUserCode(b.Context(), want.UserCode)
		},
		func() (authz.DeviceRequest, error) { return b.store.DeviceRequestByID(b.Context(), want.ID) },
	} {
		got, err := find()
		b.ok(err)
		b.same(got, want)
	}
}

var deviceCases = []testCase{
	{"a request is kept with every member and found three ways", func(b *bench) {
		full, bare := b.pending(), authz.DeviceRequest{
			ID: b.word("request"), DeviceCode: b.hash(), UserCode: b.hash(), ClientID: "c", State: authz.Pending,
			CreatedAt: at(0), ExpiresAt: at(1),
		}
		b.ok(b.store.CreateDeviceRequest(b.Context(), bare))
		b.kept(full)
		b.kept(bare)
	}},
	{"strings of a request are kept byte for byte", func(b *bench) {
		for _, s := range awkward {
			r := b.request()
			r.ID, r.ClientID, r.Scope, r.Nonce = s, s, s, s
			r.Seen = authz.Seen{Network: s, UserAgent: s}
			r.Says = authz.DeviceSays{Name: s, Platform: s, Origin: s}
			b.ok(b.store.CreateDeviceRequest(b.Context(), r))
			b.kept(r)
		}
	}},
	{"times are kept to the millisecond", func(b *bench) {
		r := b.request()
		r.CreatedAt, r.ExpiresAt = begin.Add(999*time.Microsecond), begin.Add(time.Hour+123*time.Millisecond)
		b.ok(b.store.CreateDeviceRequest(b.Context(), r))
		r.CreatedAt = begin
		b.kept(r)
	}},
	{"what is not there is not found", func(b *bench) {
		r := b.pending()
		_, err := b.store.DeviceRequest(b.Context(), b.hash())
		b.refused(err, authz.ErrNotFound)
		_, err = b.store.DeviceRequest(b.Context(), r.UserCode)
		b.refused(err, authz.ErrNotFound)
		_, err = b.store.DeviceRequestByUserCode(b.Context(), r.DeviceCode)
		b.refused(err, authz.ErrNotFound)
		_, err = b.store.DeviceRequestByID(b.Context(), "none")
		b.refused(err, authz.ErrNotFound)
	}},
	{"hashes that differ in one bit are two hashes", func(b *bench) {
		for i := range len(authz.Hash{}) {
			r := b.request()
			r.DeviceCode, r.UserCode = authz.Hash{}, authz.Hash{}
			r.DeviceCode[i], r.UserCode[i] = 1, 0x80
			b.ok(b.store.CreateDeviceRequest(b.Context(), r))
			b.kept(r)
		}
	}},
	{"D-40 a user code, a device code and an id are in use once", func(b *bench) {
		first := b.pending()
		for _, same := range []func(r *authz.DeviceRequest){
			func(r *authz.DeviceRequest) { r.UserCode = first.UserCode },
			func(r *authz.DeviceRequest) { r.DeviceCode = first.DeviceCode },
			func(r *authz.DeviceRequest) { r.ID = first.ID },
		} {
			second := b.request()
			whole := second
			same(&second)
			b.refused(b.store.CreateDeviceRequest(b.Context(), second), authz.ErrExists)
			b.kept(first)
			b.ok(b.store.CreateDeviceRequest(b.Context(), whole)) // nothing of the refused one stayed
		}
	}},
	{"D-40 of 32 concurrent requests with one user code one succeeds", func(b *bench) {
		requests := make([]authz.DeviceRequest, 32)
		for i := range requests {
			requests[i] = b.request()
			requests[i].UserCode = requests[0].UserCode
		}
		errs := race(len(requests), func(i int) error { return b.store.CreateDeviceRequest(b.Context(), requests[i]) })
		b.count(errs, 1, is(authz.ErrExists))
		for i, r := range requests {
			if errs[i] == nil {
				b.kept(r)
				continue
			}
			_, err := b.store.DeviceRequest(b.Context(), r.DeviceCode)
			b.refused(err, authz.ErrNotFound)
		}
	}},
	{"D-37 a request belongs to the account that claimed it first", func(b *bench) {
		r := b.pending()
		b.ok(claim(b, b.store, r.ID, "alice", at(1)))
		r.AccountID = "alice"
		b.kept(r)
		b.ok(claim(b, b.store, r.ID, "alice", at(2)))
		b.wrongState(claim(b, b.store, r.ID, "bob", at(3)), r)
		b.wrongState(claim(b, b.store, r.ID, "Alice", at(3)), r)
		b.kept(r)
	}},
	{"D-37 of concurrent claims by 32 accounts one succeeds", func(b *bench) {
		r := b.pending()
		errs := race(32, func(i int) error {
			return claim(b, b.store, r.ID, fmt.Sprintf("account %d", i), at(1))
		})
		b.count(errs, 1, isState)
		for i, err := range errs {
			if err == nil {
				r.AccountID = fmt.Sprintf("account %d", i)
			}
		}
		b.kept(r)
	}},
	{"concurrent claims by one account all succeed", func(b *bench) {
		r := b.pending()
		errs := race(16, func(int) error { return claim(b, b.store, r.ID, "alice", at(1)) })
		b.count(errs, len(errs), isState)
	}},
	{"a claim needs a request that is there, pending and not expired", func(b *bench) {
		b.refused(claim(b, b.store, "none", "alice", at(1)), authz.ErrNotFound)
		r := b.pending()
		b.wrongState(claim(b, b.store, r.ID, "alice", r.ExpiresAt), r)
		b.ok(claim(b, b.store, r.ID, "alice", r.ExpiresAt.Add(-time.Millisecond)))
		decided := b.approved().request
		b.wrongState(claim(b, b.store, decided.ID, decided.AccountID, at(20)), decided)
	}},
	{"B-10 the pending requests that expire later are counted, in all and by client", func(b *bench) {
		count := func(now time.Time, want int) {
			b.Helper()
			got, of, err := b.store.PendingDeviceRequests(b.Context(), nil, now)
			b.ok(err)
			b.same(got, want)
			b.same(of, map[string]int{})
		}
		count(at(0), 0)
		b.pending()
		count(at(0), 1)
		claimed := b.pending()
		b.ok(claim(b, b.store, claimed.ID, "alice", at(1)))
		short := b.request()
		short.ExpiresAt = at(60)
		b.ok(b.store.CreateDeviceRequest(b.Context(), short))
		b.approved()
		denied := b.pending()
		b.ok(b.store.DenyDeviceRequest(b.Context(), authz.Denial{RequestID: denied.ID, AccountID: "a", Unclaimed: true, At: at(1), Event: anyEvent, Keep: plenty}))
		count(at(59), 3)
		count(at(60), 2)
		count(at(900), 0)
		for range 2 {
			again := b.request()
			again.ClientID = claimed.ClientID
			b.ok(b.store.CreateDeviceRequest(b.Context(), again))
		}
		total, of, err := b.store.PendingDeviceRequests(b.Context(), []string{claimed.ClientID, short.ClientID, denied.ClientID, "none"}, at(59))
		b.ok(err)
		b.same(total, 5)
		b.same(of, map[string]int{claimed.ClientID: 3, short.ClientID: 1})
	}},
}
