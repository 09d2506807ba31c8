package server

import (
	"encoding/json"
	"net/http"
	"time"

	"countersign.dev/internal/authz"
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
func writeCeremony(w http.ResponseWriter, c authz.Ceremony) error {
	return writeJSON(w, struct {
		Options  json.RawMessage `json:"options"`
		Ceremony string          `json:"ceremony"`
	}{c.Options, c.State.Reveal()})
}

// passkeys lists the passkeys of the owner's account.
func (s *Server) passkeys(r *http.Request, who authz.Owner) (any, error) {
	list, err := s.authz.Passkeys(r.Context(), who)
	if err != nil {
		return nil, err
	}
	views := make([]passkeyView, len(list))
	for i, p := range list {
		views[i] = newPasskeyView(p)
	}
	return map[string]any{"passkeys": views}, nil
}

// passkeyOptions begins adding a passkey.
func (s *Server) passkeyOptions(w http.ResponseWriter, r *http.Request) error {
	if _, err := decodeJSON(r); err != nil {
		return err
	}
	who, err := s.authenticateSession(r, authz.Changes)
	if err != nil {
		return err
	}
	ceremony, err := s.authz.PasskeyOptions(r.Context(), who)
	if err != nil {
		return err
	}
	return writeCeremony(w, ceremony)
}

// addPasskey adds a passkey to the account of the session; the request is signed
// by the identity that the passkey acts for.
func (s *Server) addPasskey(w http.ResponseWriter, r *http.Request) error {
	p, err := decodeJSON(r)
	if err != nil {
		return err
	}
	in := authz.NewPasskey{Ceremony: authz.Secret(p.text("ceremony")), Name: p.text("name"), Credential: p.text("credential")}
	who, err := s.authenticateSession(r, authz.Changes)
	if err != nil {
		return err
	}
	signed, err := s.signature(r, p)
	if err != nil {
		return err
	}
	passkey, err := s.authz.AddPasskey(r.Context(), who, signed, in)
	if err != nil {
		return err
	}
	return writeJSON(w, map[string]any{"passkey": newPasskeyView(passkey)})
}

// passkeySignInOptions begins a sign-in with a passkey.
func (s *Server) passkeySignInOptions(w http.ResponseWriter, r *http.Request) error {
	if _, err := decodeJSON(r); err != nil {
		return err
	}
	ceremony, err := s.authz.PasskeySignInOptions(r.Context())
	if err != nil {
		return err
	}
	return writeCeremony(w, ceremony)
}

// signInWithPasskey signs in with a passkey.
func (s *Server) signInWithPasskey(w http.ResponseWriter, r *http.Request) error {
	p, err := decodeJSON(r)
	if err != nil {
		return err
	}
	in := authz.PasskeySignIn{
		Ceremony: authz.Secret(p.text("ceremony")), Credential: p.text("credential"),
		From: s.source(r), Seen: s.seen(r), Replaces: first(s.sessionTokens(r)),
	}
	if p.err != nil {
		return p.err
	}
	signedIn, err := s.authz.SignInWithPasskey(r.Context(), in)
	if err != nil {
		return err
	}
	return s.signedIn(w, signedIn)
}
