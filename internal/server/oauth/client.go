package oauth

import (
	"errors"
	"net/http"
	"net/url"

	"countersign.dev/bitcoinauth"
	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/client"
	"countersign.dev/internal/authz/proof"
	"countersign.dev/internal/server/wire"
)

var (
	errTwoMethods    = &authz.Error{Code: authz.InvalidRequest, Description: "authenticate the client in one way only: HTTP Basic, client_secret, client_assertion or X-Auth-Token"}
	errAssertionType = &authz.Error{Code: authz.InvalidRequest, Description: "client_assertion and client_assertion_type go together, and the type is " + proof.AssertionType}
	errBadBasic      = &authz.Error{Code: authz.InvalidClient, Description: "the HTTP Basic header cannot be read: form-encode id and secret, join them with a colon, then base64"}
)

// identifyClient finds and authenticates the client of a request, the same way
// at every endpoint (RFC 6749 §2.3): in one way (requirement T-03), which may be the
// body (requirement T-06).
func (e *Endpoints) identifyClient(r *http.Request, p *wire.Params) (authz.Client, error) {
	return e.identify(r, p, false)
}

// identifyHolder is identifyClient where the request may also prove that its sender has a key,
// with what it brings for that. An X-Auth-Token has one meaning: of a client with a member key
// it authenticates the client, of any other it is the proof of a key.
func (e *Endpoints) identifyHolder(r *http.Request, p *wire.Params) (authz.Client, authz.Proofs, error) {
	// What only registered clients have is not tried by an agent of another: whoever signs with an
	// id that nobody registered misspelt it.
	grant := p.Text("grant_type")
	c, err := e.identify(r, p, grant != authz.GrantCode && grant != authz.GrantCredentials)
	proofs := e.door.Proofs(r, p)
	if c.MemberKey != "" {
		proofs.Signed = nil
	}
	return c, proofs, err
}

// identifyAsker is identifyHolder where an agent asks, for the first time or, with its access
// token, for more. Of any other device an X-Auth-Token is no proof.
func (e *Endpoints) identifyAsker(r *http.Request, p *wire.Params) (authz.Client, authz.Proofs, error) {
	_, withToken := e.door.Presented(r, p)
	if withToken || p.Text("agent_name") != "" {
		return e.identifyHolder(r, p)
	}
	c, err := e.identify(r, p, false)
	proofs := e.door.Proofs(r, p)
	proofs.Signed = nil
	return c, proofs, err
}

// identify is identifyClient; provesKey says that an X-Auth-Token may be the proof of a key.
func (e *Endpoints) identify(r *http.Request, p *wire.Params, provesKey bool) (authz.Client, error) {
	c := client.Credentials{
		ClientID: p.Text("client_id"), Secret: authz.Secret(p.Text("client_secret")), Assertion: authz.Secret(p.Text("client_assertion")), From: e.door.Source(r), ProvesKey: provesKey,
	}
	assertionType := p.Text("client_assertion_type")
	if p.Err != nil {
		return authz.Client{}, p.Err
	}
	c.HasSecret = c.Secret != ""
	basic, signed := wire.UsedBasic(r), r.Header.Get(bitcoinauth.Header) != ""
	if c.HasSecret && basic || c.Assertion != "" && (c.HasSecret || basic || signed && !provesKey) {
		return authz.Client{}, errTwoMethods
	}
	if (c.Assertion != "" || assertionType != "") && (c.Assertion == "" || assertionType != proof.AssertionType) {
		return authz.Client{}, errAssertionType
	}
	if basic {
		id, secret, err := basicCredentials(r)
		if err != nil {
			return authz.Client{}, err
		}
		if c.ClientID != "" && c.ClientID != id {
			return authz.Client{}, &authz.Error{Code: authz.InvalidRequest, Description: "client_id in the body and in HTTP Basic differ"}
		}
		c.ClientID, c.Secret, c.HasSecret, c.Basic = id, secret, true, true
	}
	if signed { // else aud is nothing of ours
		var err error
		c.Signed, err = e.door.SignedRequest(r, p)
		if errors.Is(err, wire.ErrForAnother) {
			c.ForAnother = &authz.Error{Code: authz.InvalidClient, Description: "the client signed this for another server: aud must be " + e.issuer.Identifier()}
			if !provesKey {
				return authz.Client{}, c.ForAnother
			}
		} else if err != nil {
			return authz.Client{}, err
		}
	}
	return e.issuer.Clients.Identify(r.Context(), c)
}

// basicCredentials reads HTTP Basic as RFC 6749 §2.3.1 has it: id and secret are
// form-encoded before they are joined, so that a secret may hold anything (requirement
// T-04).
func basicCredentials(r *http.Request) (id string, secret authz.Secret, err error) {
	user, password, ok := r.BasicAuth()
	if !ok {
		return "", "", errBadBasic
	}
	if id, err = url.QueryUnescape(user); err != nil {
		return "", "", errBadBasic
	}
	decoded, err := url.QueryUnescape(password)
	if err != nil {
		return "", "", errBadBasic
	}
	return id, authz.Secret(decoded), nil
}
