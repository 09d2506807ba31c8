package api

import (
	"encoding/json"
	"net/http"
	"time"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/passkey"
	"countersign.dev/internal/server/wire"
)

// passkeyView is a passkey as its owner sees it.
type passkeyView struct {
	ID         string    `json:"id"`
	Name       string    `json:"name"`
	BAPID      string    `json:"bapId"`
	CreatedAt  time.Time `json:"createdAt"`
	LastUsedAt time.Time `json:"lastUsedAt,omitzero"`
}

func newPasskeyView(p authz.Passkey) passkeyView {
	return passkeyView{ID: p.ID, Name: p.Name, BAPID: p.BAPID, CreatedAt: p.CreatedAt.UTC(), LastUsedAt: p.LastUsedAt.UTC()}
}

// writeCeremony answers with what a browser needs for navigator.credentials.
func writeCeremony(w http.ResponseWriter, c passkey.Ceremony) error {
	return wire.WriteJSON(w, struct {
		Options  json.RawMessage `json:"options"`
		Ceremony string          `json:"ceremony"`
	}{c.Options, c.State.Reveal()})
}

// Passkeys lists the passkeys of the owner's account.
func (a *API) Passkeys(r *http.Request, who authz.Owner) (any, error) {
	list, err := a.issuer.Passkeys.List(r.Context(), who)
	if err != nil {
		return nil, err
	}
	views := make([]passkeyView, len(list))
	for i, p := range list {
		views[i] = newPasskeyView(p)
	}
	return map[string]any{"passkeys": views}, nil
}

// PasskeyOptions begins adding a passkey.
func (a *API) PasskeyOptions(w http.ResponseWriter, r *http.Request) error {
	if _, err := wire.DecodeJSON(r); err != nil {
		return err
	}
	who, err := a.door.AuthenticateSession(r, authz.Changes)
	if err != nil {
		return err
	}
	ceremony, err := a.issuer.Passkeys.Options(r.Context(), who)
	if err != nil {
		return err
	}
	return writeCeremony(w, ceremony)
}

// AddPasskey adds a passkey to the account of the session; the request is signed
// by the identity that the passkey acts for.
func (a *API) AddPasskey(w http.ResponseWriter, r *http.Request) error {
	p, err := wire.DecodeJSON(r)
	if err != nil {
		return err
	}
	in := passkey.Addition{Ceremony: authz.Secret(p.Text("ceremony")), Name: p.Text("name"), Credential: p.Text("credential")}
	who, err := a.door.AuthenticateSession(r, authz.Changes)
	if err != nil {
		return err
	}
	signed, err := a.gate.Signature(r, p)
	if err != nil {
		return err
	}
	passkey, err := a.issuer.Passkeys.Add(r.Context(), who, signed, in)
	if err != nil {
		return err
	}
	return wire.WriteJSON(w, map[string]any{"passkey": newPasskeyView(passkey)})
}

// PasskeySignInOptions begins a sign-in with a passkey.
func (a *API) PasskeySignInOptions(w http.ResponseWriter, r *http.Request) error {
	if _, err := wire.DecodeJSON(r); err != nil {
		return err
	}
	ceremony, err := a.issuer.Passkeys.SignInOptions(r.Context())
	if err != nil {
		return err
	}
	return writeCeremony(w, ceremony)
}

// SignInWithPasskey signs in with a passkey.
func (a *API) SignInWithPasskey(w http.ResponseWriter, r *http.Request) error {
	p, err := wire.DecodeJSON(r)
	if err != nil {
		return err
	}
	in := passkey.SignIn{
		Ceremony: authz.Secret(p.Text("ceremony")), Credential: p.Text("credential"),
		From: a.door.Source(r), Seen: a.door.Seen(r), Replaces: first(a.door.SessionTokens(r)),
	}
	if p.Err != nil {
		return p.Err
	}
	signedIn, err := a.issuer.Passkeys.SignIn(r.Context(), in)
	if err != nil {
		return err
	}
	return a.signedIn(w, signedIn)
}
