package storagetest

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/contract"
)

// consenting makes an approval of a new request of a client that leaves a consent.
func (f *fixture) consenting(clientID string, i authz.Identity) contract.Approval {
	f.Helper()
	r := f.request()
	r.ClientID, r.Resources = clientID, []string{"https://" + f.word("api") + ".example", "https://" + f.word("api") + ".example"}
	f.ok(f.store.CreateDeviceRequest(f.Context(), r))
	a := f.approval(r, i)
	a.Event = f.event(i.AccountID)
	a.Event.GrantID = r.ID
	a.ConsentsKeep = plenty
	a.Consent = &authz.Consent{
		AccountID: i.AccountID, ClientID: clientID, BAPID: i.BAPID, GrantID: r.ID, Scope: r.Scope, Resources: r.Resources, Passkey: a.Grant.Passkey,
		Registration: f.hash(), GivenAt: a.At, ExpiresAt: at(6000),
	}
	return a
}

// consented stores a consent.
func (f *fixture) consented(clientID string, i authz.Identity) authz.Consent {
	f.Helper()
	a := f.consenting(clientID, i)
	f.ok(f.store.ApproveDeviceRequest(f.Context(), a))
	return *a.Consent
}

// standing ends the test unless a consent is there, as another server sees it, or is not.
func (f *fixture) standing(n authz.Consent, there bool) {
	f.Helper()
	got, err := f.connect().Consent(f.Context(), n.AccountID, n.ClientID, n.BAPID, at(100))
	if !there {
		f.refused(err, contract.ErrNotFound)
		return
	}
	f.ok(err)
	f.same(got, n)
}

var consentCases = []testCase{
	{"a consent is kept with its approval, until it ends, in place of the one before", func(f *fixture) {
		_, i := f.account()
		app := f.word("client")
		first := f.consented(app, i)
		f.standing(first, true)
		second := f.consented(app, i)
		f.standing(second, true)
		_, err := f.store.Consent(f.Context(), second.AccountID, app, second.BAPID, second.ExpiresAt.Add(-time.Millisecond))
		f.ok(err)
		for _, missed := range []func() (authz.Consent, error){
			func() (authz.Consent, error) {
				return f.store.Consent(f.Context(), second.AccountID, app, second.BAPID, second.ExpiresAt)
			},
			func() (authz.Consent, error) { return f.store.Consent(f.Context(), "nobody", app, second.BAPID, at(0)) },
			func() (authz.Consent, error) {
				return f.store.Consent(f.Context(), second.AccountID, "none", second.BAPID, at(0))
			},
			func() (authz.Consent, error) {
				return f.store.Consent(f.Context(), second.AccountID, app, "nobody", at(0))
			},
		} {
			_, err := missed()
			f.refused(err, contract.ErrNotFound)
		}
		decided := f.consenting(app, i)
		decided.RequestID = second.GrantID // which is approved
		var state *contract.StateError
		if err := f.store.ApproveDeviceRequest(f.Context(), decided); !errors.As(err, &state) {
			f.Fatalf("approved twice: %v", err)
		}
		plain := f.approval(f.pending(), i) // of another client, and leaves none
		f.ok(f.store.ApproveDeviceRequest(f.Context(), plain))
		f.standing(second, true)
		f.reopen()
		f.standing(second, true)
	}},
	{"an account's consents are listed, newest first, and one of them is forgotten", func(f *fixture) {
		a, i := f.account()
		_, other := f.account()
		f.consented(f.word("client"), other)
		var all []authz.Consent
		for n := range 3 {
			given := f.consenting(f.word("client"), i)
			given.Consent.GivenAt, given.Consent.ExpiresAt = at(10+n), at(100+n)
			f.ok(f.store.ApproveDeviceRequest(f.Context(), given))
			all = append([]authz.Consent{*given.Consent}, all...)
		}
		list := func(now time.Time, limit int) []authz.Consent {
			got, err := f.store.Consents(f.Context(), a.ID, now, limit)
			f.ok(err)
			return got
		}
		f.same(list(at(99), many), all)
		f.same(list(at(99), 2), all[:2])
		f.same(list(at(101), many), all[:1])
		f.refused(f.store.ForgetConsent(f.Context(), other.AccountID, all[1].GrantID), contract.ErrNotFound)
		f.refused(f.store.ForgetConsent(f.Context(), a.ID, "a\x00"), contract.ErrNotFound)
		f.ok(f.store.ForgetConsent(f.Context(), a.ID, all[1].GrantID))
		f.refused(f.store.ForgetConsent(f.Context(), a.ID, all[1].GrantID), contract.ErrNotFound)
		f.same(list(at(99), many), []authz.Consent{all[0], all[2]})
	}},
	{"of an account's consents the newest are kept", func(f *fixture) {
		a, i := f.account()
		_, other := f.account()
		foreign := f.consented(f.word("client"), other)
		var all []authz.Consent
		for n := range few.Most + 3 {
			given := f.consenting(f.word("client"), i)
			given.ConsentsKeep, given.Consent.GivenAt = few, at(10+n)
			f.ok(f.store.ApproveDeviceRequest(f.Context(), given))
			all = append([]authz.Consent{*given.Consent}, all...)
		}
		got, err := f.store.Consents(f.Context(), a.ID, at(20), many)
		f.ok(err)
		f.same(got, all[:few.Most])
		again := f.consenting(all[1].ClientID, i) // in place of one makes no other go
		again.ConsentsKeep, again.Consent.GivenAt = few, at(9)
		f.ok(f.store.ApproveDeviceRequest(f.Context(), again))
		got, err = f.store.Consents(f.Context(), a.ID, at(20), many)
		f.ok(err)
		f.same(got, append(slices.Delete(slices.Clone(all[:few.Most]), 1, 2), *again.Consent))
		f.standing(foreign, true)
	}},
	{"an approval by a consent needs that very one, of the same account, client and identity, to stand", func(f *fixture) {
		_, i := f.account()
		_, stranger := f.account()
		app := f.word("client")
		n := f.consented(app, i)
		twin := f.linked(i)
		for name, edit := range map[string]func(a *contract.Approval){
			"another":          func(a *contract.Approval) { a.LetIn.By = f.word("grant") },
			"of a stranger":    func(a *contract.Approval) { a.LetIn.By = f.consented(app, stranger).GrantID },
			"another identity": func(a *contract.Approval) { a.Grant.BAPID = twin.BAPID },
			"another client":   func(a *contract.Approval) { a.Grant.ClientID = "other" },
			"over":             func(a *contract.Approval) { a.At, a.Grant.ExpiresAt = n.ExpiresAt, n.ExpiresAt.Add(time.Hour) },
		} {
			a := f.lettingIn(n, i, at(20))
			if edit(&a); name == "over" {
				r := f.request()
				r.ExpiresAt = n.ExpiresAt.Add(time.Hour)
				f.ok(f.store.CreateDeviceRequest(f.Context(), r))
				a.RequestID, a.Grant.ID = r.ID, r.ID
			}
			if err := f.store.ApproveDeviceRequest(f.Context(), a); !errors.Is(err, contract.ErrGone) {
				f.Errorf("by one that is %s: %v", name, err)
			}
			_, err := f.store.Grant(f.Context(), a.Grant.ID)
			f.refused(err, contract.ErrNotFound)
		}
		good := f.lettingIn(n, i, at(20))
		f.ok(f.store.ApproveDeviceRequest(f.Context(), good))
		got, err := f.store.Grant(f.Context(), good.Grant.ID)
		f.ok(err)
		f.same(got, good.Grant)
		f.standing(n, true) // who is let in gives no consent
		second := f.consented(app, i)
		f.refused(f.store.ApproveDeviceRequest(f.Context(), f.lettingIn(n, i, at(20))), contract.ErrGone)
		f.ok(f.store.ApproveDeviceRequest(f.Context(), f.lettingIn(second, i, at(20))))
	}},
	{"who is let in again and again fills nothing", letInForEver},
	{"of those let in the ones that are over go first, and those that were revoked stay", letInAndOver},
	{"what was let in keeps nobody from approving, and an account that is full of it lets in no more", func(f *fixture) {
		_, i := f.account()
		n := f.consented(f.word("client"), i)
		for when := range 3 {
			x := f.lettingIn(n, i, at(20+when))
			f.ok(f.store.ApproveDeviceRequest(f.Context(), x))
			f.ok(f.store.UseGrant(f.Context(), x.Grant.ID, at(20+when)))
		}
		x := f.lettingIn(n, i, at(25)) // the one by the review and three
		x.Living = 4
		f.refused(f.store.ApproveDeviceRequest(f.Context(), x), contract.ErrFull)
		x.Living = 5
		f.ok(f.store.ApproveDeviceRequest(f.Context(), x))
		a := f.approval(f.pending(), i)
		a.Living = 1
		f.refused(f.store.ApproveDeviceRequest(f.Context(), a), contract.ErrFull)
		a.Living = 2
		f.ok(f.store.ApproveDeviceRequest(f.Context(), a))
	}},
	{"every operation forgets the consents that it ends, and no other", forgetting},
	{"of those let in while all is taken back nobody keeps a grant", func(f *fixture) {
		a, i := f.account()
		stores := []contract.Store{f.store, f.connect()}
		for _, end := range []func(s contract.Store, app string) error{
			func(s contract.Store, _ string) error {
				_, err := s.RevokeGrants(f.Context(), a.ID, at(30), f.event(a.ID))
				return err
			},
			func(s contract.Store, app string) error { return s.RemoveClient(f.Context(), app, at(30)) },
		} {
			c := f.client()
			f.ok(f.store.AddClient(f.Context(), c))
			n := f.consented(c.ID, i)
			const letIn = 16
			attempts := make([]contract.Approval, letIn)
			for k := range attempts {
				attempts[k] = f.lettingIn(n, i, at(20))
			}
			errs := race(letIn+1, func(k int) error {
				if k == letIn/2 {
					return end(stores[1], c.ID)
				}
				return stores[k%2].ApproveDeviceRequest(f.Context(), attempts[min(k, letIn-1)])
			})
			for k, err := range errs {
				if err != nil && (k == letIn/2 || !errors.Is(err, contract.ErrGone) && !isState(err)) {
					f.Errorf("%d: %v", k, err)
				}
			}
			f.standing(n, false)
			left, err := f.store.Grants(f.Context(), a.ID, contract.GrantList{AliveAt: at(31), Limit: many})
			f.ok(err)
			f.same(len(left), 0)
		}
	}},
}

// forgetting goes through all operations that could end what a consent stands for.
func forgetting(f *fixture) {
	type scene struct {
		mine, twin, elsewhere, foreign authz.Consent // of one client as two identities, of another, and of another account
		passkey                        authz.Passkey
		first, second                  authz.Identity
		client                         authz.Client
	}
	begin := func() (s scene) {
		s.client = f.client()
		f.ok(f.store.AddClient(f.Context(), s.client))
		_, s.first = f.account()
		s.second = f.linked(s.first)
		s.passkey = f.added(s.first)
		_, stranger := f.account()
		given := f.consenting(s.client.ID, s.first)
		given.Grant.Passkey, given.Consent.Passkey = s.passkey.ID, s.passkey.ID
		f.ok(f.store.ApproveDeviceRequest(f.Context(), given))
		s.mine, s.twin = *given.Consent, f.consented(s.client.ID, s.second)
		s.elsewhere, s.foreign = f.consented(f.word("client"), s.first), f.consented(s.client.ID, stranger)
		return s
	}
	request := func(s scene) string {
		r := f.request()
		r.ClientID = s.client.ID
		f.ok(f.store.CreateDeviceRequest(f.Context(), r))
		return r.ID
	}
	deny := func(s scene, reported ...string) {
		f.ok(f.store.DenyDeviceRequest(f.Context(), contract.Denial{
			RequestID: request(s), AccountID: s.first.AccountID, Unclaimed: true, At: at(30), Reported: reported, Keep: plenty, Event: f.event(s.first.AccountID),
		}))
	}
	revoke := func(s scene, id string) {
		f.ok(f.store.RevokeGrant(f.Context(), contract.Revocation{GrantID: id, At: at(30), Event: f.event(s.first.AccountID)}))
	}
	redeemed := func(s scene, c authz.Consent, when time.Time) authz.RefreshToken {
		r, err := f.store.DeviceRequestByID(f.Context(), c.GrantID)
		f.ok(err)
		token := authz.RefreshToken{Token: f.hash(), GrantID: c.GrantID, ExpiresAt: at(6000)}
		f.ok(f.store.RedeemDeviceRequest(f.Context(), contract.Redemption{DeviceCode: r.DeviceCode, ClientID: s.client.ID, At: when, RefreshToken: &token}))
		return token
	}
	for _, c := range []struct {
		what                           string
		do                             func(s scene)
		mine, twin, elsewhere, foreign bool // stay
	}{
		{"a revocation", func(s scene) { revoke(s, s.mine.GrantID) }, false, false, true, true},
		{"a revocation of what was revoked before", func(s scene) {
			revoke(s, s.twin.GrantID)
			s.mine, s.twin = f.consented(s.client.ID, s.first), f.consented(s.client.ID, s.second)
			revoke(s, s.elsewhere.GrantID)
			revoke(s, s.mine.GrantID)
			revoke(s, s.mine.GrantID)
			f.standing(s.mine, false)
			f.standing(s.twin, false)
		}, false, false, false, true},
		{"a revocation of what is over", func(s scene) {
			f.ok(f.store.RevokeGrant(f.Context(), contract.Revocation{GrantID: s.mine.GrantID, At: at(5500), Event: f.event(s.first.AccountID)}))
		}, false, false, true, true},
		{"the revocation of everything", func(s scene) {
			_, err := f.store.RevokeGrants(f.Context(), s.first.AccountID, at(30), f.event(s.first.AccountID))
			f.ok(err)
		}, false, false, false, true},
		{"the revocation of everything where nothing is alive", func(s scene) {
			n, err := f.store.RevokeGrants(f.Context(), s.first.AccountID, at(5500), f.event(s.first.AccountID))
			f.ok(err)
			f.same(n, 0)
		}, false, false, false, true},
		{"a refresh token that is used twice", func(s scene) {
			token := redeemed(s, s.mine, at(20))
			for range 2 {
				r := f.rotation(token, at(30))
				r.Reuse = f.event(s.first.AccountID)
				err := f.store.RotateRefreshToken(f.Context(), r)
				if err != nil {
					f.refused(err, contract.ErrReused)
				}
			}
		}, false, false, true, true},
		{"the removal of the client", func(s scene) { f.ok(f.store.RemoveClient(f.Context(), s.client.ID, at(30))) }, false, false, true, false},
		{"the removal of the client when nothing is alive", func(s scene) { f.ok(f.store.RemoveClient(f.Context(), s.client.ID, at(5500))) }, false, false, true, false},
		{"the removal of an identity", func(s scene) { f.ok(f.store.RemoveIdentity(f.Context(), f.removal(s.second, s.first))) }, true, false, true, true},
		{"the removal of the passkey that gave one", func(s scene) {
			f.ok(f.store.RemovePasskey(f.Context(), s.first.AccountID, s.passkey.ID, at(30), f.event(s.first.AccountID)))
		}, false, true, true, true},
		{"a denial", func(s scene) { deny(s) }, false, false, true, true},
		{"a report", func(s scene) { deny(s, "client:"+s.client.ID) }, false, false, true, true},

		{"a redemption and a renewal", func(s scene) {
			f.ok(f.store.RotateRefreshToken(f.Context(), f.rotation(redeemed(s, s.mine, at(20)), at(30))))
		}, true, true, true, true},
		{"a code that was sent around", func(s scene) { f.ok(f.store.CancelDeviceRequest(f.Context(), request(s), at(30))) }, true, true, true, true},
		{"a use", func(s scene) { f.ok(f.store.UseGrant(f.Context(), s.mine.GrantID, at(30))) }, true, true, true, true},
		{"another identity", func(s scene) { f.linked(s.first) }, true, true, true, true},
		{"another passkey, which goes", func(s scene) {
			f.ok(f.store.RemovePasskey(f.Context(), s.first.AccountID, f.added(s.first).ID, at(30), f.event(s.first.AccountID)))
		}, true, true, true, true},
		{"a profile", func(s scene) {
			f.ok(f.store.SetProfile(f.Context(), s.first.BAPID, authz.Profile{Name: "A"}, f.event(s.first.AccountID)))
		}, true, true, true, true},
		{"the end of the sessions", func(s scene) {
			_, err := f.store.EndOtherSessions(f.Context(), s.first.AccountID, authz.Hash{}, at(30), f.event(s.first.AccountID))
			f.ok(err)
		}, true, true, true, true},
		{"a sweep before it ends", func(s scene) {
			_, err := f.store.Sweep(f.Context(), contract.SweepTimes{Grants: at(5999), DeviceRequests: at(5999), Rest: at(6000)}, many)
			f.ok(err)
		}, true, true, true, true},
	} {
		s := begin()
		c.do(s)
		for name, x := range map[string]struct {
			authz.Consent
			stays bool
		}{"mine": {s.mine, c.mine}, "the other identity's": {s.twin, c.twin}, "another client's": {s.elsewhere, c.elsewhere}, "another account's": {s.foreign, c.foreign}} {
			_, err := f.store.Consent(f.Context(), x.AccountID, x.ClientID, x.BAPID, at(100))
			if want := fmt.Sprint(!x.stays); fmt.Sprint(errors.Is(err, contract.ErrNotFound)) != want {
				f.Errorf("after %s %s is forgotten is not %s: %v", c.what, name, want, err)
			}
		}
	}
	s := begin()
	n, err := f.store.Sweep(f.Context(), contract.SweepTimes{Rest: at(6001)}, many)
	f.ok(err)
	if n < 4 {
		f.Errorf("%d rows were swept", n)
	}
	f.standing(s.mine, false)
}
