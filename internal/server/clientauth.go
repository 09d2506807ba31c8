package server

import (
	"errors"
	"net/http"
	"net/url"
	"strings"

	"countersign.dev/bitcoinauth"
	"countersign.dev/internal/authz"
)

// usedBasic reports whether a request authenticates with HTTP Basic.
func usedBasic(r *http.Request) bool {
	scheme, _, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	return strings.EqualFold(scheme, "Basic")
}

var (
	errTwoMethods = &authz.Error{Code: authz.InvalidRequest, Description: "authenticate the client in one way only: HTTP Basic or client_secret in the body"}
	errBadBasic   = &authz.Error{Code: authz.InvalidClient, Description: "the HTTP Basic header cannot be read: form-encode id and secret, join them with a colon, then base64"}
)

// identifyClient finds and authenticates the client of a request, the same way
// at every endpoint (RFC 6749 §2.3): in one way (requirement T-03), which may be the
// body (requirement T-06).
func (s *Server) identifyClient(r *http.Request, p *params) (authz.Client, error) {
	c := authz.Credentials{ClientID: p.text("client_id"), Secret: authz.Secret(p.text("client_secret")), From: s.source(r)}
	if p.err != nil {
		return authz.Client{}, p.err
	}
	c.HasSecret = c.Secret != ""
	if usedBasic(r) {
		if c.HasSecret {
			return authz.Client{}, errTwoMethods
		}
		id, secret, err := basicCredentials(r)
		if err != nil {
			return authz.Client{}, err
		}
		if c.ClientID != "" && c.ClientID != id {
			return authz.Client{}, &authz.Error{Code: authz.InvalidRequest, Description: "client_id in the body and in HTTP Basic differ"}
		}
		c.ClientID, c.Secret, c.HasSecret, c.Basic = id, secret, true, true
	}
	if r.Header.Get(bitcoinauth.Header) != "" { // else aud is nothing of ours
		var err error
		c.Signed, err = s.signedRequest(r, p)
		if errors.Is(err, errForAnother) {
			return authz.Client{}, &authz.Error{Code: authz.InvalidClient, Description: "the client signed this for another server: aud must be " + s.authz.Issuer()}
		}
		if err != nil {
			return authz.Client{}, err
		}
	}
	return s.authz.IdentifyClient(r.Context(), c)
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
