package authz

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	lru "github.com/hashicorp/golang-lru/v2"
)

// tokenSigner signs tokens and verifies its own.
type tokenSigner struct {
	settings Settings
	now      func() time.Time
	secrets  serverSecrets
	keys     *keyring // never written after newTokenSigner
	// known are access tokens whose signature is known to be ours; whether their
	// grant is alive is asked each time.
	known *lru.Cache[Hash, knownToken]
}

// knownToken is an access token that was verified at a time.
type knownToken struct {
	accessClaims
	since time.Time
}

// newTokenSigner opens the signing keys or, the first time, makes them.
//
//	ErrOtherSecret
func newTokenSigner(ctx context.Context, store KeyStore, settings Settings, now func() time.Time, secrets serverSecrets) (*tokenSigner, error) {
	keys, err := openKeyring(ctx, store, secrets, now())
	if err != nil {
		return nil, err
	}
	known, err := lru.New[Hash, knownToken](tokensRemembered)
	return &tokenSigner{settings: settings, now: now, secrets: secrets, keys: keys, known: known}, err
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
	s.known.Add(Secret(access).Hash(), knownToken{claims, now})
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
	if t, ok := s.known.Get(presented.Hash()); ok && !now.Before(t.since) && now.Unix() < t.Expires {
		return t.accessClaims, nil
	}
	claims, err := s.verifyAccessToken(presented.Reveal())
	if err != nil || now.Unix() >= claims.Expires {
		return accessClaims{}, errInvalidToken
	}
	s.known.Add(presented.Hash(), knownToken{claims, now})
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
