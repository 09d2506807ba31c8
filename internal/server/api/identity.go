package api

import (
	"errors"
	"net/http"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/account"
	"countersign.dev/internal/server/wire"
)

// profileView is the profile of an identity.
type profileView struct {
	BAPID string `json:"bapId"`
	authz.Profile
}

// Profile gives the owner the profile of one of their identities.
func (a *API) Profile(w http.ResponseWriter, r *http.Request) error {
	who, err := a.authenticate(r, &wire.Params{}, authz.Reads)
	if err != nil {
		return err
	}
	identity, err := a.issuer.Accounts.Identity(r.Context(), who, r.URL.Query().Get("bapId"))
	if err != nil {
		return err
	}
	return wire.WriteJSON(w, profileView{identity.BAPID, identity.Profile})
}

// SetProfile replaces the profile of the identity that signed the request.
func (a *API) SetProfile(w http.ResponseWriter, r *http.Request) error {
	p, err := wire.DecodeJSON(r)
	if err != nil {
		return err
	}
	bapID := p.Text("bapId")
	given := authz.Profile{
		Name: p.Text("name"), GivenName: p.Text("given_name"), FamilyName: p.Text("family_name"),
		Picture: p.Text("picture"), Description: p.Text("description"),
	}
	who, err := a.authenticate(r, p, authz.Changes)
	if err != nil {
		return err
	}
	identity, err := a.issuer.Accounts.SetProfile(r.Context(), who, bapID, given)
	if err != nil {
		return err
	}
	return wire.WriteJSON(w, profileView{identity.BAPID, identity.Profile})
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

// Identities lists the identities of the owner's account.
func (a *API) Identities(r *http.Request, who authz.Owner) (any, error) {
	list, err := a.issuer.Accounts.Identities(r.Context(), who)
	if err != nil {
		return nil, err
	}
	views := make([]identityView, len(list))
	for i, identity := range list {
		views[i] = newIdentityView(identity)
	}
	return map[string]any{"bapIds": views}, nil
}

// LinkIdentity adds an identity to the account of the session; the request is
// signed by the new identity's key and by one that the account has. Clients of Sigma
// Identity ask it of what is linked already, with a session alone: nothing changes
// then.
func (a *API) LinkIdentity(w http.ResponseWriter, r *http.Request) error {
	p, err := wire.DecodeJSON(r)
	if err != nil {
		return err
	}
	in := account.Linking{BAPID: p.Text("bapId"), Name: p.Text("name"), VouchedBy: p.Text("vouchedBy")}
	who, err := a.door.AuthenticateSession(r, authz.Changes)
	if err != nil {
		return err
	}
	identity, err := a.issuer.Accounts.Identity(r.Context(), who, in.BAPID)
	if errors.Is(err, authz.NotFound) {
		if in.Signed, err = a.signature(r, p); err != nil {
			return err
		}
		in.Vouch = in.Signed
		in.Vouch.Token = r.Header.Get(vouchHeader)
		identity, err = a.issuer.Accounts.LinkIdentity(r.Context(), who, in)
	}
	if err != nil {
		return err
	}
	return wire.WriteJSON(w, map[string]any{"bapId": newIdentityView(identity)})
}

// vouchHeader carries a token as bitcoinauth.Header does, by a key that the account
// has.
const vouchHeader = "X-Vouch-Token"
