package proof

import (
	"context"
	"errors"
	"time"

	"countersign.dev/bitcoinauth"
	"countersign.dev/dpop"
	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/contract"
)

// Means is how a key was proved.
type Means string

// The two ways there are.
const (
	ByDPoP      Means = "dpop"
	ByAuthToken Means = "x-auth-token" //nolint:gosec // a word, and no credential
)

// Possession is a key that the sender of a request has proved to have; the zero one is of
// a request without a proof. It proves nothing twice once UseUpProof has had it.
type Possession struct {
	// Thumbprint is the key's name (RFC 7638), or empty.
	Thumbprint string
	// PublicKey is a secp256k1 key, compressed, in hex; empty for other keys.
	PublicKey string
	Means     Means
	replayKey authz.Hash
	until     time.Time
	wanted    Wanted
}

// BySignature reports whether the proof was an X-Auth-Token: who proves so presents a bound
// token as Bearer.
func (p Possession) BySignature() bool { return p.Means == ByAuthToken }

// AgentKey is the key as that of an agent, which has no name yet.
func (p Possession) AgentKey() (authz.AgentKey, error) {
	id, err := AgentID(p.Thumbprint, p.PublicKey)
	return authz.AgentKey{ID: id, PublicKey: p.PublicKey, Thumbprint: p.Thumbprint}, err
}

// AgentID names an agent by its key: the BAP id of a secp256k1 key, compressed and in hex, or
// of another its thumbprint.
func AgentID(thumbprint, publicKey string) (string, error) {
	if publicKey == "" {
		return thumbprint, nil
	}
	return BAPID(publicKey)
}

// Wanted is what a request's proof must be.
type Wanted struct {
	// Thumbprint is of the key that what the request presents is bound to: a proof must
	// be there, and by this key. Empty: it is bound to none.
	Thumbprint string
	// Required: a DPoP proof must be there, by whatever key (requirement P-12).
	Required bool
	// OfAgent: an agent asks, who proves its key by one of the two means.
	OfAgent bool
	// AccessToken is the one that the request presents, if it does.
	AccessToken authz.Secret
}

// takesSignature reports whether an X-Auth-Token can be the proof. Elsewhere it says nothing
// of a key: it authenticates a client, or is passed over.
func (w Wanted) takesSignature() bool { return (w.Thumbprint != "" || w.OfAgent) && !w.Required }

// Possession verifies the proof of a request that its sender has a key, if it has one: a DPoP
// proof (RFC 9449 §4.3, requirement P-01), which is never passed over (attack B-14), or an
// X-Auth-Token where what is presented is bound to a key or an agent asks. UseUpProof comes when
// nothing else can refuse any more.
//
// Who presents something that is bound to a key asks with that key's Thumbprint: a device
// code (requirement P-13), a refresh token, an authorization code that came with dpop_jkt (RFC 9449 §10). Who
// presents nothing, as client credentials do, asks with Required: c.DPoPBound alone. Access
// tokens are bound to what comes back.
//
//	InvalidProof, or of an access token UnprovenToken
//	UseNonce, or of an access token NonceForToken: RFC 9449 §8, §9
//	InvalidGrant, or of an access token InvalidToken: it is bound to another key, or nothing
//	proves that key
//	InvalidRequest, or of an access token InvalidToken: two proofs, or of an agent none, or a
//	signature over a body that does not name this server
//	InvalidClient, or of an access token InvalidToken: an X-Auth-Token does not hold
//	Unavailable: too many from this network were forged
func (s *Verifier) Possession(ctx context.Context, brought authz.Proofs, w Wanted) (Possession, error) {
	signed := len(brought.Signed) > 0 && w.takesSignature()
	switch {
	case signed && len(brought.DPoP) > 0:
		return Possession{}, w.refuse(authz.InvalidRequest, "prove the key in one way only: by a DPoP proof, or by an X-Auth-Token")
	case len(brought.DPoP) > 1:
		return Possession{}, w.refuse(authz.InvalidProof, "send one DPoP header, with one proof")
	case signed:
		return s.signature(ctx, brought, w)
	case len(brought.DPoP) == 1:
		return s.dpopProof(brought, w)
	default:
		return Possession{}, w.missing()
	}
}

const otherKey = "what was presented is bound to another key: prove it with the key that asked for it"

// missing refuses a request without a proof where one must be.
func (w Wanted) missing() error {
	switch {
	case w.OfAgent:
		return w.refuse(authz.InvalidRequest, "an agent proves its key: send a DPoP proof, or an X-Auth-Token whose body has aud")
	case w.Required:
		return w.refuse(authz.InvalidProof, "the DPoP header is missing: this client is bound to a key")
	case w.Thumbprint != "" || w.AccessToken != "":
		return w.refuse(authz.InvalidGrant, "what was presented is bound to a key: send a DPoP proof by it or, if it is a secp256k1 key, an X-Auth-Token")
	default:
		return nil
	}
}

// signature verifies the X-Auth-Token of a request as the proof of a key: BRC-77 alone, and
// over a body that names this server. What has no body presents an access token, which is good
// here alone. The arithmetic has the turns and allowances of Verify; the key that it is to be
// by is compared before.
func (s *Verifier) signature(ctx context.Context, brought authz.Proofs, w Wanted) (Possession, error) {
	if len(brought.Signed) > 1 {
		return Possession{}, w.refuse(authz.InvalidRequest, "send one X-Auth-Token header")
	}
	if !brought.ForUs && (len(brought.Body) > 0 || w.AccessToken == "") {
		return Possession{}, w.refuse(authz.InvalidRequest, "an X-Auth-Token that proves a key is over a body whose aud is the issuer of this server: see issuer in the metadata")
	}
	token, err := bitcoinauth.Parse(brought.Signed[0])
	if err != nil {
		return Possession{}, w.refuse(authz.InvalidClient, err.Error())
	}
	if token.Scheme != bitcoinauth.BRC77 {
		return Possession{}, w.refuse(authz.InvalidClient, "an X-Auth-Token proves a key as brc77 alone")
	}
	thumbprint, err := dpop.Secp256k1Thumbprint(token.PublicKey)
	if err != nil {
		return Possession{}, err
	}
	r := authz.SignedRequest{Token: brought.Signed[0], Path: brought.Target, Body: brought.Body, From: brought.From}
	if w.Thumbprint != "" {
		if thumbprint != w.Thumbprint {
			return Possession{}, w.refuse(authz.InvalidGrant, otherKey)
		}
		r.Client = token.PublicKey // which is known: strangers behind its address do not shut it out
	}
	v, err := s.Verify(ctx, r)
	if errors.Is(Unauthorized(err), authz.Unauthorized) {
		return Possession{}, w.refuse(authz.InvalidClient, err.Error())
	}
	if err != nil {
		return Possession{}, err
	}
	return Possession{
		Thumbprint: thumbprint, PublicKey: v.PublicKey, Means: ByAuthToken, replayKey: v.ReplayKey, until: v.Time.Add(remembered), wanted: w,
	}, nil
}

// withToken is how a refusal is said to who presents an access token (RFC 9449 §7.1).
var withToken = map[authz.Code]authz.Code{
	authz.InvalidProof: authz.UnprovenToken, authz.UseNonce: authz.NonceForToken,
	authz.InvalidGrant: authz.InvalidToken, authz.InvalidRequest: authz.InvalidToken, authz.InvalidClient: authz.InvalidToken,
}

// refuse is a refusal of a request that presents what is wanted: at the token endpoint in
// words of its own, with an access token in those of RFC 9449 §7.1.
func (w Wanted) refuse(code authz.Code, description string) *authz.Error {
	if w.AccessToken != "" {
		code = withToken[code]
	}
	return authz.Refuse(code, description)
}

// UseUpProof uses a proof up, whoever sends it how often at once (requirement P-06). A
// request without one needs none. Each is remembered for minutes, so it comes when what the
// request presents is known to be good, and how often that may be is the caller's to bound.
//
//	InvalidProof or, of an X-Auth-Token, InvalidClient: it was used before
//	UnprovenToken, InvalidToken: so was that of an access token
func (s *Verifier) UseUpProof(ctx context.Context, p Possession) error {
	if p.Thumbprint == "" {
		return nil
	}
	err := s.used.UseOnce(ctx, p.replayKey, s.now(), p.until)
	switch {
	case !errors.Is(err, contract.ErrExists):
		return err
	case p.BySignature():
		return p.wanted.refuse(authz.InvalidClient, ErrUsed.Error())
	default:
		return p.wanted.refuse(authz.InvalidProof, "this DPoP proof was used before: make a new one for each request")
	}
}
