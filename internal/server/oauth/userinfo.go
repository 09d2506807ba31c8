package oauth

import (
	"net/http"
	"strings"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/server/wire"
)

var (
	errNoBearer     = &authz.Error{Code: wire.CodeNoCredentials, Description: "send the access token as Authorization: Bearer"}
	errTwoBearers   = &authz.Error{Code: authz.InvalidRequest, Description: "send the access token in one way only"}
	errTokenInQuery = &authz.Error{Code: authz.InvalidRequest, Description: "an access token in the URL is not accepted: send it as Authorization: Bearer"}
)

// UserInfo is the UserInfo endpoint (OpenID Connect Core §5.3), by GET and by POST
// (requirement U-07). Only a bearer token counts, no cookie (requirement U-12).
func (e *Endpoints) UserInfo(w http.ResponseWriter, r *http.Request) error {
	token, err := bearer(r)
	if err != nil {
		return err
	}
	info, err := e.issuer.Grants.UserInfo(r.Context(), token)
	if err != nil {
		return err
	}
	return wire.WriteJSON(w, info)
}

// bearer finds the access token of a request (RFC 6750 §2): in the header, or in
// a form body; never in the URL, never in two places (requirements U-02, U-03).
func bearer(r *http.Request) (authz.Secret, error) {
	if r.URL.Query().Has("access_token") {
		return "", errTokenInQuery
	}
	token, inHeader := wire.BearerInHeader(r)
	if r.Method != http.MethodPost {
		if !inHeader {
			return "", errNoBearer
		}
		return token, nil
	}
	p, err := decodeIfForm(r)
	if err != nil {
		return "", err
	}
	inBody := p.Text("access_token")
	switch {
	case inHeader && inBody != "":
		return "", errTwoBearers
	case inHeader:
		return token, nil
	case inBody != "":
		return authz.Secret(inBody), nil
	default:
		return "", errNoBearer
	}
}

// decodeIfForm reads a form body (RFC 6750 §2.2); other bodies say nothing here.
func decodeIfForm(r *http.Request) (*wire.Params, error) {
	if !strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded") {
		return &wire.Params{}, nil
	}
	return wire.Decode(r)
}
