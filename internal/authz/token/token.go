package token

import (
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/contract"
	"countersign.dev/internal/authz/scopes"
	"countersign.dev/internal/authz/secret"
)

// Signer signs tokens and verifies its own.
type Signer struct {
	settings authz.Settings
	now      func() time.Time
	log      *slog.Logger
	secrets  secret.Secrets
	keys     *Keys
	// ring are the keys as they were read last. Only who holds reading writes it.
	ring    atomic.Pointer[keyring]
	reading sync.Mutex
	readAt  time.Time // when that was tried; guarded by reading
	readErr error     // what came of it; guarded by reading
}

// New opens the signing keys or, the first time, makes them.
//
//	ErrOtherSecret
func New(ctx context.Context, store contract.KeyStore, settings authz.Settings, now func() time.Time, secrets secret.Secrets, log *slog.Logger) (*Signer, error) {
	s := &Signer{settings: settings, now: now, log: log, secrets: secrets, keys: NewKeys(store, secrets, now, settings.RotateKeysEvery)}
	s.ring.Store(&keyring{})
	err := s.read(ctx)
	if err == nil && !s.ring.Load().complete() {
		if err = s.keys.Tend(ctx); err == nil {
			err = s.read(ctx)
		}
	}
	return s, err
}

// The `typ` of what we sign keeps one kind of token from passing as another
// (RFC 8725 §3.11, RFC 9068 §2.1, requirement M-10).
const (
	accessTokenType jose.ContentType = "at+jwt"
	idTokenType     jose.ContentType = "JWT"
	// exportType keeps the export of a receipt (receipt.ExportType) from passing for a token.
	exportType jose.ContentType = "receipt-export+jwt"
	// maxToken bounds a presented access token in bytes, before any parsing: one for eight
	// long resources, with all that act for its owner, has nearly as many.
	maxToken = 8 << 10
	// tokensRemembered bounds how many access tokens are known without verifying
	// their signature again.
	tokensRemembered = 4096
)

// Claims are the claims of an access token (RFC 9068 §2.2, requirement M-11)
// and ours.
type Claims struct {
	Issuer   string        `json:"iss"`
	Subject  string        `json:"sub"`
	Audience audience      `json:"aud,omitempty"`
	ClientID string        `json:"client_id"`
	Scope    string        `json:"scope,omitempty"`
	IssuedAt int64         `json:"iat,omitempty"`
	Expires  int64         `json:"exp"`
	ID       string        `json:"jti,omitempty"`
	GrantID  string        `json:"gid,omitempty"`
	AuthTime int64         `json:"auth_time,omitempty"`
	ACR      string        `json:"acr,omitempty"`
	AMR      []string      `json:"amr,omitempty"`
	BAPID    string        `json:"bap_id,omitempty"`
	Pubkey   string        `json:"pubkey,omitempty"`
	Confirm  *confirmation `json:"cnf,omitempty"`
	Actor    *Actor        `json:"act,omitempty"`
	// Of what is bound to a key: how present its owner was at the approval.
	Presence authz.Presence `json:"presence,omitempty"`
	// Of agents: what they may besides the scope (RFC 9396 §9.1), and the hash of the receipt.
	Details    json.RawMessage `json:"authorization_details,omitempty"`
	Delegation string          `json:"delegation,omitempty"`
}

// Actor is who acts for the subject of a token that was exchanged, or is an agent's (RFC 8693
// §4.1, requirements X-04, N-12).
type Actor struct {
	// Subject is the client or the agent that acts.
	Subject string `json:"sub"`
	// Name and PublicKey are an agent's alone; the key is there if it is a secp256k1 key.
	Name      string `json:"agent_name,omitempty"`
	PublicKey string `json:"pubkey,omitempty"`
	// ClientID is the client that exchanged the token, where it said that another acts.
	ClientID string `json:"client_id,omitempty"`
	// Before is who acted with the token that was exchanged for this one.
	Before *Actor `json:"act,omitempty"`
}

// Agent reports whether an agent acts, and not a client.
func (a *Actor) Agent() bool { return a != nil && a.Name != "" }

// ActorOf is the agent of a grant as it acts for its owner, and nil of any other grant.
func ActorOf(d authz.Delegated) *Actor {
	if !d.ToAgent() {
		return nil
	}
	return &Actor{Subject: d.Agent.ID, Name: d.Agent.Name, PublicKey: d.Agent.PublicKey}
}

// OfAgent reports whether a token is an agent's own.
func (c Claims) OfAgent() bool { return c.Actor.Agent() }

// audience is one text where it has one member (RFC 7519 §4.1.3).
type audience []string

// MarshalJSON writes a text or an array.
func (a audience) MarshalJSON() ([]byte, error) {
	if len(a) == 1 {
		return json.Marshal(a[0])
	}
	return json.Marshal([]string(a))
}

// UnmarshalJSON reads what MarshalJSON writes.
func (a *audience) UnmarshalJSON(b []byte) error {
	var one string
	if json.Unmarshal(b, &one) == nil {
		*a = audience{one}
		return nil
	}
	return json.Unmarshal(b, (*[]string)(a))
}

// confirmation names the key that whoever uses a bound token has (RFC 9449 §6.1,
// requirement P-08).
type confirmation struct {
	Thumbprint string `json:"jkt"`
}

// Thumbprint is of the key that the token is bound to, empty for a bearer token.
func (c Claims) Thumbprint() string {
	if c.Confirm == nil {
		return ""
	}
	return c.Confirm.Thumbprint
}

// idClaims are the claims of an ID token (OpenID Connect Core §2, requirements L-01,
// L-02), which is made only where openid was granted.
type idClaims struct {
	Issuer     string   `json:"iss"`
	Subject    string   `json:"sub"`
	Audience   string   `json:"aud,omitempty"`
	IssuedAt   int64    `json:"iat"`
	Expires    int64    `json:"exp"`
	AuthTime   int64    `json:"auth_time"`
	Nonce      string   `json:"nonce,omitempty"`
	ACR        string   `json:"acr"`
	AMR        []string `json:"amr"`
	AccessHash string   `json:"at_hash"`
	BAPID      string   `json:"bap_id,omitempty"`
	Pubkey     string   `json:"pubkey,omitempty"`
}

// What the owner did, in the words of RFC 8176 §2 (requirement L-04): proved possession
// of a key (`pop`), with a passkey after a touch of the authenticator (`user`). Whether
// the authenticator also knew who touched it is not claimed: it is asked to find out, not
// made to.
var (
	amrBAP     = []string{"pop"}
	amrPasskey = []string{"pop", "user"}
)

func amr(g authz.Grant) []string {
	if g.Passkey != "" || g.ACR == authz.ACRPasskey { // of which passkey was not noted before there was one
		return amrPasskey
	}
	return amrBAP
}

// BindTo says which key the token is bound to.
func (c *Claims) BindTo(thumbprint string) { c.Confirm = &confirmation{thumbprint} }

// OfClient reports whether a token is a client's own, of no person: it belongs to no grant,
// and its subject is the client (RFC 9068 §2.2), whose id is nobody's account (requirement
// Z-24).
func (c Claims) OfClient() bool { return c.GrantID == "" }

// Request is what tokens are to be signed.
type Request struct {
	Client authz.Client
	// Grant is zero for a client's own token.
	Grant authz.Grant
	// Scope may be less than the grant's.
	Scope        string
	RefreshToken authz.Secret
	// RefreshExpires is when the refresh token is over, if there is one.
	RefreshExpires time.Time
	// Thumbprint is of the key that the access token is bound to (RFC 7638); empty makes a
	// bearer token.
	Thumbprint string
	// Bearer: a bound token goes as Bearer beside an X-Auth-Token, as its request came, and is
	// no less bound.
	Bearer bool
	// Audience is for whom the access token is; empty: for this server.
	Audience []string
	// Actor acts for the owner with a token that Client exchanged another for, and that is over
	// with it at Until. Of all others it is nil. Beside it, as beside
	// an agent's, there is no ID token: it would pass for the owner's.
	Actor *Actor
	Until time.Time
	// Details are the authorization details that an agent's token has, JSON text; empty: none.
	Details string
	// Above is who passed on to a sub-agent what it has; of all others it is nil.
	Above *Actor
}

// Issue signs the tokens of a grant, or a client's own.
func (s *Signer) Issue(r Request) (*authz.Tokens, error) {
	now, g := s.now(), r.Grant
	id, err := s.secrets.NewID()
	if err != nil {
		return nil, err
	}
	// What the owner was told that ends then, ends then: no token outlives its grant.
	lifetime := s.settings.AccessTokenLifetime
	if g.Delegated.ToAgent() {
		lifetime = s.settings.Agents.AccessTokenLifetime
	}
	if g.ID != "" {
		lifetime = min(lifetime, g.ExpiresAt.Sub(now))
	}
	claims := Claims{Issuer: s.settings.Issuer, Subject: r.Client.ID, ClientID: r.Client.ID, Scope: r.Scope}
	if g.ID != "" {
		claims = s.ClaimsOf(g, r.Scope)
	}
	if r.Actor != nil {
		claims.ClientID, claims.Actor = r.Client.ID, r.Actor
		lifetime = min(lifetime, r.Until.Sub(now))
	}
	claims.ID, claims.Audience, claims.IssuedAt, claims.Expires = id, r.Audience, now.Unix(), now.Add(lifetime).Unix()
	if len(r.Audience) == 0 {
		claims.Audience = audience{s.settings.Issuer}
	}
	t := &authz.Tokens{TokenType: authz.TokenBearer, ExpiresIn: lifetime, Scope: r.Scope, RefreshToken: r.RefreshToken}
	if r.RefreshToken != "" {
		t.RefreshExpiresIn, t.GrantExpiresIn = r.RefreshExpires.Sub(now), g.ExpiresAt.Sub(now)
	}
	if claims.OfAgent() {
		r.Details = strings.TrimPrefix(r.Details, "[]") // an empty list is none
		claims.Details, claims.Actor.Before = json.RawMessage(r.Details), r.Above
		t.AgentID, t.Details, t.GrantExpiresIn = claims.Actor.Subject, r.Details, g.ExpiresAt.Sub(now)
	}
	if r.Thumbprint != "" {
		claims.BindTo(r.Thumbprint)
		claims.Presence = g.Presence
		if !r.Bearer {
			t.TokenType = authz.TokenDPoP
		}
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		return nil, err
	}
	ring := s.ring.Load()
	access, err := ring.sign(accessTokenAlg, accessTokenType, payload, now)
	if err != nil {
		return nil, err
	}
	t.AccessToken = authz.Secret(access)
	ring.known.Add(t.AccessToken.Hash(), &claims)
	if scopes.Has(r.Scope, "openid") && claims.Actor == nil {
		if t.IDToken, err = s.idToken(r.Client, g, r.Scope, access, now, lifetime); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// SignExport signs the payload that a receipt is exported with, as access tokens are signed.
func (s *Signer) SignExport(payload string) (string, error) {
	return s.ring.Load().sign(accessTokenAlg, exportType, []byte(payload), s.now())
}

// ClaimsOf are the claims that every token of a grant has with a scope. An agent acts with
// all of its own.
func (s *Signer) ClaimsOf(g authz.Grant, scope string) Claims {
	c := Claims{
		Issuer: s.settings.Issuer, Subject: g.AccountID, ClientID: g.ClientID, Scope: scope, GrantID: g.ID,
		AuthTime: g.AuthTime.Unix(), ACR: g.ACR, AMR: amr(g), BAPID: g.BAPID, Pubkey: g.MemberKey,
		Actor: ActorOf(g.Delegated),
	}
	if g.Delegated.ToAgent() {
		c.Presence, c.Delegation = g.Presence, g.Delegated.Delegation
	}
	return c
}

func (s *Signer) idToken(c authz.Client, g authz.Grant, scope, access string, now time.Time, lifetime time.Duration) (authz.Secret, error) {
	alg := accessTokenAlg
	if c.IDTokenAlg != "" {
		alg = jose.SignatureAlgorithm(c.IDTokenAlg)
	}
	claims := idClaims{
		Issuer: s.settings.Issuer, Subject: g.AccountID, Audience: g.ClientID,
		IssuedAt: now.Unix(), Expires: now.Add(lifetime).Unix(), AuthTime: g.AuthTime.Unix(),
		Nonce: g.Nonce, ACR: g.ACR, AMR: amr(g), AccessHash: halfHash(alg, access),
	}
	if scopes.Has(scope, "profile") {
		claims.BAPID, claims.Pubkey = g.BAPID, g.MemberKey
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	token, err := s.ring.Load().sign(alg, idTokenType, payload, now)
	return authz.Secret(token), err
}

// ErrInvalid refuses an access token, whatever is wrong with it.
var ErrInvalid = authz.Refuse(authz.InvalidToken, "the access token is malformed, expired or revoked: get a new one")

// Verify verifies a presented access token: ours, by our key and our algorithm
// whatever the token says of itself (RFC 8725 §3.1, requirement M-09), of the right type
// and not expired. It looks neither at the grant nor at whom the token is for.
//
//	InvalidToken
func (s *Signer) Verify(ctx context.Context, presented authz.Secret) (Claims, error) {
	if len(presented) > maxToken {
		return Claims{}, ErrInvalid
	}
	now, ring := s.now(), s.ring.Load()
	if claims, ok := ring.known.Get(presented.Hash()); ok && now.Unix() < claims.Expires {
		return *claims, nil
	}
	claims, err := s.verify(ctx, ring, presented.Reveal(), now)
	if err != nil {
		return Claims{}, err
	}
	if now.Unix() >= claims.Expires {
		return Claims{}, ErrInvalid
	}
	ring.known.Add(presented.Hash(), &claims)
	return claims, nil
}

// verify verifies signature, type and issuer.
//
//	InvalidToken
func (s *Signer) verify(ctx context.Context, ring *keyring, raw string, now time.Time) (Claims, error) {
	if !canonicalJWS(raw) {
		return Claims{}, ErrInvalid
	}
	jws, err := jose.ParseSignedCompact(raw, []jose.SignatureAlgorithm{accessTokenAlg})
	if err != nil {
		return Claims{}, ErrInvalid
	}
	header := jws.Signatures[0].Protected
	key, err := s.lookUp(ctx, ring, header.KeyID, now)
	if err != nil {
		return Claims{}, err
	}
	if key == nil || key.Algorithm != string(accessTokenAlg) || header.ExtraHeaders[jose.HeaderType] != string(accessTokenType) {
		return Claims{}, ErrInvalid
	}
	payload, err := jws.Verify(key.public)
	if err != nil {
		return Claims{}, ErrInvalid
	}
	var claims Claims
	if err := json.Unmarshal(payload, &claims); err != nil {
		return Claims{}, ErrInvalid
	}
	if claims.Issuer != s.settings.Issuer {
		return Claims{}, ErrInvalid
	}
	return claims, nil
}

// canonicalJWS insists on the one encoding of a compact JWS: a token that is written in
// another way is not the token (requirement U-15). That it has its parts is for the
// library to say.
func canonicalJWS(token string) bool {
	for part := range strings.SplitSeq(token, ".") {
		if _, ok := secret.Decode(part); !ok {
			return false
		}
	}
	return true
}
