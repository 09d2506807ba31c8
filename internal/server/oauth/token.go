package oauth

import (
	"encoding/json"
	"net/http"
	"slices"
	"time"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/code"
	"countersign.dev/internal/authz/grant"
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
	case authz.GrantCode:
		return e.redeemCode(w, r, p)
	case authz.GrantRefresh:
		return e.refresh(w, r, p)
	case authz.GrantCredentials:
		return e.credentials(w, r, p)
	case authz.GrantExchange:
		return e.exchange(w, r, p)
	case "":
		return errNoGrantType
	default:
		return errGrantType
	}
}

// redeemCode answers with the tokens of an authorization code (RFC 6749 §4.1.3).
func (e *Endpoints) redeemCode(w http.ResponseWriter, r *http.Request, p *wire.Params) error {
	given := code.Redemption{Code: authz.Secret(p.Text("code")), RedirectURI: p.Text("redirect_uri"), Verifier: authz.Secret(p.Text("code_verifier")), Resources: p.List("resource")}
	client, proofs, err := e.identifyHolder(r, p)
	if err != nil {
		return err
	}
	tokens, err := e.issuer.Codes.Redeem(r.Context(), client, given, proofs)
	if err != nil {
		return err
	}
	return writeTokens(w, tokens)
}

// refresh is the refresh grant (RFC 6749 §6).
func (e *Endpoints) refresh(w http.ResponseWriter, r *http.Request, p *wire.Params) error {
	token := authz.Secret(p.Text("refresh_token"))
	want := grant.Narrowing{Scope: p.Text("scope"), Resources: p.List("resource"), Details: p.JSON("authorization_details")}
	client, proofs, err := e.identifyHolder(r, p)
	if err != nil {
		return err
	}
	tokens, err := e.issuer.Grants.Refresh(r.Context(), client, token, want, proofs)
	if err != nil {
		return err
	}
	return writeTokens(w, tokens)
}

// credentials is the client credentials grant (RFC 6749 §4.4).
func (e *Endpoints) credentials(w http.ResponseWriter, r *http.Request, p *wire.Params) error {
	scope, resources := p.Text("scope"), p.List("resource")
	client, proofs, err := e.identifyHolder(r, p)
	if err != nil {
		return err
	}
	tokens, err := e.issuer.Grants.Credentials(r.Context(), client, scope, resources, proofs)
	if err != nil {
		return err
	}
	return writeTokens(w, tokens)
}

// exchange is the token exchange grant (RFC 8693 §2.1). What audience names are resources here,
// as resource does.
func (e *Endpoints) exchange(w http.ResponseWriter, r *http.Request, p *wire.Params) error {
	given := grant.Exchange{
		Subject:   grant.Presented{Token: authz.Secret(p.Text("subject_token")), Type: p.Text("subject_token_type")},
		Actor:     grant.Presented{Token: authz.Secret(p.Text("actor_token")), Type: p.Text("actor_token_type")},
		Requested: p.Text("requested_token_type"), Scope: p.Text("scope"), Resources: slices.Concat(p.List("resource"), p.List("audience")),
	}
	client, proofs, err := e.identifyHolder(r, p)
	if err != nil {
		return err
	}
	tokens, err := e.issuer.Grants.Exchange(r.Context(), client, given, proofs)
	if err != nil {
		return err
	}
	return writeTokens(w, tokens)
}

// tokenResponse is a successful token response (RFC 6749 §5.1, requirements D-30,
// T-08).
type tokenResponse struct {
	AccessToken  string `json:"access_token"`
	IssuedType   string `json:"issued_token_type,omitempty"` // requirement X-02
	TokenType    string `json:"token_type"`
	ExpiresIn    int    `json:"expires_in"`
	Scope        string `json:"scope,omitempty"` // of a client that has none
	IDToken      string `json:"id_token,omitempty"`
	RefreshToken string `json:"refresh_token,omitempty"`
	// Beside a refresh token: how long it lasts unless it is used, and what was allowed
	// (draft-ietf-oauth-refresh-token-expiration, requirement R-18).
	RefreshExpiresIn int `json:"refresh_token_expires_in,omitempty"`
	GrantExpiresIn   int `json:"authorization_expires_in,omitempty"`
	// Of an agent, and what it may besides the scope (RFC 9396 §7).
	AgentID string          `json:"agent_id,omitempty"`
	Details json.RawMessage `json:"authorization_details,omitempty"`
}

func writeTokens(w http.ResponseWriter, t *authz.Tokens) error {
	w.Header().Set("Pragma", "no-cache")
	return wire.WriteJSON(w, tokenResponse{
		AccessToken: t.AccessToken.Reveal(), IssuedType: t.IssuedType, TokenType: t.TokenType, ExpiresIn: int(t.ExpiresIn / time.Second),
		Scope: t.Scope, IDToken: t.IDToken.Reveal(), RefreshToken: t.RefreshToken.Reveal(),
		RefreshExpiresIn: int(t.RefreshExpiresIn / time.Second), GrantExpiresIn: int(t.GrantExpiresIn / time.Second),
		AgentID: t.AgentID, Details: json.RawMessage(t.Details),
	})
}
