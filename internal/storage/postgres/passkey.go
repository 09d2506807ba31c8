package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/contract"
	"countersign.dev/internal/storage/kept"
)

const passkeyColumns = `id, account_id, bap_id, member_key, name, created_at, last_used_at, sign_count, credential, network, vouch`

const (
	lockAccount = `SELECT FROM accounts WHERE id = $1 FOR NO KEY UPDATE`
	// lockIdentity keeps an identity from being removed meanwhile.
	lockIdentity = `SELECT FROM identities WHERE bap_id = $1 AND account_id = $2 FOR KEY SHARE`
)

// The identity is locked, so that it is removed before, or afterwards with the passkey.
var addPasskey = `
WITH identity AS (
	SELECT FROM identities WHERE bap_id = $3 AND account_id = $2 FOR KEY SHARE
), known AS (
	SELECT EXISTS (SELECT FROM passkeys WHERE id = $1) AS taken, (SELECT count(*) FROM passkeys WHERE account_id = $2) AS has
), added AS (
	INSERT INTO passkeys (` + passkeyColumns + `)
	SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11 FROM identity, known WHERE has < $12
	ON CONFLICT DO NOTHING RETURNING id
), ` + tell(13, "added") + `
SELECT EXISTS (SELECT FROM added), EXISTS (SELECT FROM identity), has >= $12 AND NOT taken FROM known`

// AddPasskey implements contract.AccountStore. The account is locked, so that those
// who add to it count one after the other.
func (s *Store) AddPasskey(ctx context.Context, p authz.Passkey, limit int, e contract.NewEvent) error {
	if err := contract.Bounded(e.Keep); err != nil {
		return err
	}
	args := andEvent(e, p.ID, p.AccountID, p.BAPID, p.MemberKey, p.Name,
		kept.Time(p.CreatedAt), kept.Time(p.LastUsedAt), int64(p.SignCount), p.Credential, p.Network, kept.Vouch(p.Vouch), limit)
	var added, there, full bool
	err := s.write(ctx, "adding a passkey", p.AccountID, func(b *pgx.Batch, outcome *error) {
		b.Queue(lockAccount, p.AccountID)
		queueOne(b, outcome, addPasskey, args, &added, &there, &full)
	})
	switch {
	case err != nil || added:
		return err
	case !there:
		return contract.ErrNotFound
	case full:
		return contract.ErrFull
	default:
		return contract.ErrExists
	}
}

// passkeyFields are where a row's passkeyColumns go.
func passkeyFields(p *authz.Passkey) []any {
	return []any{
		&p.ID, &p.AccountID, &p.BAPID, &p.MemberKey, &p.Name,
		toTime{&p.CreatedAt},
		toTime{&p.LastUsedAt},
		&p.SignCount, &p.Credential,
		&p.Network,
		toVouch{&p.Vouch},
	}
}

// toVouch reads the request that added a passkey.
type toVouch struct{ into *authz.Vouch }

// ScanText implements pgtype.TextScanner.
func (v toVouch) ScanText(text pgtype.Text) (err error) {
	*v.into, err = kept.VouchOf(text.String)
	return err
}

// Passkey implements contract.AccountStore.
func (s *Store) Passkey(ctx context.Context, id string) (p authz.Passkey, err error) {
	err = s.one(ctx, "reading a passkey", `SELECT `+passkeyColumns+` FROM passkeys WHERE id = $1`, []any{id}, passkeyFields(&p)...)
	return p, err
}

// Passkeys implements contract.AccountStore.
func (s *Store) Passkeys(ctx context.Context, accountID string, limit int) ([]authz.Passkey, error) {
	return list(ctx, s, "listing passkeys", func(row pgx.CollectableRow) (p authz.Passkey, err error) {
		err = row.Scan(passkeyFields(&p)...)
		return p, err
	}, `SELECT `+passkeyColumns+` FROM passkeys WHERE account_id = $1 ORDER BY created_at, id LIMIT $2`, accountID, limit)
}

// RemovePasskey implements contract.AccountStore.
func (s *Store) RemovePasskey(ctx context.Context, accountID, id string, now time.Time, e contract.NewEvent) error {
	if err := contract.Bounded(e.Keep); err != nil {
		return err
	}
	return s.transact(ctx, "removing a passkey", func(ctx context.Context, tx pgx.Tx) error {
		if isNoText(id) {
			return contract.ErrNotFound
		}
		var bapID string
		// First: who signs in or approves with it has done so, and is found by what
		// follows, or finds it gone.
		err := found(tx.QueryRow(ctx, `DELETE FROM passkeys WHERE id = $1 AND account_id = $2 RETURNING bap_id`, id, accountID).Scan(&bapID))
		if err != nil {
			return err
		}
		steps := &pgx.Batch{}
		steps.Queue(`DELETE FROM reviews WHERE session IN (SELECT token FROM sessions WHERE `+begunByPasskey+`)`, accountID, id, bapID)
		steps.Queue(`DELETE FROM sessions WHERE `+begunByPasskey, accountID, id, bapID)
		steps.Queue(`DELETE FROM consents WHERE account_id = $1 AND passkey = $2`, accountID, id)
		steps.Queue(`UPDATE grants SET revoked_at = $4 WHERE account_id = $1 AND (passkey = $2 OR (passkey = '' AND bap_id = $3 AND acr = $5))
			AND revoked_at = 0 AND expires_at > $4`, accountID, id, bapID, kept.Time(now), authz.ACRPasskey)
		steps.Queue(tellOnce, andEvent(e)...)
		return tx.SendBatch(ctx, steps).Close()
	})
}

// Before 0003 nobody noted which passkey it was.
const begunByPasskey = `account_id = $1 AND (passkey = $2 OR (passkey = '' AND bap_id = $3 AND method = 'passkey'))`

// whyNotUsed explains why a sign-in with an account's passkey changed nothing.
func (s *Store) whyNotUsed(ctx context.Context, accountID, id string) error {
	err := s.one(ctx, "reading a passkey", `SELECT FROM passkeys WHERE id = $1 AND account_id = $2`, []any{id, accountID})
	if err != nil {
		return err
	}
	return contract.ErrCounter
}
