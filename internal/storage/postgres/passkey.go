package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"countersign.dev/internal/authz"
)

const passkeyColumns = `id, account_id, bap_id, member_key, name, created_at, last_used_at, sign_count, credential`

const lockAccount = `SELECT FROM accounts WHERE id = $1 FOR NO KEY UPDATE`

var addPasskey = `
WITH known AS (
	SELECT EXISTS (SELECT FROM passkeys WHERE id = $12) AS taken, (SELECT count(*) FROM passkeys WHERE account_id = $13) AS has
), added AS (
	INSERT INTO passkeys (` + passkeyColumns + `)
	SELECT $12, id, $14, $15, $16, $17, $18, $19, $20 FROM accounts, known WHERE id = $13 AND has < $21
	ON CONFLICT DO NOTHING RETURNING id
), ` + tell(1, "added") + `
SELECT EXISTS (SELECT FROM added), taken, has >= $21 FROM known`

// AddPasskey implements authz.PasskeyStore. The account is locked, so that those
// who add to it count one after the other.
func (s *Store) AddPasskey(ctx context.Context, p authz.Passkey, limit int, e authz.Event) error {
	args := append(eventArgs(e), p.ID, p.AccountID, p.BAPID, p.MemberKey, p.Name,
		keptTime(p.CreatedAt), keptTime(p.LastUsedAt), int64(p.SignCount), p.Credential, limit)
	var added, taken, full bool
	err := s.write(ctx, "adding a passkey", p.AccountID, func(b *pgx.Batch, outcome *error) {
		b.Queue(lockAccount, p.AccountID)
		queueOne(b, outcome, addPasskey, args, &added, &taken, &full)
	})
	switch {
	case err != nil || added:
		return err
	case taken:
		return authz.ErrExists
	case full:
		return authz.ErrFull
	default:
		return authz.ErrNotFound
	}
}

// passkeyFields are where a row's passkeyColumns go.
func passkeyFields(p *authz.Passkey) []any {
	return []any{
		&p.ID, &p.AccountID, &p.BAPID, &p.MemberKey, &p.Name, toTime{&p.CreatedAt}, toTime{&p.LastUsedAt}, &p.SignCount, &p.Credential,
	}
}

// Passkey implements authz.PasskeyStore.
func (s *Store) Passkey(ctx context.Context, id string) (p authz.Passkey, err error) {
	err = s.one(ctx, "reading a passkey", `SELECT `+passkeyColumns+` FROM passkeys WHERE id = $1`, []any{id}, passkeyFields(&p)...)
	return p, err
}

// Passkeys implements authz.PasskeyStore.
func (s *Store) Passkeys(ctx context.Context, accountID string) ([]authz.Passkey, error) {
	return list(ctx, s, "listing passkeys", func(row pgx.CollectableRow) (p authz.Passkey, err error) {
		err = row.Scan(passkeyFields(&p)...)
		return p, err
	}, `SELECT `+passkeyColumns+` FROM passkeys WHERE account_id = $1 ORDER BY created_at, id LIMIT $2`, accountID, authz.ListedAtMost)
}

// RemovePasskey implements authz.PasskeyStore.
func (s *Store) RemovePasskey(ctx context.Context, accountID, id string, e authz.Event) error {
	return s.mustChangeAndTell(ctx, "removing a passkey", e, `DELETE FROM passkeys WHERE id = $12 AND account_id = $13 RETURNING id`, id, accountID)
}

// whyNotUsed explains why a sign-in with an account's passkey changed nothing.
func (s *Store) whyNotUsed(ctx context.Context, accountID, id string) error {
	err := s.one(ctx, "reading a passkey", `SELECT FROM passkeys WHERE id = $1 AND account_id = $2`, []any{id, accountID})
	if err != nil {
		return err
	}
	return authz.ErrCounter
}
