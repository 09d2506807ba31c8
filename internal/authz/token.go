package authz

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// tokenSigner signs tokens and verifies its own.
type tokenSigner struct {
	settings Settings
	now      func() time.Time
	secrets  serverSecrets
	keys     *keyring // never written after newTokenSigner
	// known are access tokens whose signature is known to be ours; whether their
	// grant is alive is asked each time.
	known *remembered[Hash, accessClaims]
}

// newTokenSigner opens the signing keys or, the first time, makes them.
//
//	ErrOtherSecret
func newTokenSigner(ctx context.Context, store KeyStore, settings Settings, now func() time.Time, secrets serverSecrets) (*tokenSigner, error) {
	keys, err := openKeyring(ctx, store, secrets, now())
	if err != nil {
		return nil, err
	}
	return &tokenSigner{settings: settings, now: now, secrets: secrets, keys: keys, known: newRemembered[Hash, accessClaims](tokensRemembered)}, nil
}

// The `typ` of what we sign keeps one kind of token from passing as another
// (RFC 8725 §3.11, RFC 9068 §2.1, requirement M-10).
const (
	accessTokenType jose.ContentType = "at+jwt"
	idTokenType     jose.ContentType = "JWT"
	// maxToken bounds a presented access token in bytes, before any parsing.
	maxToken = 4096
	// tokensRemembered bounds how many access tokens are known without verifying
	// their signature again.
	tokensRemembered = 4096
)

// Tokens is a successful token response (RFC 6749 §5.1).
type Tokens struct {
	AccessToken  Secret
	ExpiresIn    time.Duration
	Scope        string
	IDToken      Secret // empty without the openid scope
	RefreshToken Secret // empty without the offline_access scope
}

// accessClaims are the claims of an access token (RFC 9068 §2.2, requirement M-11)
// and ours.
type accessClaims struct {
	Issuer   string   `json:"iss"`
	Subject  string   `json:"sub"`
	Audience string   `json:"aud"`
	ClientID string   `json:"client_id"`
	Scope    string   `json:"scope"`
	IssuedAt int64    `json:"iat"`
	Expires  int64    `json:"exp"`
	ID       string   `json:"jti"`
	GrantID  string   `json:"gid"`
	AuthTime int64    `json:"auth_time"`
	ACR      string   `json:"acr"`
	AMR      []string `json:"amr"`
	BAPID    string   `json:"bap_id"`
	Pubkey   string   `json:"pubkey"`
}

// idClaims are the claims of an ID token (OpenID Connect Core §2, requirements L-01,
// L-02), which is made only where openid was granted.
type idClaims struct {
	Issuer     string   `json:"iss"`
	Subject    string   `json:"sub"`
	Audience   string   `json:"aud"`
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

func amr(acr string) []string {
	if acr == ACRPasskey {
		return amrPasskey
	}
	return amrBAP
}

// issue signs the tokens of a grant. scope may be less than the grant's.
func (s *tokenSigner) issue(c Client, g Grant, scope string, refresh Secret) (*Tokens, error) {
	now := s.now()
	id, err := s.secrets.newID()
	if err != nil {
		return nil, err
	}
	// What the owner was told that ends then, ends then: no token outlives its grant.
	lifetime := min(s.settings.AccessTokenLifetime, g.ExpiresAt.Sub(now))
	claims := accessClaims{
		Issuer: s.settings.Issuer, Subject: g.AccountID, Audience: s.settings.Issuer,
		ClientID: g.ClientID, Scope: scope, IssuedAt: now.Unix(), Expires: now.Add(lifetime).Unix(),
		ID: id, GrantID: g.ID, AuthTime: g.AuthTime.Unix(), ACR: g.ACR, AMR: amr(g.ACR),
		BAPID: g.BAPID, Pubkey: g.MemberKey,
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		return nil, err
	}
	access, err := s.keys.sign(accessTokenAlg, accessTokenType, payload)
	if err != nil {
		return nil, err
	}
	s.known.put(Secret(access).Hash(), claims, now, time.Unix(claims.Expires, 0))
	t := &Tokens{AccessToken: Secret(access), ExpiresIn: lifetime, Scope: scope, RefreshToken: refresh}
	if hasScope(scope, "openid") {
		if t.IDToken, err = s.idToken(c, g, scope, access, now, lifetime); err != nil {
			return nil, err
		}
	}
	return t, nil
}

func (s *tokenSigner) idToken(c Client, g Grant, scope, access string, now time.Time, lifetime time.Duration) (Secret, error) {
	alg := accessTokenAlg
	if c.IDTokenAlg != "" {
		alg = jose.SignatureAlgorithm(c.IDTokenAlg)
	}
	claims := idClaims{
		Issuer: s.settings.Issuer, Subject: g.AccountID, Audience: g.ClientID,
		IssuedAt: now.Unix(), Expires: now.Add(lifetime).Unix(), AuthTime: g.AuthTime.Unix(),
		Nonce: g.Nonce, ACR: g.ACR, AMR: amr(g.ACR), AccessHash: halfHash(alg, access),
	}
	if hasScope(scope, "profile") {
		claims.BAPID, claims.Pubkey = g.BAPID, g.MemberKey
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	token, err := s.keys.sign(alg, idTokenType, payload)
	return Secret(token), err
}

var errInvalidToken = refuse(InvalidToken, "the access token is malformed, expired or revoked: get a new one")

// usable returns the grant, the identity and the whole scope of a presented access token
// that has the scope needed. The token must verify, and its grant, account and client
// must be alive: whatever ended them, the answer is the same (requirements U-05, U-14,
//
//
//	InvalidToken
//	InsufficientScope (requirement U-06)
func (s *grants) usable(ctx context.Context, token Secret, needed string) (g Grant, i Identity, scope string, err error) {
	claims, err := s.tokens.accessToken(token)
	if err != nil {
		return g, i, "", err
	}
	g, i, err = s.store.LiveGrant(ctx, claims.GrantID, s.now())
	if errors.Is(err, ErrNotFound) {
		err = errInvalidToken
	}
	if err != nil {
		return g, i, "", err
	}
	c, err := s.clients.client(ctx, g.ClientID)
	if errors.Is(err, ErrNotFound) {
		err = errInvalidToken
	}
	if err != nil {
		return g, i, "", err
	}
	scope = c.mayHave(claims.Scope)
	if !hasScope(scope, needed) {
		return g, i, scope, &Error{Code: InsufficientScope, Description: "the access token was not granted the " + needed + " scope", Scope: needed}
	}
	s.noteUse(ctx, g)
	return g, i, scope, nil
}

// accessToken verifies a presented access token: ours, by our key and our algorithm
// whatever the token says of itself (RFC 8725 §3.1, requirement M-09), of the right type
// and not expired. It does not look at the grant.
//
//	InvalidToken
func (s *tokenSigner) accessToken(presented Secret) (accessClaims, error) {
	if len(presented) > maxToken {
		return accessClaims{}, errInvalidToken
	}
	now := s.now()
	if claims, ok := s.known.get(presented.Hash(), now); ok {
		return claims, nil
	}
	claims, err := s.verifyAccessToken(presented.Reveal())
	if err != nil || now.Unix() >= claims.Expires {
		return accessClaims{}, errInvalidToken
	}
	s.known.put(presented.Hash(), claims, now, time.Unix(claims.Expires, 0))
	return claims, nil
}

// verifyAccessToken verifies signature, type, issuer and audience.
//
//	InvalidToken
func (s *tokenSigner) verifyAccessToken(raw string) (accessClaims, error) {
	if !canonicalJWS(raw) {
		return accessClaims{}, errInvalidToken
	}
	jws, err := jose.ParseSignedCompact(raw, []jose.SignatureAlgorithm{accessTokenAlg})
	if err != nil {
		return accessClaims{}, errInvalidToken
	}
	header := jws.Signatures[0].Protected
	key := s.keys.byID[header.KeyID] // one that is not there is for no algorithm
	if key.Algorithm != string(accessTokenAlg) || header.ExtraHeaders[jose.HeaderType] != string(accessTokenType) {
		return accessClaims{}, errInvalidToken
	}
	payload, err := jws.Verify(key.Public())
	if err != nil {
		return accessClaims{}, errInvalidToken
	}
	var claims accessClaims
	if err := json.Unmarshal(payload, &claims); err != nil {
		return accessClaims{}, errInvalidToken
	}
	if claims.Issuer != s.settings.Issuer || claims.Audience != s.settings.Issuer {
		return accessClaims{}, errInvalidToken
	}
	return claims, nil
}

// canonicalJWS insists on the one encoding of a compact JWS: a token that is written in
// another way is not the token (requirement U-15). That it has its parts is for the
// library to say.
func canonicalJWS(token string) bool {
	for part := range strings.SplitSeq(token, ".") {
		if _, ok := unpacked(part); !ok {
			return false
		}
	}
	return true
}

// RevokeToken ends the grant that a token of this client belongs to, whichever
// kind of token it is and whatever the caller takes it for (RFC 7009 §2.1,
// requirements ). A token that is unknown or over is no error (requirement
//
//
//	InvalidGrant: the token is another client's; it stays alive (requirement R-09)
func (s *grants) RevokeToken(ctx context.Context, c Client, token Secret) error {
	if token == "" {
		return refuse(InvalidRequest, "token is missing")
	}
	id, err := s.grantOf(ctx, token)
	if id == "" {
		return err
	}
	g, err := s.store.Grant(ctx, id)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	if g.ClientID != c.ID {
		return refuse(InvalidGrant, "this token was issued to another client")
	}
	event, err := s.revoked(Owner{AccountID: g.AccountID}, g, SubjectClient)
	if err != nil {
		return err
	}
	r := Revocation{GrantID: id, At: s.now(), Event: event}
	if err := s.store.RevokeGrant(ctx, r); err != nil {
		return err
	}
	if g.AliveAt(r.At) {
		s.log.InfoContext(ctx, "grant revoked by its client", "grant", id, "client_id", g.ClientID, "account", g.AccountID, "bap_id", g.BAPID)
	}
	return nil
}

// grantOf finds the grant of a refresh or access token; empty for a token that
// is neither.
func (s *grants) grantOf(ctx context.Context, token Secret) (string, error) {
	refresh, err := s.store.RefreshToken(ctx, token.Hash(), s.now())
	if err == nil {
		return refresh.GrantID, nil
	}
	if !errors.Is(err, ErrNotFound) {
		return "", err
	}
	if _, id, ours := s.secrets.refreshParts(token); ours {
		return id, nil
	}
	claims, err := s.tokens.accessToken(token)
	if err != nil {
		return "", nil //nolint:nilerr // RFC 7009 §2.2: an invalid token is no error
	}
	return claims.GrantID, nil
}
