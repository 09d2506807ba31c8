package storagetest

import (
	"slices"

	"countersign.dev/internal/authz"
)

// cargo is everything that an identity can carry.
type cargo struct {
	identity authz.Identity
	byKey    authz.Session
	passkey  authz.Passkey
	byTouch  authz.Session // that the passkey began
	reviews  []authz.Review
	backup   authz.Backup
	signed   authz.Grant // approved without the passkey
	touched  authz.Grant // approved with it
	token    authz.RefreshToken
}

// load gives an identity one of each.
func (b *bench) load(i authz.Identity) cargo {
	b.Helper()
	x := cargo{identity: i, passkey: b.added(i)}
	byKey := authz.NewSession{Session: b.session(i), Event: anyEvent, Keep: plenty}
	byKey.Session.Method, byKey.Session.Passkey = authz.MethodBAP, ""
	byTouch := b.signIn(x.passkey, x.passkey.SignCount+1)
	for _, n := range []authz.NewSession{byKey, byTouch} {
		b.ok(b.store.CreateSession(b.Context(), n))
		r := b.review()
		r.Session = n.Session.Token
		b.ok(b.store.CreateReview(b.Context(), r, plenty))
		x.reviews = append(x.reviews, r)
	}
	x.byKey, x.byTouch, x.backup = byKey.Session, byTouch.Session, b.backup(i)
	b.ok(b.store.SaveBackup(b.Context(), x.backup, i.BAPID, anyEvent))
	for grant, passkey := range map[*authz.Grant]string{&x.signed: "", &x.touched: x.passkey.ID} {
		a := b.approval(b.pending(), i)
		a.Grant.Passkey = passkey
		b.ok(b.store.ApproveDeviceRequest(b.Context(), a))
		*grant = a.Grant
		if passkey == "" {
			r, err := b.store.DeviceRequestByID(b.Context(), a.RequestID)
			b.ok(err)
			x.token = authz.RefreshToken{Token: b.hash(), GrantID: a.Grant.ID, ExpiresAt: at(6000)}
			b.ok(b.store.RedeemDeviceRequest(b.Context(), authz.Redemption{DeviceCode: r.DeviceCode, ClientID: r.ClientID, At: at(20), RefreshToken: &x.token}))
		}
	}
	return x
}

// alive says what of it is there, as another server sees it.
func (b *bench) alive(x cargo) (there []string) {
	b.Helper()
	other := b.connect()
	note := func(what string, err error) {
		b.Helper()
		if err == nil {
			there = append(there, what)
		} else {
			b.refused(err, authz.ErrNotFound)
		}
	}
	_, err := other.Identity(b.Context(), x.identity.BAPID)
	note("identity", err)
	for what, token := range map[string]authz.Hash{"session by key": x.byKey.Token, "session by passkey": x.byTouch.Token} {
		_, err := other.Session(b.Context(), token, at(0))
		note(what, err)
	}
	_, err = other.Passkey(b.Context(), x.passkey.ID)
	note("passkey", err)
	for i, what := range []string{"review by key", "review by passkey"} {
		_, err := other.TakeReview(b.Context(), x.reviews[i].ID, x.reviews[i].Session, at(0))
		if err == nil {
			b.ok(other.CreateReview(b.Context(), x.reviews[i], plenty))
		}
		note(what, err)
	}
	_, err = other.Backup(b.Context(), x.identity.AccountID, x.identity.BAPID)
	note("backup", err)
	for what, id := range map[string]string{"grant by key": x.signed.ID, "grant by passkey": x.touched.ID} {
		_, _, err := other.LiveGrant(b.Context(), id, at(40))
		note(what, err)
	}
	slices.Sort(there)
	return there
}

// allOfIt is what alive says of cargo that nobody has touched.
var allOfIt = []string{
	"backup", "grant by key", "grant by passkey", "identity", "passkey", "review by key", "review by passkey", "session by key", "session by passkey",
}
