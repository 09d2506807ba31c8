package storagetest

import (
	"fmt"
	"time"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/contract"
)

// request makes a pending request with every member set but the account.
func (f *fixture) request() authz.DeviceRequest {
	return authz.DeviceRequest{
		ID: f.word("request"), DeviceCode: f.hash(), UserCode: f.hash(), ClientID: f.word("client"),
		Scope: "openid profile", State: authz.Pending, CreatedAt: at(0), ExpiresAt: at(900),
		SignatureRequired: true, ClientProved: true, MatchNumber: 47, Nonce: f.word("nonce"), Thumbprint: f.word("thumbprint"),
		Resources: []string{"https://" + f.word("api") + ".example/v1?a=b", "https://api.example"},
		Seen:      authz.Seen{Network: "192.0.2.0/24", UserAgent: f.word("agent")},
		Says:      authz.DeviceSays{Name: f.word("name"), Platform: "linux", Origin: "https://app.example"},
		Redirect: authz.Redirect{
			URI: "https://" + f.word("app") + ".example/back?a=b&c", State: f.word("state"), HasState: true, CodeChallenge: f.word("challenge"),
		},
	}
}

// pending stores a request.
func (f *fixture) pending() authz.DeviceRequest {
	f.Helper()
	r := f.request()
	f.ok(f.store.CreateDeviceRequest(f.Context(), r))
	return r
}

// kept ends the test unless a request is kept as wanted, however it is found.
func (f *fixture) kept(want authz.DeviceRequest) {
	f.Helper()
	for _, find := range []func() (authz.DeviceRequest, error){
		func() (authz.DeviceRequest, error) { return f.store.DeviceRequest(f.Context(), want.DeviceCode) },
		func() (authz.DeviceRequest, error) {
			return f.store.DeviceRequestByUserCode(f.Context(), want.UserCode)
		},
		func() (authz.DeviceRequest, error) { return f.store.DeviceRequestByID(f.Context(), want.ID) },
	} {
		got, err := find()
		f.ok(err)
		f.same(got, want)
	}
}

var deviceCases = []testCase{
	{"a request is kept with every member and found three ways", func(f *fixture) {
		full, bare := f.pending(), authz.DeviceRequest{
			ID: f.word("request"), DeviceCode: f.hash(), UserCode: f.hash(), ClientID: "c", State: authz.Pending,
			CreatedAt: at(0), ExpiresAt: at(1),
		}
		f.ok(f.store.CreateDeviceRequest(f.Context(), bare))
		f.kept(full)
		f.kept(bare)
	}},
	{"strings of a request are kept byte for byte", func(f *fixture) {
		for _, s := range awkward {
			r := f.request()
			r.ID, r.ClientID, r.Scope, r.Nonce, r.Thumbprint = s, s, s, s, s
			r.Seen = authz.Seen{Network: s, UserAgent: s}
			r.Says = authz.DeviceSays{Name: s, Platform: s, Origin: s}
			r.Redirect = authz.Redirect{URI: s, State: s, HasState: true, CodeChallenge: s}
			f.ok(f.store.CreateDeviceRequest(f.Context(), r))
			f.kept(r)
		}
	}},
	{"times are kept to the millisecond", func(f *fixture) {
		r := f.request()
		r.CreatedAt, r.ExpiresAt = begin.Add(999*time.Microsecond), begin.Add(time.Hour+123*time.Millisecond)
		f.ok(f.store.CreateDeviceRequest(f.Context(), r))
		r.CreatedAt = begin
		f.kept(r)
	}},
	{"what is not there is not found", func(f *fixture) {
		r := f.pending()
		_, err := f.store.DeviceRequest(f.Context(), f.hash())
		f.refused(err, contract.ErrNotFound)
		_, err = f.store.DeviceRequest(f.Context(), r.UserCode)
		f.refused(err, contract.ErrNotFound)
		_, err = f.store.DeviceRequestByUserCode(f.Context(), r.DeviceCode)
		f.refused(err, contract.ErrNotFound)
		_, err = f.store.DeviceRequestByID(f.Context(), "none")
		f.refused(err, contract.ErrNotFound)
	}},
	{"hashes that differ in one bit are two hashes", func(f *fixture) {
		for i := range len(authz.Hash{}) {
			r := f.request()
			r.DeviceCode, r.UserCode = authz.Hash{}, authz.Hash{}
			r.DeviceCode[i], r.UserCode[i] = 1, 0x80
			f.ok(f.store.CreateDeviceRequest(f.Context(), r))
			f.kept(r)
		}
	}},
	{"D-40 a user code, a device code and an id are in use once", func(f *fixture) {
		first := f.pending()
		for _, same := range []func(r *authz.DeviceRequest){
			func(r *authz.DeviceRequest) { r.UserCode = first.UserCode },
			func(r *authz.DeviceRequest) { r.DeviceCode = first.DeviceCode },
			func(r *authz.DeviceRequest) { r.ID = first.ID },
		} {
			second := f.request()
			whole := second
			same(&second)
			f.refused(f.store.CreateDeviceRequest(f.Context(), second), contract.ErrExists)
			f.kept(first)
			f.ok(f.store.CreateDeviceRequest(f.Context(), whole)) // nothing of the refused one stayed
		}
	}},
	{"D-40 of 32 concurrent requests with one user code one succeeds", func(f *fixture) {
		requests := make([]authz.DeviceRequest, 32)
		for i := range requests {
			requests[i] = f.request()
			requests[i].UserCode = requests[0].UserCode
		}
		errs := race(len(requests), func(i int) error { return f.store.CreateDeviceRequest(f.Context(), requests[i]) })
		f.count(errs, 1, is(contract.ErrExists))
		for i, r := range requests {
			if errs[i] == nil {
				f.kept(r)
				continue
			}
			_, err := f.store.DeviceRequest(f.Context(), r.DeviceCode)
			f.refused(err, contract.ErrNotFound)
		}
	}},
	{"D-37 a request belongs to the account that claimed it first", func(f *fixture) {
		r := f.pending()
		f.ok(claim(f, f.store, r.ID, "alice", at(1)))
		r.AccountID = "alice"
		f.kept(r)
		f.ok(claim(f, f.store, r.ID, "alice", at(2)))
		f.wrongState(claim(f, f.store, r.ID, "bob", at(3)), r)
		f.wrongState(claim(f, f.store, r.ID, "Alice", at(3)), r)
		f.kept(r)
	}},
	{"D-37 of concurrent claims by 32 accounts one succeeds", func(f *fixture) {
		r := f.pending()
		errs := race(32, func(i int) error {
			return claim(f, f.store, r.ID, fmt.Sprintf("account %d", i), at(1))
		})
		f.count(errs, 1, isState)
		for i, err := range errs {
			if err == nil {
				r.AccountID = fmt.Sprintf("account %d", i)
			}
		}
		f.kept(r)
	}},
	{"concurrent claims by one account all succeed", func(f *fixture) {
		r := f.pending()
		errs := race(16, func(int) error { return claim(f, f.store, r.ID, "alice", at(1)) })
		f.count(errs, len(errs), isState)
	}},
	{"a claim needs a request that is there, pending and not expired", func(f *fixture) {
		f.refused(claim(f, f.store, "none", "alice", at(1)), contract.ErrNotFound)
		r := f.pending()
		f.wrongState(claim(f, f.store, r.ID, "alice", r.ExpiresAt), r)
		f.ok(claim(f, f.store, r.ID, "alice", r.ExpiresAt.Add(-time.Millisecond)))
		decided := f.approved().request
		f.wrongState(claim(f, f.store, decided.ID, decided.AccountID, at(20)), decided)
	}},
	{"B-10 the pending requests that expire later are counted, in all and by client", func(f *fixture) {
		count := func(now time.Time, want int) {
			f.Helper()
			got, of, err := f.store.PendingDeviceRequests(f.Context(), nil, now)
			f.ok(err)
			f.same(got, want)
			f.same(of, map[string]int{})
		}
		count(at(0), 0)
		f.pending()
		count(at(0), 1)
		claimed := f.pending()
		f.ok(claim(f, f.store, claimed.ID, "alice", at(1)))
		short := f.request()
		short.ExpiresAt = at(60)
		f.ok(f.store.CreateDeviceRequest(f.Context(), short))
		f.approved()
		denied := f.pending()
		f.ok(f.store.DenyDeviceRequest(f.Context(), contract.Denial{RequestID: denied.ID, AccountID: "a", Unclaimed: true, At: at(1), Event: anyEvent, Keep: plenty}))
		count(at(59), 3)
		count(at(60), 2)
		count(at(900), 0)
		for range 2 {
			again := f.request()
			again.ClientID = claimed.ClientID
			f.ok(f.store.CreateDeviceRequest(f.Context(), again))
		}
		total, of, err := f.store.PendingDeviceRequests(f.Context(), []string{claimed.ClientID, short.ClientID, denied.ClientID, "none"}, at(59))
		f.ok(err)
		f.same(total, 5)
		f.same(of, map[string]int{claimed.ClientID: 3, short.ClientID: 1})
	}},
}
