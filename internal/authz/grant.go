package authz

import (
	"context"
	"time"
)

// GrantStore keeps grants, their receipts and refresh tokens.
type GrantStore interface {
	// Grant returns the grant with this id, dead or alive.
	//	ErrNotFound
	Grant(ctx context.Context, id string) (Grant, error)
	// LiveGrant returns a grant that at now is neither revoked nor expired and
	// whose account is not disabled, with its identity.
	//	ErrNotFound
	LiveGrant(ctx context.Context, id string, now time.Time) (Grant, Identity, error)
	// Grants returns a part of an account's grants, newest first.
	Grants(ctx context.Context, accountID string, l GrantList) ([]Grant, error)
	// UseGrant sets the LastUsedAt of a grant that is alive at now, unless it is as late
	// already. Of any other nothing is set, and it is no error.
	UseGrant(ctx context.Context, id string, now time.Time) error
	// RevokeGrant marks a grant revoked at r.At; one revoked before keeps its time,
	// and there is no event. In the same transaction it notes r.AccountID's report
	// of each subject in r.Reported, whether revoked before or not.
	//	ErrNotFound
	RevokeGrant(ctx context.Context, r Revocation) error
	// RevokeGrants revokes an account's grants that are alive at now and returns
	// how many. There is one event, and none if nothing was alive.
	RevokeGrants(ctx context.Context, accountID string, now time.Time, e NewEvent) (int, error)
	// Receipt returns the receipt of a signed approval.
	//	ErrNotFound: no such grant, or it was approved without a signature
	Receipt(ctx context.Context, grantID string) (string, error)
	// RefreshToken returns a refresh token that expires after now, rotated or not.
	//	ErrNotFound
	RefreshToken(ctx context.Context, token Hash, now time.Time) (RefreshToken, error)
	// RotateRefreshToken replaces the token r.Token by r.Successor in one
	// transaction, forgets r.Forgotten if it is the one of the same grant that
	// r.Token replaced, and sets the grant's LastUsedAt to r.At. If the token was
	// rotated before, but at most r.Grace before r.At, to this same successor,
	// and the successor has not been rotated itself, nothing changes and the call
	// succeeds; so concurrent calls with one token end with one successor.
	//	ErrNotFound: no such token, expired at r.At, or its grant is not alive
	//	ErrReused: rotated before and outside the grace; the grant is now revoked,
	//	and the event r.Reuse stored
	RotateRefreshToken(ctx context.Context, r Rotation) error
}

// How an approval was proved, the `acr` of tokens: by a signature over the very
// approval, or by a session that a BAP signature or a passkey began.
const (
	ACRSession   = "urn:countersign:acr:session"
	ACRPasskey   = "urn:countersign:acr:passkey"
	ACRSignature = "urn:countersign:acr:signature"
)

// Grant is what an owner allowed a client. Every token belongs to one grant.
type Grant struct {
	// ID is the id of the device request it came from.
	ID        string
	AccountID string
	ClientID  string
	Scope     string
	// BAPID and MemberKey name the identity whose control was proved in the
	// sign-in or approval behind this grant. MemberKey is compressed, in hex.
	BAPID     string
	MemberKey string
	ACR       string
	// Passkey is the passkey whose session approved, or empty.
	Passkey string
	// Nonce is the OpenID Connect nonce of the request.
	Nonce string
	// Seen and Says are those of the device request.
	Seen Seen
	Says DeviceSays
	// AuthTime is when the owner proved the identity.
	AuthTime   time.Time
	CreatedAt  time.Time
	ExpiresAt  time.Time
	LastUsedAt time.Time // zero: never
	RevokedAt  time.Time // zero: alive
}

// AliveAt reports whether the grant is neither revoked nor expired.
func (g Grant) AliveAt(now time.Time) bool {
	return g.RevokedAt.IsZero() && now.Before(g.ExpiresAt)
}

// RefreshToken is a refresh token as it is kept.
type RefreshToken struct {
	Token   Hash
	GrantID string
	// ExpiresAt is the idle expiry; the grant's ExpiresAt is the absolute one.
	ExpiresAt time.Time
}

// GrantList is which of an account's grants Grants returns.
type GrantList struct {
	// AliveAt leaves out those that are over then; zero leaves out none.
	AliveAt time.Time
	After   Position
	Limit   int
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
	Token     Hash
	Successor RefreshToken
	// Forgotten is the token before Token, which needs no row any more to be known.
	Forgotten Hash
	At        time.Time
	Grace     time.Duration
	// Reuse tells of the grant's end where the token was reused.
	Reuse NewEvent
}

// Tokens is a successful token response (RFC 6749 §5.1).
type Tokens struct {
	AccessToken  Secret
	ExpiresIn    time.Duration
	Scope        string
	IDToken      Secret // empty without the openid scope
	RefreshToken Secret // empty without the offline_access scope
}
