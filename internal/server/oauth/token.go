package oauth

import (
	"net/http"
	"strings"
	"time"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/server/wire"
)

var (
	errNoGrantType = &authz.Error{Code: authz.InvalidRequest, Description: "grant_type is missing"}
	errGrantType   = &authz.Error{Code: authz.UnsupportedGrantType, Description: "this endpoint does not know this grant_type: see grant_types_supported in the metadata"}
)

// Token is the token endpoint (RFC 6749 §3.2). It knows no password grant (requirement
// T-13).
func (e *Endpoints) Token(w http.ResponseWriter, r *http.Request) error {
	p, err := wire.Decode(r)
	if err != nil {
		return err
	}
	switch p.Text("grant_type") {
	case authz.GrantDevice:
		return e.redeemDevice(w, r, p)
	case authz.GrantRefresh:
		return e.refresh(w, r, p)
	case "":
		return errNoGrantType
	default:
		return errGrantType
	}
}

// refresh is the refresh grant (RFC 6749 §6).
func (e *Endpoints) refresh(w http.ResponseWriter, r *http.Request, p *wire.Params) error {
	token, scope := authz.Secret(p.Text("refresh_token")), p.Text("scope")
	client, err := e.identifyClient(r, p)
	if err != nil {
		return err
	}
	tokens, err := e.issuer.Grants.Refresh(r.Context(), client, token, scope)
	if err != nil {
		return err
	}
	return writeTokens(w, tokens)
}

// tokenResponse is a successful token response (RFC 6749 §5.1, requirements D-30,
// T-08).
type tokenResponse struct {
	AccessToken  string `json:"access_token"`
	TokenType    string `json:"token_type"`
	ExpiresIn    int    `json:"expires_in"`
	Scope        string `json:"scope"`
	IDToken      string `json:"id_token,omitempty"`
	RefreshToken string `json:"refresh_token,omitempty"`
}

func writeTokens(w http.ResponseWriter, t *authz.Tokens) error {
	w.Header().Set("Pragma", "no-cache")
	return wire.WriteJSON(w, tokenResponse{
		AccessToken: t.AccessToken.Reveal(), TokenType: "Bearer", ExpiresIn: int(t.ExpiresIn / time.Second),
		Scope: t.Scope, IDToken: t.IDToken.Reveal(), RefreshToken: t.RefreshToken.Reveal(),
	})
}

// Revoke is the revocation endpoint (RFC 7009). token_type_hint is not needed:
// whatever the token is, it is found.
func (e *Endpoints) Revoke(w http.ResponseWriter, r *http.Request) error {
	p, err := wire.Decode(r)
	if err != nil {
		return err
	}
	token := authz.Secret(p.Text("token"))
	client, err := e.identifyClient(r, p)
	if err != nil {
		return err
	}
	if err := e.issuer.Grants.RevokeToken(r.Context(), client, token); err != nil {
		return err
	}
	return wire.WriteJSON(w, struct{}{})
}

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
