package oauth

import (
	"net/http"
	"strings"

	"countersign.dev/bitcoinauth"
	"countersign.dev/internal/authz"
	"countersign.dev/internal/server/wire"
)

var (
	errNoToken      = &authz.Error{Code: wire.CodeNoCredentials, Description: "send the access token as Authorization: Bearer, or one that is bound to a key as Authorization: DPoP with a proof"}
	errTwoTokens    = &authz.Error{Code: authz.InvalidRequest, Description: "send the access token in one way only"}
	errTokenInQuery = &authz.Error{Code: authz.InvalidRequest, Description: "an access token in the URL is not accepted: send it as Authorization: Bearer"}
)

// UserInfo is the UserInfo endpoint (OpenID Connect Core §5.3), by GET and by POST
// (requirement U-07). Only an access token counts, no cookie (requirement U-12).
func (e *Endpoints) UserInfo(w http.ResponseWriter, r *http.Request) error {
	presented, err := e.presented(r)
	if err != nil {
		return err
	}
	info, err := e.issuer.Grants.UserInfo(r.Context(), presented)
	if err != nil {
		return err
	}
	return wire.WriteJSON(w, info)
}

// presented finds the access token of a request (RFC 6750 §2): in the header, or in
// a form body; never in the URL, never in two places (requirements U-02, U-03).
func (e *Endpoints) presented(r *http.Request) (authz.Presented, error) {
	if r.URL.Query().Has("access_token") {
		return authz.Presented{}, errTokenInQuery
	}
	if r.Method != http.MethodPost {
		presented, inHeader := e.door.Presented(r, &wire.Params{})
		if !inHeader {
			return authz.Presented{}, errNoToken
		}
		return presented, nil
	}
	p, err := decodeIfRead(r)
	if err != nil {
		return authz.Presented{}, err
	}
	presented, inHeader := e.door.Presented(r, p)
	inBody := p.Text("access_token")
	switch {
	case inHeader && inBody != "":
		return authz.Presented{}, errTwoTokens
	case inHeader:
		return presented, nil
	case inBody != "":
		return authz.Presented{Token: authz.Secret(inBody)}, nil
	default:
		return authz.Presented{}, errNoToken
	}
}

// decodeIfRead reads a form body (RFC 6750 §2.2), and one that an X-Auth-Token covers; other
// bodies say nothing here.
func decodeIfRead(r *http.Request) (*wire.Params, error) {
	if r.Header.Get(bitcoinauth.Header) == "" && !strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded") {
		return &wire.Params{}, nil
	}
	return wire.Decode(r)
}
