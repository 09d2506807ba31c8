package authz

import (
	"context"
	"time"
)

// AccountStore keeps accounts with what is theirs: identities, passkeys, a backup for
// each identity, and the events that all operations add to.
type AccountStore interface {
	// CreateAccount stores a new account with its first identity.
	//	ErrExists: the identity belongs to an account already
	CreateAccount(ctx context.Context, a Account, first Identity) error
	// Account returns the account with this id.
	//	ErrNotFound
	Account(ctx context.Context, id string) (Account, error)
	// Identity returns the identity with this BAP id.
	//	ErrNotFound
	Identity(ctx context.Context, bapID string) (Identity, error)
	// Identities returns an account's identities, oldest first, at most limit.
	Identities(ctx context.Context, accountID string, limit int) ([]Identity, error)
	// LinkIdentity adds an identity to the account of the identity that vouches for
	// it, which must be the account's still. Concurrent calls at one server do not
	// get past the limit.
	//	ErrNotFound: this account has no identity that is called voucher
	//	ErrExists: the identity belongs to an account already
	//	ErrFull: the account has limit identities or more
	LinkIdentity(ctx context.Context, i Identity, voucher string, limit int, e NewEvent) error
	// RemoveIdentity takes an identity out of its account, at the request of
	// another identity of the account. In the same transaction end its sessions and
	// what they were reviewing, its passkeys and its backup, and its grants that are
	// alive at r.At are revoked. Of two identities that remove each other at once,
	// one stays. Its Departure is kept; where there is one of the same identity and account
	// it is replaced, but for Since if that was earlier. Of an account's those with the
	// earliest Since are kept.
	//	ErrNotFound: this account has not both identities, or they are one
	RemoveIdentity(ctx context.Context, r IdentityRemoval) error
	// Departures returns the departures of an identity from all accounts, by Since, the
	// earliest first, at most limit.
	Departures(ctx context.Context, bapID string, limit int) ([]Departure, error)
	// SetProfile replaces the profile of an identity.
	//	ErrNotFound
	SetProfile(ctx context.Context, bapID string, p Profile, e NewEvent) error

	// AddPasskey stores a passkey. Concurrent calls do not get past the limit.
	//	ErrExists: its id is taken, by any account
	//	ErrFull: its account has limit passkeys or more
	//	ErrNotFound: its account has no such identity
	AddPasskey(ctx context.Context, p Passkey, limit int, e NewEvent) error
	// Passkey returns the passkey with this id.
	//	ErrNotFound
	Passkey(ctx context.Context, id string) (Passkey, error)
	// Passkeys returns an account's passkeys, oldest first, at most limit.
	Passkeys(ctx context.Context, accountID string, limit int) ([]Passkey, error)
	// RemovePasskey deletes a passkey of this account. In the same transaction end
	// the sessions that it began and what they were reviewing, and the grants that
	// they approved are revoked if they are alive at now. Sessions and grants of
	// which is not known which of the identity's passkeys it was count as its own.
	//	ErrNotFound
	RemovePasskey(ctx context.Context, accountID, id string, now time.Time, e NewEvent) error

	// SaveBackup stores a backup in place of the one its identity had. The identity
	// that signed for it must be the account's still.
	//	ErrNotFound: this account has no such identity, or none that is called signer
	SaveBackup(ctx context.Context, b Backup, signer string, e NewEvent) error
	// Backup returns the backup of an identity of this account.
	//	ErrNotFound
	Backup(ctx context.Context, accountID, bapID string) (Backup, error)
	// Backups returns an account's backups without their texts, by BAP id, at most
	// limit.
	Backups(ctx context.Context, accountID string, limit int) ([]Backup, error)
	// RemoveBackup deletes the backup of an identity of this account, under the same
	// condition.
	//	ErrNotFound: as for SaveBackup
	RemoveBackup(ctx context.Context, accountID, bapID, signer string, e NewEvent) error

	// Events returns an account's events behind a position, newest first and of one time
	// the one stored last, at most limit. Where the position's event is gone, all of its
	// time are behind it.
	Events(ctx context.Context, accountID string, after Position, limit int) ([]Event, error)
}

// Account is an owner. Its ID is the `sub` of tokens: opaque, never reassigned.
type Account struct {
	ID        string
	CreatedAt time.Time
	Disabled  bool
}

// Identity is a BAP identity of an account.
type Identity struct {
	BAPID     string
	AccountID string
	// MemberKey is the compressed public key, in hex, whose BAP id this is.
	MemberKey string
	CreatedAt time.Time
	// Network is where it was linked from, coarse; empty where that is not known.
	Network string
	// SignedInAt is when its key last signed in, to the minute; zero: never.
	SignedInAt time.Time
	// Since is when it came into this account for the first time, where it was taken out
	// and linked again; else zero.
	Since   time.Time
	Profile Profile
}

// FirstHere is when the identity came into its account for the first time.
func (i Identity) FirstHere() time.Time {
	if i.Since.IsZero() {
		return i.CreatedAt
	}
	return i.Since
}

// DisplayName is the identity's name, or a short form of its BAP id: clients
// rely on there being one.
func (i Identity) DisplayName() string {
	if i.Profile.Name != "" {
		return i.Profile.Name
	}
	const ends = 4
	if len(i.BAPID) <= 2*ends {
		return i.BAPID
	}
	return i.BAPID[:ends] + "…" + i.BAPID[len(i.BAPID)-ends:]
}

// Profile is what an identity's owner says of it. Empty members are unknown.
type Profile struct {
	Name        string `json:"name,omitempty"`
	GivenName   string `json:"given_name,omitempty"`
	FamilyName  string `json:"family_name,omitempty"`
	Picture     string `json:"picture,omitempty"`
	Description string `json:"description,omitempty"`
}

// Departure is an identity that was taken out of an account, the last time if it was
// more than once. It is kept for as long as events are: its key is told of it, and if
// it is linked again it is as old there as it was (decision 0045).
type Departure struct {
	BAPID     string
	AccountID string
	// Since is when it came into that account for the first time.
	Since  time.Time
	LeftAt time.Time
	// By is the identity that asked for it, Network where it asked from, coarse.
	By      string
	Network string
}

// IdentityRemoval is what RemoveIdentity does.
type IdentityRemoval struct {
	AccountID string
	// BAPID is the identity that goes, Signer the one that asked for it.
	BAPID  string
	Signer string
	At     time.Time
	// Since and Network are its Departure's.
	Since   time.Time
	Network string
	// Keep is of the account's departures.
	Keep  Keep
	Event NewEvent
}

// Passkey is a WebAuthn credential of an account. The identity that linked it is
// the identity it signs in as: its member key signed the credential's addition,
// which makes the passkey a key that the identity delegated (requirements N-09, L-05).
type Passkey struct {
	// ID is the credential id in base64url.
	ID        string
	AccountID string
	BAPID     string
	MemberKey string
	Name      string
	// CreatedAt and LastUsedAt; the latter is zero for a passkey never used.
	CreatedAt  time.Time
	LastUsedAt time.Time
	// Network is where it was added from, coarse; empty where that is not known.
	Network string
	// SignCount is the authenticator's signature counter when it was last used.
	SignCount uint32
	// Credential is the credential record (WebAuthn §4) as JSON.
	Credential []byte
}

// Backup is an identity's encrypted backup, which its owner keeps here, byte for byte
// (attack B-29). The server has no key to it and never sees the password.
type Backup struct {
	AccountID string
	BAPID     string
	// Text is the .bep file; it is empty in lists.
	Text      string
	Size      int // of Text, in bytes
	UpdatedAt time.Time
	// Network is where it was saved from, coarse; empty where that is not known.
	Network string
}
