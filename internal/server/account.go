package server

import (
	"context"
	"errors"
	"net/http"
	"time"

	"countersign.dev/internal/authz"
)

// grantView is a grant as its owner sees it; times in Unix seconds.
type grantView struct {
	ID         string `json:"id"`
	ClientID   string `json:"client_id"`
	ClientName string `json:"client_name"`
	Scope      string `json:"scope"`
	BAPID      string `json:"bap_id"`
	ACR        string `json:"acr"`
	CreatedAt  int64  `json:"created_at"`
	ExpiresAt  int64  `json:"expires_at"`
	LastUsedAt int64  `json:"last_used_at,omitempty"`
	RevokedAt  int64  `json:"revoked_at,omitempty"`
	// Where the device asked from, and what it says of itself.
	Network    string `json:"network,omitempty"`
	UserAgent  string `json:"user_agent,omitempty"`
	DeviceName string `json:"device_name,omitempty"`
	Platform   string `json:"platform,omitempty"`
}

func unixOrZero(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix()
}

// clientName is a client's name for an owner; a client that is gone is its id.
func (s *Server) clientName(r *http.Request, id string) (string, error) {
	c, err := s.authz.Client(r.Context(), id)
	if errors.Is(err, authz.NotFound) {
		c, err = authz.Client{ID: id}, nil
	}
	return c.DisplayName(), err
}

// grants lists what the owner allowed.
func (s *Server) grants(r *http.Request, who authz.Owner) (any, error) {
	grants, next, err := s.authz.Grants(r.Context(), who, r.URL.Query().Get("cursor"), listed)
	if err != nil {
		return nil, err
	}
	views := make([]grantView, len(grants))
	for i, g := range grants {
		name, err := s.clientName(r, g.ClientID)
		if err != nil {
			return nil, err
		}
		views[i] = grantView{
			ID: g.ID, ClientID: g.ClientID, ClientName: name, Scope: g.Scope, BAPID: g.BAPID, ACR: g.ACR,
			CreatedAt: g.CreatedAt.Unix(), ExpiresAt: g.ExpiresAt.Unix(),
			LastUsedAt: unixOrZero(g.LastUsedAt), RevokedAt: unixOrZero(g.RevokedAt),
			Network: g.Seen.Network, UserAgent: g.Seen.UserAgent, DeviceName: g.Says.Name, Platform: g.Says.Platform,
		}
	}
	return pageOf("grants", views, next), nil
}

// grantReceipt gives the owner the signature over an approval, byte for byte.
func (s *Server) grantReceipt(w http.ResponseWriter, r *http.Request) error {
	who, err := s.authenticateForGrants(r, &params{}, authz.Reads)
	if err != nil {
		return err
	}
	text, err := s.authz.Receipt(r.Context(), who, r.PathValue("id"))
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Disposition", `attachment; filename="receipt.json"`)
	_, _ = w.Write([]byte(text)) // a client that has gone reads no error either
	return nil
}

// revokeGrant takes back what the owner allowed; report says that they did not
// mean to allow it.
func (s *Server) revokeGrant(w http.ResponseWriter, r *http.Request) error {
	p, err := decodeJSON(r)
	if err != nil {
		return err
	}
	report := p.flag("report")
	who, err := s.authenticateForGrants(r, p, authz.Stops)
	if err != nil {
		return err
	}
	revoke := s.authz.RevokeGrant
	if report {
		revoke = s.authz.ReportGrant
	}
	if err := revoke(r.Context(), who, r.PathValue("id")); err != nil {
		return err
	}
	return writeJSON(w, success{Success: true})
}

// stops is an endpoint that stops what its path names, for a session or a signed request.
func (s *Server) stops(stop func(ctx context.Context, owner authz.Owner, id string) error) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		who, err := s.authenticateStop(r)
		if err != nil {
			return err
		}
		if err := stop(r.Context(), who, r.PathValue("id")); err != nil {
			return err
		}
		return writeJSON(w, success{Success: true})
	}
}

// stopsAll is stops for what may concern any number of things.
func (s *Server) stopsAll(stop func(ctx context.Context, owner authz.Owner) (int, error)) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		who, err := s.authenticateStop(r)
		if err != nil {
			return err
		}
		n, err := stop(r.Context(), who)
		if err != nil {
			return err
		}
		return writeJSON(w, counted{true, n})
	}
}

// counted is the answer to what may concern any number of things.
type counted struct {
	Success bool `json:"success"`
	Count   int  `json:"count"`
}

// profileView is the profile of an identity.
type profileView struct {
	BAPID string `json:"bapId"`
	authz.Profile
}

// profile gives the owner the profile of one of their identities.
func (s *Server) profile(w http.ResponseWriter, r *http.Request) error {
	who, err := s.authenticate(r, &params{}, authz.Reads)
	if err != nil {
		return err
	}
	identity, err := s.authz.Identity(r.Context(), who, r.URL.Query().Get("bapId"))
	if err != nil {
		return err
	}
	return writeJSON(w, profileView{identity.BAPID, identity.Profile})
}

// setProfile replaces the profile of the identity that signed the request.
func (s *Server) setProfile(w http.ResponseWriter, r *http.Request) error {
	p, err := decodeJSON(r)
	if err != nil {
		return err
	}
	bapID := p.text("bapId")
	given := authz.Profile{
		Name: p.text("name"), GivenName: p.text("given_name"), FamilyName: p.text("family_name"),
		Picture: p.text("picture"), Description: p.text("description"),
	}
	who, err := s.authenticate(r, p, authz.Changes)
	if err != nil {
		return err
	}
	identity, err := s.authz.SetProfile(r.Context(), who, bapID, given)
	if err != nil {
		return err
	}
	return writeJSON(w, profileView{identity.BAPID, identity.Profile})
}

// identityView is an identity of an account, as clients of Sigma Identity know it.
type identityView struct {
	BAPID         string `json:"bap_id"`
	UserID        string `json:"user_id"`
	AccountPubkey string `json:"account_pubkey"`
	Name          string `json:"name"`
}

func newIdentityView(i authz.Identity) identityView {
	return identityView{i.BAPID, i.AccountID, i.MemberKey, i.DisplayName()}
}

// identities lists the identities of the owner's account.
func (s *Server) identities(r *http.Request, who authz.Owner) (any, error) {
	list, err := s.authz.Identities(r.Context(), who)
	if err != nil {
		return nil, err
	}
	views := make([]identityView, len(list))
	for i, identity := range list {
		views[i] = newIdentityView(identity)
	}
	return map[string]any{"bapIds": views}, nil
}

// linkIdentity adds an identity to the account of the session; the request is
// signed by the new identity's key and by one that the account has. Clients of Sigma
// Identity ask it of what is linked already, with a session alone: nothing changes
// then.
func (s *Server) linkIdentity(w http.ResponseWriter, r *http.Request) error {
	p, err := decodeJSON(r)
	if err != nil {
		return err
	}
	in := authz.Linking{BAPID: p.text("bapId"), Name: p.text("name"), VouchedBy: p.text("vouchedBy")}
	who, err := s.authenticateSession(r, authz.Changes)
	if err != nil {
		return err
	}
	identity, err := s.authz.Identity(r.Context(), who, in.BAPID)
	if errors.Is(err, authz.NotFound) {
		if in.Signed, err = s.signature(r, p); err != nil {
			return err
		}
		in.Vouch = in.Signed
		in.Vouch.Token = r.Header.Get(vouchHeader)
		identity, err = s.authz.LinkIdentity(r.Context(), who, in)
	}
	if err != nil {
		return err
	}
	return writeJSON(w, map[string]any{"bapId": newIdentityView(identity)})
}

// vouchHeader carries a token as bitcoinauth.Header does, by a key that the account
// has.
const vouchHeader = "X-Vouch-Token"
