package proof

import (
	"context"
	"errors"
	"slices"
	"time"

	"countersign.dev/bap"
	"countersign.dev/bitcoinauth"
	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/contract"
	"countersign.dev/internal/authz/guard"
	"countersign.dev/internal/authz/secret"
)

const (
	// signaturesPerMinute is of all that are verified, 2 ms of a core each.
	signaturesPerMinute = 1200
	// forgedPerMinute is of signatures that do not hold, are by a key of nobody here, or
	// are more than their account may make: nobody's program makes them for long.
	forgedPerMinute = 60
)

// Verifier verifies signed requests, each of which counts once.
type Verifier struct {
	accounts contract.AccountStore // to know the keys of owners
	used     contract.ReplayStore
	now      func() time.Time
	// signatures bounds how many a network has verified, forged how many of these do not hold.
	signatures, forged *guard.Allowance
	secrets            secret.Secrets
	nonceRequired      bool // of a DPoP proof
	// verifying has a place for each signature that is verified at once.
	verifying chan struct{}
}

// New makes a verifier that verifies so many signatures at once.
func New(store contract.Store, settings authz.Settings, now func() time.Time, secrets secret.Secrets, atOnce int) *Verifier {
	return &Verifier{
		accounts: store, used: store, now: now, signatures: guard.NewAllowance(signaturesPerMinute), forged: guard.NewAllowance(forgedPerMinute),
		secrets: secrets, nonceRequired: settings.DPoPNonce, verifying: make(chan struct{}, atOnce),
	}
}

// VerifyOnce checks a signed request under the strict profile (requirements
// N-01 to N-06) and uses its token up.
//
//	*bitcoinauth.Error: the token is refused
//	ErrUsed
//	Unavailable: too many from this network were refused
func (s *Verifier) VerifyOnce(ctx context.Context, r authz.SignedRequest) (*bitcoinauth.Verified, error) {
	v, err := s.Verify(ctx, r)
	if err != nil {
		return nil, err
	}
	if err := s.UseUp(ctx, v); err != nil {
		return nil, err
	}
	return v, nil
}

// Verify checks a signed request without using its token up. The arithmetic takes
// 2 ms and is done in so many places at once. Whether a network has tried
// too often is asked in the place, or of a thousand requests at once none would have
// been counted yet. A key that is known here, which a token names, has tried only what
// was tried in its name: strangers behind the same address do not shut it out.
//
//	*bitcoinauth.Error: the token is refused
//	Unavailable: too many from this network were refused, or came
func (s *Verifier) Verify(ctx context.Context, r authz.SignedRequest) (v *bitcoinauth.Verified, err error) {
	now := s.now()
	token, err := bitcoinauth.Parse(r.Token)
	if err != nil {
		return nil, err // which cost nothing
	}
	known := false
	if !s.forged.Left("", r.From, now) {
		if known, err = s.knowsKey(ctx, r, token.PublicKey); err != nil {
			return nil, err
		}
	}
	select {
	case s.verifying <- struct{}{}:
		defer func() { <-s.verifying }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if !s.forged.Left("", r.From, now) && (!known || !s.forged.Left(token.PublicKey, r.From, now)) {
		return nil, errForged
	}
	if !s.signatures.Allow(r.From, now) {
		return nil, errSigned
	}
	v, err = bitcoinauth.Verify(r.Token, bitcoinauth.Check{Path: r.Path, Body: r.Body, Now: now})
	if err != nil && r.BodyMayBeUnsigned {
		v, err = bitcoinauth.Verify(r.Token, bitcoinauth.Check{Path: r.Path, Now: now})
	}
	var refused *bitcoinauth.Error
	if errors.As(err, &refused) && !slices.Contains([]bitcoinauth.Reason{bitcoinauth.TooOld, bitcoinauth.TooNew, bitcoinauth.WrongPath}, refused.Reason) {
		s.CountForged(r.From, token.PublicKey)
	}
	return v, err
}

// knowsKey reports whether a key is of an identity or client here.
func (s *Verifier) knowsKey(ctx context.Context, r authz.SignedRequest, memberKey string) (bool, error) {
	if memberKey == r.Client {
		return true, nil
	}
	bapID, err := BAPID(memberKey)
	if err != nil {
		return false, err
	}
	_, err = s.accounts.Identity(ctx, bapID)
	if errors.Is(err, contract.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// CountForged counts a signature that cost what it should not have cost, against the
// network it came from and the key it names.
func (s *Verifier) CountForged(from authz.Source, memberKey string) {
	s.forged.Allow(from, s.now())
	s.forged.AllowIn(memberKey, from, s.now())
}

// remembered is how long a used token is, from its time on: it is refused as too old long
// before its key is forgotten.
const remembered = 2 * bitcoinauth.DefaultWindow

// UseUp uses a token up that was checked.
//
//	ErrUsed
func (s *Verifier) UseUp(ctx context.Context, v *bitcoinauth.Verified) error {
	err := s.used.UseOnce(ctx, authz.Hash(v.ReplayKey), s.now(), v.Time.Add(remembered))
	if errors.Is(err, contract.ErrExists) {
		return ErrUsed
	}
	return err
}

var (
	errSigned = authz.Refuse(authz.Unavailable, "too many signed requests come from this network: try again in a minute, or use a session")
	errForged = authz.Refuse(authz.Unavailable, "too many signatures from this network do not hold: mend what signs them, and try again in a minute")
)

// ErrUsed is for a token that was used before.
var ErrUsed = errors.New("this X-Auth-Token was used before: sign a new one for each request")

// Unauthorized tells a refused signature from a store that failed.
func Unauthorized(err error) error {
	var refused *bitcoinauth.Error
	if errors.As(err, &refused) || errors.Is(err, ErrUsed) {
		return authz.RefuseBecause(authz.Unauthorized, err.Error(), err)
	}
	return err
}

// BAPID is the BAP id of a member key.
func BAPID(memberKey string) (string, error) {
	public, err := bap.ParsePublicKey(memberKey)
	if err != nil {
		return "", err
	}
	return bap.ID(public)
}
