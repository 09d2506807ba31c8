package owners

import (
	"net/http"

	"countersign.dev/bitcoinauth"
	"countersign.dev/internal/authz"
	"countersign.dev/internal/server/wire"
)

// Authenticate returns who sent a request that is to do something: whoever signed it, else
// whose session it carries. Call it when every member of the body has been asked for.
func (g *Gate) Authenticate(r *http.Request, p *wire.Params, does authz.Deed) (authz.Owner, error) {
	signed, err := g.door.SignedRequest(r, p)
	if err != nil {
		return authz.Owner{}, err
	}
	if signed == nil {
		return g.door.AuthenticateSession(r, does)
	}
	signed.Does = does
	who, err := g.issuer.Accounts.SignedOwner(r.Context(), *signed)
	who.Seen = g.door.Seen(r)
	return who, err
}

// AuthenticateForGrants is Authenticate for a request about an account's grants, which a
// program may send that has an access token with the grants scope. The token is in the
// header: the body is the endpoint's own. An X-Auth-Token beside it proves the token's key, and
// no owner.
func (g *Gate) AuthenticateForGrants(r *http.Request, p *wire.Params, does authz.Deed) (authz.Owner, error) {
	presented, ok := g.door.Presented(r, p)
	if !ok {
		return g.Authenticate(r, p, does)
	}
	owner, err := g.issuer.Grants.Owner(r.Context(), presented)
	if err != nil {
		return owner, err
	}
	owner.Seen = g.door.Seen(r)
	return owner, g.issuer.Guard.Admit(owner, g.door.Source(r), does)
}

// authenticateStop is Authenticate for what stops something, by a body that says nothing.
func (g *Gate) authenticateStop(r *http.Request) (authz.Owner, error) {
	p, err := wire.DecodeJSON(r)
	if err != nil {
		return authz.Owner{}, err
	}
	return g.Authenticate(r, p, authz.Stops)
}

// Signature is a signed request where a key is added to the account of a session: a
// signature must be there.
func (g *Gate) Signature(r *http.Request, p *wire.Params) (authz.SignedRequest, error) {
	signed, err := g.door.SignedRequest(r, p)
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

// Unsigned reports whether a request was refused because nobody is signed in, and it did not
// try to say by a signature who asks.
func Unsigned(r *http.Request, err error) bool {
	return wire.IsUnauthorized(err) && r.Header.Get(bitcoinauth.Header) == ""
}
