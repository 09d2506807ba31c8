package contract

import (
	"context"
	"time"

	"countersign.dev/internal/authz"
)

// GrantStore keeps grants, their receipts and refresh tokens, and the consents that
// approvals leave.
type GrantStore interface {
	// Grant returns the grant with this id, dead or alive.
	//	ErrNotFound
	Grant(ctx context.Context, id string) (authz.Grant, error)
	// LiveGrant returns a grant that at now is neither revoked nor expired, nor one above it,
	// and whose account is not disabled, with its identity.
	//	ErrPaused: it, or one above it; the grant and its identity are returned
	//	ErrNotFound
	LiveGrant(ctx context.Context, id string, now time.Time) (authz.Grant, authz.Identity, error)
	// GrantAlive returns a grant that LiveGrant would return, for whoever has no use for
	// the identity.
	//	ErrPaused
	//	ErrNotFound
	GrantAlive(ctx context.Context, id string, now time.Time) (authz.Grant, error)
	// Grants returns a part of an account's grants, newest first.
	Grants(ctx context.Context, accountID string, l GrantList) ([]authz.Grant, error)
	// UseGrant sets the LastUsedAt of a grant that is alive at now, unless it is as late
	// already. Of any other nothing is set, and it is no error.
	UseGrant(ctx context.Context, id string, now time.Time) error
	// RevokeGrant marks a grant revoked at r.At; one revoked before keeps its time,
	// and there is no event. In the same transaction it notes r.AccountID's report
	// of each subject in r.Reported, and forgets the account's consents for the grant's client,
	// whether revoked before or not.
	//	ErrNotFound
	RevokeGrant(ctx context.Context, r Revocation) error
	// RevokeGrants revokes an account's grants that are alive at now and returns
	// how many. There is one event, and none if nothing was alive. In the same transaction
	// it forgets all consents of the account, so that no client that was let in by one keeps a
	// grant.
	RevokeGrants(ctx context.Context, accountID string, now time.Time, e NewEvent) (int, error)
	// Receipt returns the receipt of a signed approval.
	//	ErrNotFound: no such grant, or it was approved without a signature
	Receipt(ctx context.Context, grantID string) (string, error)
	// RefreshToken returns a refresh token that expires after now, rotated or not.
	//	ErrNotFound
	RefreshToken(ctx context.Context, token authz.Hash, now time.Time) (authz.RefreshToken, error)
	// RotateRefreshToken replaces the token r.Token by r.Successor in one
	// transaction, forgets r.Forgotten if it is the one of the same grant that
	// r.Token replaced, and sets the grant's LastUsedAt to r.At. If the token was
	// rotated before, but at most r.Grace before r.At, to a successor of this same name,
	// and the successor has not been rotated itself, nothing changes and the call
	// succeeds; so concurrent calls with one token end with one successor.
	//	ErrNotFound: no such token, expired at r.At, or its grant, or one above it, is not alive
	//	ErrPaused: its grant or one above it is paused; nothing changes
	//	ErrReused: rotated before and outside the grace; the grant is now revoked as by
	//	RevokeGrant, and the event r.Reuse stored
	RotateRefreshToken(ctx context.Context, r Rotation) error

	// Consent returns the account's consent for a client and an identity that ends after now.
	//	ErrNotFound
	Consent(ctx context.Context, accountID, clientID, bapID string, now time.Time) (authz.Consent, error)
	// Consents returns an account's consents that end after now, newest first, at most limit.
	Consents(ctx context.Context, accountID string, now time.Time, limit int) ([]authz.Consent, error)
	// ForgetConsent deletes the account's consent that a grant gave.
	//	ErrNotFound
	ForgetConsent(ctx context.Context, accountID, grantID string) error
}

// GrantList is which of an account's grants Grants returns.
type GrantList struct {
	// AliveAt leaves out those that are over then; zero leaves out none.
	AliveAt time.Time
	// ClientID leaves out those to other clients; empty leaves out none.
	ClientID string
	// Agents leaves out those that are no agent's, and Parent those that are not right below
	// that grant; empty leaves out none.
	Agents bool
	Parent string
	After  Position
	Limit  int
}

// Revocation is what RevokeGrant stores.
type Revocation struct {
	GrantID string
	At      time.Time
	Event   NewEvent
	// AccountID reports the subjects in Reported, counts as Reporter, and has Keep reports;
	// all are empty when nothing is reported.
	AccountID string
	Reported  []string
	Reporter  string
	Keep      Keep
}

// Rotation is what RotateRefreshToken stores.
type Rotation struct {
	Token     authz.Hash
	Successor authz.RefreshToken
	// Forgotten is the token before Token, which needs no row any more to be known.
	Forgotten authz.Hash
	At        time.Time
	Grace     time.Duration
	// Reuse tells of the grant's end where the token was reused.
	Reuse NewEvent
}
