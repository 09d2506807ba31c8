package storagetest

import (
	"slices"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/contract"
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
func (f *fixture) load(i authz.Identity) cargo {
	f.Helper()
	x := cargo{identity: i, passkey: f.added(i)}
	byKey := contract.NewSession{Session: f.session(i), Event: anyEvent, Keep: plenty}
	byKey.Session.Method, byKey.Session.Passkey = authz.MethodBAP, ""
	byTouch := f.signIn(x.passkey, x.passkey.SignCount+1)
	for _, n := range []contract.NewSession{byKey, byTouch} {
		f.ok(f.store.CreateSession(f.Context(), n))
		r := f.review()
		r.Session = n.Session.Token
		f.ok(f.store.CreateReview(f.Context(), r, plenty))
		x.reviews = append(x.reviews, r)
	}
	x.byKey, x.byTouch, x.backup = byKey.Session, byTouch.Session, f.backup(i)
	f.ok(f.store.SaveBackup(f.Context(), x.backup, i.BAPID, anyEvent))
	for grant, passkey := range map[*authz.Grant]string{&x.signed: "", &x.touched: x.passkey.ID} {
		a := f.approval(f.pending(), i)
		a.Grant.Passkey = passkey
		f.ok(f.store.ApproveDeviceRequest(f.Context(), a))
		*grant = a.Grant
		if passkey == "" {
			r, err := f.store.DeviceRequestByID(f.Context(), a.RequestID)
			f.ok(err)
			x.token = authz.RefreshToken{Token: f.hash(), GrantID: a.Grant.ID, ExpiresAt: at(6000)}
			f.ok(f.store.RedeemDeviceRequest(f.Context(), contract.Redemption{DeviceCode: r.DeviceCode, ClientID: r.ClientID, At: at(20), RefreshToken: &x.token}))
		}
	}
	return x
}

// alive says what of it is there, as another server sees it.
func (f *fixture) alive(x cargo) (there []string) {
	f.Helper()
	other := f.connect()
	note := func(what string, err error) {
		f.Helper()
		if err == nil {
			there = append(there, what)
		} else {
			f.refused(err, contract.ErrNotFound)
		}
	}
	_, err := other.Identity(f.Context(), x.identity.BAPID)
	note("identity", err)
	for what, token := range map[string]authz.Hash{"session by key": x.byKey.Token, "session by passkey": x.byTouch.Token} {
		_, err := other.Session(f.Context(), token, at(0))
		note(what, err)
	}
	_, err = other.Passkey(f.Context(), x.passkey.ID)
	note("passkey", err)
	for i, what := range []string{"review by key", "review by passkey"} {
		_, err := other.TakeReview(f.Context(), x.reviews[i].ID, x.reviews[i].Session, at(0))
		if err == nil {
			f.ok(other.CreateReview(f.Context(), x.reviews[i], plenty))
		}
		note(what, err)
	}
	_, err = other.Backup(f.Context(), x.identity.AccountID, x.identity.BAPID)
	note("backup", err)
	for what, id := range map[string]string{"grant by key": x.signed.ID, "grant by passkey": x.touched.ID} {
		_, _, err := other.LiveGrant(f.Context(), id, at(40))
		note(what, err)
	}
	slices.Sort(there)
	return there
}

// allOfIt is what alive says of cargo that nobody has touched.
var allOfIt = []string{
	"backup", "grant by key", "grant by passkey", "identity", "passkey", "review by key", "review by passkey", "session by key", "session by passkey",
}
