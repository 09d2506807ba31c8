package api

import (
	"errors"
	"net/http"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/account"
	"countersign.dev/internal/authz/grant"
	"countersign.dev/internal/server/owners"
	"countersign.dev/internal/server/wire"
)

// profileView is the profile of an identity.
type profileView struct {
	BAPID string `json:"bapId"`
	authz.Profile
}

// Profile gives the owner the profile of one of their identities, as they set it and as clients
// of Sigma Identity read it. Nobody made theirs public: to anybody else there is none.
func (a *API) Profile(w http.ResponseWriter, r *http.Request) error {
	who, err := a.gate.Authenticate(r, &wire.Params{}, authz.Reads)
	if owners.Unsigned(r, err) {
		return errNotPublic
	}
	if err != nil {
		return err
	}
	identity, err := a.issuer.Accounts.Identity(r.Context(), who, r.URL.Query().Get("bapId"))
	if err != nil {
		return err
	}
	result, err := grant.BAPProfileOf(identity)
	if err != nil {
		return err
	}
	return wire.WriteJSON(w, struct {
		Status string           `json:"status"`
		Result grant.BAPProfile `json:"result"`
		profileView
	}{"OK", result, profileView{identity.BAPID, identity.Profile}})
}

var errNotPublic = &authz.Error{
	Code: authz.NotFound, Description: "no profile here is public: owners see their own, signed in, and applications that they allowed it see it at the UserInfo endpoint",
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
	who, err := a.gate.Authenticate(r, p, authz.Changes)
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
	ID            string `json:"bapId"` // the same, as lists are read
	UserID        string `json:"user_id,omitempty"`
	AccountPubkey string `json:"account_pubkey"`
	Name          string `json:"name"`
	// Counter says how a key was derived from another, which this server does not know.
	Counter *int `json:"counter"`
}

func newIdentityView(i authz.Identity) identityView {
	return identityView{BAPID: i.BAPID, ID: i.BAPID, UserID: i.AccountID, AccountPubkey: i.MemberKey, Name: i.DisplayName()}
}

// listedIdentity is one in a list, of which the oldest is the primary one.
type listedIdentity struct {
	identityView
	Primary bool `json:"is_primary"`
}

func listOf(identities ...authz.Identity) map[string]any {
	views := make([]listedIdentity, len(identities))
	for i, identity := range identities {
		views[i] = listedIdentity{newIdentityView(identity), i == 0}
	}
	return map[string]any{"bapIds": views}
}

// Identities lists the identities of the owner's account.
func (a *API) Identities(r *http.Request, who authz.Owner) (any, error) {
	list, err := a.issuer.Accounts.Identities(r.Context(), who)
	if err != nil {
		return nil, err
	}
	return listOf(list...), nil
}

// IdentitiesOfKey is Identities for whom it knows. Whoever names a key is told what anybody
// can compute of it, whether it is known here or not: nothing is looked up.
func (a *API) IdentitiesOfKey(w http.ResponseWriter, r *http.Request) error {
	err := a.gate.Lists(a.Identities)(w, r)
	if key := r.URL.Query().Get("pubkey"); key != "" && owners.Unsigned(r, err) {
		identity, err := account.IdentityOfKey(key)
		if err != nil {
			return err
		}
		return wire.WriteJSON(w, listOf(identity))
	}
	return err
}

// LastIdentity tells owners which of their identities a client was allowed something as, the
// last time; anybody else hears that there is none.
func (a *API) LastIdentity(w http.ResponseWriter, r *http.Request) error {
	var last struct {
		BAPID *string `json:"lastSelectedBapId"`
	}
	who, err := a.gate.Authenticate(r, &wire.Params{}, authz.Reads)
	if owners.Unsigned(r, err) {
		return wire.WriteJSON(w, last)
	}
	if err != nil {
		return err
	}
	clientID := r.URL.Query().Get("clientId")
	if clientID == "" {
		return &authz.Error{Code: authz.InvalidRequest, Description: "clientId is missing: name the client that the identity is to be chosen for"}
	}
	bapID, err := a.issuer.Accounts.LastIdentity(r.Context(), who, clientID)
	if err != nil {
		return err
	}
	if bapID != "" {
		last.BAPID = &bapID
	}
	return wire.WriteJSON(w, last)
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
		if in.Signed, err = a.gate.Signature(r, p); err != nil {
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
