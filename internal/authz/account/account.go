package account

import (
	"context"
	"errors"
	"log/slog"
	"net/url"
	"strings"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/audit"
	"countersign.dev/internal/authz/contract"
	"countersign.dev/internal/authz/guard"
	"countersign.dev/internal/authz/proof"
	"countersign.dev/internal/authz/secret"
)

// newcomersPerMinute is how many accounts an address may bring: a key costs
// nothing, and each account may keep a backup here for good. A classroom that
// signs up together is served by the burst.
const newcomersPerMinute = 10

// Accounts are the people who say yes: their identities, sign-ins, sessions and backups.
type Accounts struct {
	store    contract.Store
	settings authz.Settings
	now      func() time.Time
	log      *slog.Logger
	secrets  secret.Secrets
	trail    audit.Trail
	guard    *guard.Guard
	proofs   *proof.Verifier
	// newcomers bounds the accounts that a network brings.
	newcomers      *guard.Allowance
	refusedSignIns audit.Sparing
	fetched        *lru.Cache[string, *time.Time] // when the line of a backup was said last
}

// New makes the accounts of a server.
func New(store contract.Store, settings authz.Settings, trail audit.Trail, bounds *guard.Guard, proofs *proof.Verifier) *Accounts {
	fetched, _ := lru.New[string, *time.Time](fetchesRemembered) // which fails for a size below one
	return &Accounts{
		store: store, settings: settings, now: trail.Now, log: trail.Log, secrets: trail.Secrets, trail: trail, guard: bounds, proofs: proofs,
		newcomers: guard.NewAllowance(newcomersPerMinute), fetched: fetched,
	}
}

// Identity returns an identity of the owner's account.
//
//	NotFound: there is none with this BAP id, or it is somebody else's
func (s *Accounts) Identity(ctx context.Context, owner authz.Owner, bapID string) (authz.Identity, error) {
	identity, err := s.store.Identity(ctx, bapID)
	if err != nil {
		return authz.Identity{}, contract.OrNotFound(err, noSuchIdentity)
	}
	if identity.AccountID != owner.AccountID {
		return authz.Identity{}, authz.Refuse(authz.NotFound, noSuchIdentity)
	}
	return identity, nil
}

const noSuchIdentity = "this account has no such identity"

// IdentityOfKey is the identity of a member key, as anybody can compute it.
//
//	InvalidRequest: it is no key
func IdentityOfKey(memberKey string) (authz.Identity, error) {
	bapID, err := proof.BAPID(memberKey)
	if err != nil {
		return authz.Identity{}, authz.RefuseBecause(authz.InvalidRequest, "pubkey must be a compressed public key in hex", err)
	}
	return authz.Identity{BAPID: bapID, MemberKey: strings.ToLower(memberKey)}, nil
}

// Identities returns the identities of the owner's account.
func (s *Accounts) Identities(ctx context.Context, owner authz.Owner) ([]authz.Identity, error) {
	return s.store.Identities(ctx, owner.AccountID, authz.ListedAtMost)
}

// LastIdentity is the identity as which a client was allowed something the last time that the
// owner did so; empty: they never did, or it is none of theirs any more.
func (s *Accounts) LastIdentity(ctx context.Context, owner authz.Owner, clientID string) (bapID string, err error) {
	grants, err := s.store.Grants(ctx, owner.AccountID, contract.GrantList{ClientID: clientID, Limit: 1})
	if err != nil || len(grants) == 0 {
		return "", err
	}
	identity, err := s.Identity(ctx, owner, grants[0].BAPID)
	if errors.Is(err, authz.NotFound) {
		return "", nil
	}
	return identity.BAPID, err
}

// How long what an owner says of themselves may be, in characters as a reader counts them;
// a picture's address in bytes.
const (
	MaxName                 = 60
	maxDescriptionGraphemes = 280
	maxPictureURL           = 1024
)

// SetProfile replaces the profile of one of the owner's identities. The request
// must be signed by that very identity, so that a stolen session cannot rename
// its owner.
//
//	Unauthorized: the owner came with a session
//	InvalidRequest: the picture is not an https URL
//	Forbidden: bapID is not the identity that signed
func (s *Accounts) SetProfile(ctx context.Context, signer authz.Owner, bapID string, p authz.Profile) (authz.Identity, error) {
	if !signer.Signed() {
		return authz.Identity{}, authz.Refuse(authz.Unauthorized, "a profile is set by a request signed with the identity's member key: send X-Auth-Token")
	}
	if bapID != signer.BAPID {
		return authz.Identity{}, authz.Refuse(authz.Forbidden, "bapId is not the identity that signed")
	}
	p.Name = authz.CleanText(p.Name, MaxName)
	p.GivenName = authz.CleanText(p.GivenName, MaxName)
	p.FamilyName = authz.CleanText(p.FamilyName, MaxName)
	p.Description = authz.CleanText(p.Description, maxDescriptionGraphemes)
	if !validPicture(p.Picture) {
		return authz.Identity{}, authz.Refuse(authz.InvalidRequest, "picture must be an https URL of at most 1024 characters")
	}
	event, err := s.trail.Event(signer, authz.EventProfileSet, p.Name)
	if err != nil {
		return authz.Identity{}, err
	}
	identity, err := s.store.Identity(ctx, bapID)
	if err != nil {
		return authz.Identity{}, err
	}
	identity.Profile = p
	if err := s.store.SetProfile(ctx, bapID, p, event); err != nil {
		return authz.Identity{}, err
	}
	s.log.InfoContext(ctx, "profile set", authz.By(signer))
	return identity, nil
}

func validPicture(picture string) bool {
	if picture == "" {
		return true
	}
	u, err := url.Parse(picture)
	return err == nil && len(picture) <= maxPictureURL && u.Scheme == "https" && u.Host != "" && u.User == nil
}
