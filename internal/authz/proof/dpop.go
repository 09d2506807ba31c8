package proof

import (
	"encoding/binary"
	"errors"
	"time"

	"countersign.dev/dpop"
	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/secret"
)

// dpopProof verifies the DPoP proof of a request (RFC 9449 §4.3).
//
// The arithmetic takes a tenth of a millisecond, a twentieth of what X-Auth-Token's takes, or
// with ES256K a fifth of it, so it waits for no turn and has no allowance of its own; who forges
// it is counted all the same.
func (s *Verifier) dpopProof(d authz.Proofs, w Wanted) (Possession, error) {
	p, err := dpop.Parse(d.DPoP[0])
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
		return Possession{}, w.refuse(authz.InvalidGrant, otherKey)
	}
	if !s.forged.Left("", d.From, now) && (w.Thumbprint == "" || !s.forged.Left(w.Thumbprint, d.From, now)) {
		return Possession{}, errForged
	}
	if err := p.VerifySignature(); err != nil {
		s.CountForged(d.From, p.Thumbprint)
		return Possession{}, w.refuse(authz.InvalidProof, err.Error())
	}
	return Possession{
		Thumbprint: p.Thumbprint, PublicKey: p.PublicKey, Means: ByDPoP, replayKey: p.ReplayKey(), until: made.Add(2 * dpop.DefaultWindow), wanted: w,
	}, nil
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
