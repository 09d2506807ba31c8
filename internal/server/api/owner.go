package api

import (
	"net/http"

	"countersign.dev/bitcoinauth"
	"countersign.dev/internal/authz"
	"countersign.dev/internal/server/wire"
)

// authenticate returns who sent a request that is to do something: whoever signed it, else
// whose session it carries. Call it when every member of the body has been asked for.
func (a *API) authenticate(r *http.Request, p *wire.Params, does authz.Deed) (authz.Owner, error) {
	signed, err := a.door.SignedRequest(r, p)
	if err != nil {
		return authz.Owner{}, err
	}
	if signed == nil {
		return a.door.AuthenticateSession(r, does)
	}
	signed.Does = does
	who, err := a.issuer.Accounts.SignedOwner(r.Context(), *signed)
	who.Seen = a.door.Seen(r)
	return who, err
}

// AuthenticateForGrants is authenticate for a request about an account's grants, which a
// program may send that has an access token with the grants scope. The token is in the
// header: the body is the endpoint's own.
func (a *API) AuthenticateForGrants(r *http.Request, p *wire.Params, does authz.Deed) (authz.Owner, error) {
	presented, ok := a.door.Presented(r)
	if !ok || r.Header.Get(bitcoinauth.Header) != "" {
		return a.authenticate(r, p, does)
	}
	owner, err := a.issuer.Grants.Owner(r.Context(), presented)
	if err != nil {
		return owner, err
	}
	owner.Seen = a.door.Seen(r)
	return owner, a.issuer.Guard.Admit(owner, a.door.Source(r), does)
}

// authenticateStop is authenticate for what stops something, by a body that says nothing.
func (a *API) authenticateStop(r *http.Request) (authz.Owner, error) {
	p, err := wire.DecodeJSON(r)
	if err != nil {
		return authz.Owner{}, err
	}
	return a.authenticate(r, p, authz.Stops)
}

// signature is a signed request where a key is added to the account of a session: a
// signature must be there.
func (a *API) signature(r *http.Request, p *wire.Params) (authz.SignedRequest, error) {
	signed, err := a.door.SignedRequest(r, p)
	if err != nil {
		return authz.SignedRequest{}, err
	}
	if signed == nil {
		return authz.SignedRequest{}, errNoSignature
	}
	return *signed, nil
}

var errNoSignature = &authz.Error{
	Code: authz.Unauthorized, Description: "X-Auth-Token is missing: sign the request with the member key of the identity that it is about",
}
