package contract

import (
	"context"
	"time"

	"countersign.dev/internal/authz"
)

// AccountStore keeps accounts with what is theirs: identities, passkeys, a backup for
// each identity, and the events that all operations add to.
type AccountStore interface {
	// CreateAccount stores a new account with its first identity.
	//	ErrExists: the identity belongs to an account already
	//	ErrKeyTaken: its key is a living agent's; as for LinkIdentity
	CreateAccount(ctx context.Context, a authz.Account, first authz.Identity) error
	// Account returns the account with this id.
	//	ErrNotFound
	Account(ctx context.Context, id string) (authz.Account, error)
	// Identity returns the identity with this BAP id.
	//	ErrNotFound
	Identity(ctx context.Context, bapID string) (authz.Identity, error)
	// Identities returns an account's identities, oldest first, at most limit.
	Identities(ctx context.Context, accountID string, limit int) ([]authz.Identity, error)
	// LinkIdentity adds an identity to the account of the identity that vouches for
	// it, which must be the account's still. Concurrent calls at one server do not
	// get past the limit.
	//	ErrNotFound: this account has no identity that is called voucher
	//	ErrExists: the identity belongs to an account already
	//	ErrFull: the account has limit identities or more
	//	ErrKeyTaken
	LinkIdentity(ctx context.Context, i authz.Identity, voucher string, limit int, e NewEvent) error
	// RemoveIdentity takes an identity out of its account, at the request of
	// another identity of the account. In the same transaction end its sessions and
	// what they were reviewing, its passkeys, its backup and the account's consents as it, and its
	// grants that are alive at r.At are revoked. Of two identities that remove each other at once,
	// one stays. Its Departure is kept; where there is one of the same identity and account
	// it is replaced, but for Since if that was earlier. Of an account's those with the
	// earliest Since are kept.
	//	ErrNotFound: this account has not both identities, or they are one
	RemoveIdentity(ctx context.Context, r IdentityRemoval) error
	// Departures returns the departures of an identity from all accounts, by Since, the
	// earliest first, at most limit.
	Departures(ctx context.Context, bapID string, limit int) ([]authz.Departure, error)
	// SetProfile replaces the profile of an identity.
	//	ErrNotFound
	SetProfile(ctx context.Context, bapID string, p authz.Profile, e NewEvent) error

	// AddPasskey stores a passkey. Concurrent calls do not get past the limit.
	//	ErrExists: its id is taken, by any account
	//	ErrFull: its account has limit passkeys or more
	//	ErrNotFound: its account has no such identity
	AddPasskey(ctx context.Context, p authz.Passkey, limit int, e NewEvent) error
	// Passkey returns the passkey with this id.
	//	ErrNotFound
	Passkey(ctx context.Context, id string) (authz.Passkey, error)
	// Passkeys returns an account's passkeys, oldest first, at most limit.
	Passkeys(ctx context.Context, accountID string, limit int) ([]authz.Passkey, error)
	// RemovePasskey deletes a passkey of this account. In the same transaction end
	// the sessions that it began and what they were reviewing, the consents that they gave
	// are forgotten, and the grants that they approved are revoked if they are alive at now. Sessions and grants of
	// which is not known which of the identity's passkeys it was count as its own.
	//	ErrNotFound
	RemovePasskey(ctx context.Context, accountID, id string, now time.Time, e NewEvent) error

	// SaveBackup stores a backup in place of the one its identity had. The identity
	// that signed for it must be the account's still.
	//	ErrNotFound: this account has no such identity, or none that is called signer
	SaveBackup(ctx context.Context, b authz.Backup, signer string, e NewEvent) error
	// Backup returns the backup of an identity of this account.
	//	ErrNotFound
	Backup(ctx context.Context, accountID, bapID string) (authz.Backup, error)
	// Backups returns an account's backups without their texts, by BAP id, at most
	// limit.
	Backups(ctx context.Context, accountID string, limit int) ([]authz.Backup, error)
	// RemoveBackup deletes the backup of an identity of this account, under the same
	// condition.
	//	ErrNotFound: as for SaveBackup
	RemoveBackup(ctx context.Context, accountID, bapID, signer string, e NewEvent) error

	// Events returns an account's events behind a position, newest first and of one time
	// the one stored last, at most limit. Where the position's event is gone, all of its
	// time are behind it.
	Events(ctx context.Context, accountID string, after Position, limit int) ([]authz.Event, error)
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
