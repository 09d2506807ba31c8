package storagetest

import (
	"slices"
	"time"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/contract"
)

// lettingIn makes an approval of a new request by a consent.
func (f *fixture) lettingIn(n authz.Consent, i authz.Identity, when time.Time) contract.Approval {
	f.Helper()
	r := f.request()
	r.ClientID = n.ClientID
	f.ok(f.store.CreateDeviceRequest(f.Context(), r))
	a := f.approval(r, i)
	a.At, a.Receipt, a.Event = when, "", f.event(i.AccountID)
	a.Event.GrantID = r.ID
	a.Grant.ACR, a.Grant.CreatedAt = authz.ACRBefore, when
	a.LetIn = &contract.LettingIn{By: n.GrantID, Unused: when.Add(-time.Minute), Keep: plenty}
	return a
}

// letInForEver lets a client in more often than anything is kept.
func letInForEver(f *fixture) {
	a, i := f.account()
	app := f.word("client")
	n := f.consented(app, i)
	asked := n.GrantID
	other := f.lettingIn(f.consented(f.word("client"), i), i, at(11)) // is another client's, and stays
	f.ok(f.store.ApproveDeviceRequest(f.Context(), other))
	_, stranger := f.account()
	theirs := f.lettingIn(f.consented(app, stranger), stranger, at(11))
	f.ok(f.store.ApproveDeviceRequest(f.Context(), theirs))
	var ids []string
	tokens := map[string]authz.Hash{}
	letting := func(when, living int) contract.Approval {
		x := f.lettingIn(n, i, at(when))
		x.LetIn.Unused, x.LetIn.Keep, x.Living = at(when-3), few, living
		return x
	}
	let := func(when int, redeemed bool) string {
		f.Helper()
		living := many
		if !redeemed && len(tokens) == 0 {
			living = 2 // the one by the review, and one more
		}
		x := letting(when, living)
		f.ok(f.store.ApproveDeviceRequest(f.Context(), x))
		if redeemed {
			r, err := f.store.DeviceRequestByID(f.Context(), x.RequestID)
			f.ok(err)
			token := authz.RefreshToken{Token: f.hash(), GrantID: x.Grant.ID, ExpiresAt: at(6000)}
			f.ok(f.store.RedeemDeviceRequest(f.Context(), contract.Redemption{DeviceCode: r.DeviceCode, ClientID: app, At: at(when), RefreshToken: &token}))
			tokens[x.Grant.ID] = token.Token
		}
		return x.Grant.ID
	}
	there := func(id string) bool {
		_, err := f.store.Grant(f.Context(), id)
		if err != nil {
			f.refused(err, contract.ErrNotFound)
		}
		return err == nil
	}
	// Those that nobody redeems count for nothing, and go.
	f.ok(f.store.RevokeGrant(f.Context(), contract.Revocation{GrantID: other.LetIn.By, At: at(12), Event: anyEvent}))
	for when := 20; when < 40; when++ {
		ids = append(ids, let(when, false))
	}
	for k, id := range ids {
		if want := k >= len(ids)-3; there(id) != want {
			f.Errorf("of %d that nobody redeemed number %d is there: %v", len(ids), k, !want)
		}
	}
	told := func(id string) bool {
		all, err := f.store.Events(f.Context(), a.ID, contract.Position{}, many)
		f.ok(err)
		return slices.ContainsFunc(all, func(e authz.Event) bool { return e.GrantID == id })
	}
	if told(ids[0]) || !told(ids[len(ids)-1]) {
		f.Error("what tells of a grant that nobody redeemed has not gone with it, or before")
	}
	// Of those that were redeemed the ones used last stay, with their tokens and what tells of them.
	var used []string
	for when := 50; when < 50+few.Most+3; when++ {
		used = append(used, let(when, true))
	}
	f.ok(f.store.UseGrant(f.Context(), used[3], at(90)))
	fresh := let(94, false) // counts for none of them
	latest := let(95, true)
	for k, id := range used {
		want := k == 3 || k > 4
		_, err := f.store.RefreshToken(f.Context(), tokens[id], at(95))
		if there(id) != want || (err == nil) != want || told(id) != want {
			f.Errorf("of %d that were redeemed number %d is there is not %v: %v", len(used), k, want, err)
		}
	}
	for what, id := range map[string]string{
		"new": latest, "not redeemed yet": fresh, "of a review": asked, "another client's": other.Grant.ID, "another account's": theirs.Grant.ID,
	} {
		if !there(id) {
			f.Errorf("one is gone that is %s", what)
		}
	}
	alive := 1 + few.Most // with the one by the review
	f.refused(f.store.ApproveDeviceRequest(f.Context(), letting(96, alive)), contract.ErrFull)
	f.ok(f.store.ApproveDeviceRequest(f.Context(), letting(96, alive+1)))
	f.standing(n, true)
}

// letInAndOver lets a client in where some of what it has is over.
func letInAndOver(f *fixture) {
	a, i := f.account()
	n := f.consented(f.word("client"), i)
	let := func(when int, ends time.Time) string {
		f.Helper()
		x := f.lettingIn(n, i, at(when))
		x.LetIn.Keep, x.Grant.ExpiresAt = few, ends
		f.ok(f.store.ApproveDeviceRequest(f.Context(), x))
		return x.Grant.ID
	}
	used := func(when int, ends time.Time) string {
		f.Helper()
		id := let(when, ends)
		f.ok(f.store.UseGrant(f.Context(), id, at(when)))
		return id
	}
	revoked := func(id string, when int) string {
		f.Helper()
		event := f.event(a.ID)
		event.GrantID = id
		f.ok(f.store.RevokeGrant(f.Context(), contract.Revocation{GrantID: id, At: at(when), Event: event}))
		n = f.consented(n.ClientID, i)
		return id
	}
	stay := []string{revoked(let(20, at(5000)), 21), revoked(used(22, at(5000)), 23), used(24, at(5000))}
	over := []string{}
	for when := range few.Most + 2 { // more than stay
		over = append(over, used(100+10*when, at(105+10*when)))
	}
	stay = append(stay, used(300, at(5000)))
	told, err := f.store.Events(f.Context(), a.ID, contract.Position{}, many)
	f.ok(err)
	tells := map[string]int{}
	for _, e := range told {
		tells[e.GrantID]++
	}
	for k, id := range stay {
		_, err := f.store.Grant(f.Context(), id)
		f.ok(err)
		if want := max(1, 2-k/2); tells[id] != want {
			f.Errorf("%d events tell of number %d that stays, want %d", tells[id], k, want)
		}
	}
	for k, id := range over {
		_, err := f.store.Grant(f.Context(), id)
		if there := k > len(over)-few.Most+1; there {
			f.ok(err)
		} else if f.refused(err, contract.ErrNotFound); tells[id] != 0 {
			f.Errorf("an event tells of number %d that is gone", k)
		}
	}
}
