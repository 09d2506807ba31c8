package proof

import (
	"context"
	"encoding/binary"
	"errors"
	"time"

	"countersign.dev/dpop"
	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/contract"
	"countersign.dev/internal/authz/secret"
)

// Possession is a key that the sender of a request has proved to have; the zero one is of
// a request without a proof. It proves nothing twice once UseUpProof has had it.
type Possession struct {
	// Thumbprint is the key's name (RFC 7638), or empty.
	Thumbprint string
	replayKey  authz.Hash
	until      time.Time
	wanted     Wanted
}

// Wanted is what a request's proof must be.
type Wanted struct {
	// Thumbprint is of the key that what the request presents is bound to: a proof must
	// be there, and by this key. Empty: it is bound to none.
	Thumbprint string
	// Required: a proof must be there, by whatever key (requirement P-12).
	Required bool
	// AccessToken is the one that the request presents, if it does.
	AccessToken authz.Secret
}

// Possession verifies the DPoP proof of a request (RFC 9449 §4.3, requirement P-01), if it
// has one: one that came is never passed over (attack B-14). UseUpProof comes when nothing
// else can refuse any more.
//
// Who presents something that is bound to a key asks with that key's Thumbprint: a device
// code, a refresh token, an authorization code that came with dpop_jkt (RFC 9449 §10). Who
// presents nothing, as client credentials do, asks with Required: c.DPoPBound alone. Access
// tokens are bound to what comes back.
//
// The arithmetic takes a tenth of a millisecond, a twentieth of what X-Auth-Token's takes, so it
// waits for no turn and has no allowance of its own; who forges it is counted all the same.
//
//	InvalidProof, or of an access token UnprovenToken
//	UseNonce, or of an access token NonceForToken: RFC 9449 §8, §9
//	InvalidGrant, or of an access token InvalidToken: it is bound to another key
//	Unavailable: too many from this network were forged
func (s *Verifier) Possession(d authz.DPoP, w Wanted) (Possession, error) {
	switch needed := w.Thumbprint != "" || w.Required || w.AccessToken != ""; {
	case len(d.Proofs) > 1:
		return Possession{}, w.refuse(authz.InvalidProof, "send one DPoP header, with one proof")
	case len(d.Proofs) == 0 && needed:
		return Possession{}, w.refuse(authz.InvalidProof, "the DPoP header is missing: what was presented, or this client, is bound to a key")
	case len(d.Proofs) == 0:
		return Possession{}, nil
	}
	p, err := dpop.Parse(d.Proofs[0])
	if err != nil {
		return Possession{}, w.refuse(authz.InvalidProof, err.Error())
	}
	now := s.now()
	made := p.Time
	if p.Nonce != "" {
		if made, err = s.openNonce(p.Nonce, now); err != nil {
			return Possession{}, s.wantNonce(w, authz.UseNonce, "the DPoP proof's nonce is not a recent one of this server: use the one in DPoP-Nonce", now)
		}
	} else if s.nonceRequired {
		return Possession{}, s.wantNonce(w, authz.UseNonce, "a DPoP proof needs a nonce here: use the one in DPoP-Nonce", now)
	}
	err = p.Check(dpop.Check{Method: d.Method, URL: d.URL, AccessToken: w.AccessToken.Reveal(), Now: now, Fresh: p.Nonce != ""})
	var refused *dpop.Error
	switch {
	case errors.As(err, &refused) && (refused.Reason == dpop.TooOld || refused.Reason == dpop.TooNew):
		// Who sets no clock, as a device that has just got its power back, is told what to
		// use instead.
		return Possession{}, s.wantNonce(w, authz.InvalidProof, err.Error()+"; or use the nonce in DPoP-Nonce", now)
	case err != nil:
		return Possession{}, w.refuse(authz.InvalidProof, err.Error())
	case w.Thumbprint != "" && p.Thumbprint != w.Thumbprint:
		return Possession{}, w.refuse(authz.InvalidGrant, "what was presented is bound to another key: prove it with the key that asked for it")
	}
	if !s.forged.Left("", d.From, now) && (w.Thumbprint == "" || !s.forged.Left(w.Thumbprint, d.From, now)) {
		return Possession{}, errForged
	}
	if err := p.VerifySignature(); err != nil {
		s.CountForged(d.From, p.Thumbprint)
		return Possession{}, w.refuse(authz.InvalidProof, err.Error())
	}
	return Possession{p.Thumbprint, p.ReplayKey(), made.Add(2 * dpop.DefaultWindow), w}, nil
}

// refuse is a refusal of a request that presents what is wanted: at the token endpoint in
// words of its own, with an access token in those of RFC 9449 §7.1.
func (w Wanted) refuse(code authz.Code, description string) *authz.Error {
	if w.AccessToken != "" {
		code = map[authz.Code]authz.Code{
			authz.InvalidProof: authz.UnprovenToken, authz.UseNonce: authz.NonceForToken, authz.InvalidGrant: authz.InvalidToken,
		}[code]
	}
	return authz.Refuse(code, description)
}

// wantNonce is a refusal that tells the sender the nonce to try again with (requirement
// P-07).
func (s *Verifier) wantNonce(w Wanted, code authz.Code, description string, now time.Time) error {
	nonce, err := s.nonceAt(now)
	if err != nil {
		return err
	}
	refusal := w.refuse(code, description)
	refusal.Nonce = nonce
	return refusal
}

// UseUpProof uses a proof up, whoever sends it how often at once (requirement P-06). A
// request without one needs none. Each is remembered for minutes, so it comes when what the
// request presents is known to be good, and how often that may be is the caller's to bound.
//
//	InvalidProof, or of an access token UnprovenToken: it was used before
func (s *Verifier) UseUpProof(ctx context.Context, p Possession) error {
	if p.Thumbprint == "" {
		return nil
	}
	err := s.used.UseOnce(ctx, p.replayKey, s.now(), p.until)
	if errors.Is(err, contract.ErrExists) {
		return p.wanted.refuse(authz.InvalidProof, "this DPoP proof was used before: make a new one for each request")
	}
	return err
}

// A nonce is the time that it was given at, sealed: any server that has the secret reads
// it, and none has to remember it.
const noncePurpose = "dpop-nonce"

// Nonce is one for the next proof of who sends one, or empty where none is needed.
func (s *Verifier) Nonce() (string, error) {
	if !s.nonceRequired {
		return "", nil
	}
	return s.nonceAt(s.now())
}

func (s *Verifier) nonceAt(now time.Time) (string, error) {
	return s.secrets.Seal(noncePurpose, binary.BigEndian.AppendUint64(nil, uint64(now.UnixMilli())))
}

// openNonce is when a nonce was given.
//
//	secret.ErrNotSealed: it is none of ours, or too old, or of a server whose clock is far ahead
func (s *Verifier) openNonce(nonce string, now time.Time) (time.Time, error) {
	sealed, err := s.secrets.Open(noncePurpose, nonce)
	if err != nil {
		return time.Time{}, err
	}
	given := time.UnixMilli(int64(binary.BigEndian.Uint64(sealed))) //nolint:gosec // which is read back as it was written
	if age := now.Sub(given); age > dpop.DefaultWindow || age < -dpop.DefaultWindow {
		return time.Time{}, secret.ErrNotSealed
	}
	return given, nil
}
