package passkey

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/account"
	"countersign.dev/internal/authz/audit"
	"countersign.dev/internal/authz/contract"
	"countersign.dev/internal/authz/guard"
	"countersign.dev/internal/authz/secret"
)

// most is how many passkeys an account may have.
const most = 20

// Passkeys are the WebAuthn credentials of accounts.
type Passkeys struct {
	store    contract.Store
	now      func() time.Time
	log      *slog.Logger
	secrets  secret.Secrets
	trail    audit.Trail
	guard    *guard.Guard
	accounts *account.Accounts
	party    *relyingParty // nil where the issuer can have none
}

// New makes the passkeys of a server. One whose issuer names an address has none.
func New(store contract.Store, settings authz.Settings, trail audit.Trail, guard *guard.Guard, accounts *account.Accounts) (*Passkeys, error) {
	party, err := newRelyingParty(settings.Issuer, trail.Secrets.Rand)
	if err != nil {
		return nil, fmt.Errorf("passkeys: %w", err)
	}
	return &Passkeys{store: store, now: trail.Now, log: trail.Log, secrets: trail.Secrets, trail: trail, guard: guard, accounts: accounts, party: party}, nil
}

// List returns the passkeys of the owner's account, oldest first.
func (s *Passkeys) List(ctx context.Context, owner authz.Owner) ([]authz.Passkey, error) {
	return s.store.Passkeys(ctx, owner.AccountID, authz.ListedAtMost)
}

// Remove removes a passkey of the owner's account: it signs in no more, and
// its sessions and what they allowed are over. Any session may do that: whoever has
// one takes away nothing that its owner cannot add again.
//
//	NotFound: there is none with this id, or it is somebody else's
func (s *Passkeys) Remove(ctx context.Context, owner authz.Owner, id string) error {
	p, err := s.store.Passkey(ctx, id) // for its name; whose it is, the removal checks
	if err != nil {
		return contract.OrNotFound(err, noSuchPasskey)
	}
	event, err := s.accounts.NewWayEvent(ctx, owner, authz.EventPasskeyRemoved, p.Name)
	if err != nil {
		return err
	}
	event.BAPID = p.BAPID
	if err := s.store.RemovePasskey(ctx, owner.AccountID, id, s.now(), event); err != nil {
		return contract.OrNotFound(err, noSuchPasskey)
	}
	s.log.InfoContext(ctx, "passkey removed", "passkey", id, authz.By(owner))
	return nil
}

const noSuchPasskey = "you have no such passkey"

var (
	errTooManyPasskeys = authz.Refuse(authz.AccountFull, "an account has 20 passkeys at most: remove one first")
	errPasskeyExists   = authz.Refuse(authz.InvalidRequest, "this passkey is here already")
)
