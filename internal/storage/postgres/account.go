package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/contract"
	"countersign.dev/internal/storage/kept"
)

const identityColumns = `bap_id, account_id, member_key, created_at, network, signed_in_at, since, profile`

func identityArgs(i authz.Identity) []any {
	return []any{i.BAPID, i.AccountID, i.MemberKey, kept.Time(i.CreatedAt), i.Network, kept.Time(i.SignedInAt), kept.Time(i.Since), kept.Profile(i.Profile)}
}

// What an identity refers to is looked for when the whole statement is done.
var createAccount = `
WITH agent AS (
	SELECT ` + agentAlive("$1", "$4") + ` AS living
), first AS (
	INSERT INTO identities (` + identityColumns + `) SELECT $1, $2, $3, $4::bigint, $5, $6, $7, $8 FROM agent WHERE NOT living ON CONFLICT DO NOTHING RETURNING bap_id
), account AS (
	INSERT INTO accounts (id, created_at, disabled) SELECT $9, $10, $11 FROM first
)
SELECT EXISTS (SELECT FROM first), living FROM agent`

// CreateAccount implements contract.AccountStore.
func (s *Store) CreateAccount(ctx context.Context, a authz.Account, first authz.Identity) error {
	args := append(identityArgs(first), a.ID, kept.Time(a.CreatedAt), a.Disabled)
	var created, ofAgent bool
	err := s.write(ctx, "creating an account", first.BAPID, func(b *pgx.Batch, outcome *error) {
		b.Queue(lockKey, first.BAPID)
		queueOne(b, outcome, createAccount, args, &created, &ofAgent)
	})
	switch {
	case err != nil || created:
		return err
	case ofAgent:
		return contract.ErrKeyTaken
	default:
		return contract.ErrExists
	}
}

// Account implements contract.AccountStore.
func (s *Store) Account(ctx context.Context, id string) (a authz.Account, err error) {
	err = s.one(ctx, "reading an account", `SELECT id, created_at, disabled FROM accounts WHERE id = $1`, []any{id},
		&a.ID, toTime{&a.CreatedAt}, &a.Disabled)
	return a, err
}

// identityFields are where a row's identityColumns go.
func identityFields(i *authz.Identity) []any {
	return []any{&i.BAPID, &i.AccountID, &i.MemberKey, toTime{&i.CreatedAt}, &i.Network, toTime{&i.SignedInAt}, toTime{&i.Since}, toProfile{&i.Profile}}
}

// toProfile reads a profile.
type toProfile struct{ into *authz.Profile }

// ScanText implements pgtype.TextScanner.
func (p toProfile) ScanText(v pgtype.Text) (err error) {
	*p.into, err = kept.ProfileOf(v.String)
	return err
}

// Identity implements contract.AccountStore.
func (s *Store) Identity(ctx context.Context, bapID string) (i authz.Identity, err error) {
	err = s.one(ctx, "reading an identity", `SELECT `+identityColumns+` FROM identities WHERE bap_id = $1`, []any{bapID}, identityFields(&i)...)
	return i, err
}

// Identities implements contract.AccountStore.
func (s *Store) Identities(ctx context.Context, accountID string, limit int) ([]authz.Identity, error) {
	return list(ctx, s, "listing identities", func(row pgx.CollectableRow) (i authz.Identity, err error) {
		err = row.Scan(identityFields(&i)...)
		return i, err
	}, `SELECT `+identityColumns+` FROM identities WHERE account_id = $1 ORDER BY created_at, bap_id LIMIT $2`, accountID, limit)
}

// The voucher is locked, so that it is removed before or afterwards.
var linkIdentity = `
WITH voucher AS (
	SELECT FROM identities WHERE bap_id = $9 AND account_id = $2 FOR KEY SHARE
), known AS (
	SELECT EXISTS (SELECT FROM identities WHERE bap_id = $1) AS taken, (SELECT count(*) FROM identities WHERE account_id = $2) AS has, ` + agentAlive("$1", "$4") + ` AS agent
), linked AS (
	INSERT INTO identities (` + identityColumns + `)
	SELECT $1, $2, $3, $4::bigint, $5, $6, $7, $8 FROM voucher, known WHERE has < $10 AND NOT agent
	ON CONFLICT DO NOTHING RETURNING bap_id
), ` + tell(11, "linked") + `
SELECT EXISTS (SELECT FROM linked), EXISTS (SELECT FROM voucher), has >= $10 AND NOT taken, agent FROM known`

// LinkIdentity implements contract.AccountStore. Those of one server take turns and
// count each other; the account is not locked, on which other servers' groups would wait.
func (s *Store) LinkIdentity(ctx context.Context, i authz.Identity, voucher string, limit int, e contract.NewEvent) error {
	if err := contract.Bounded(e.Keep); err != nil {
		return err
	}
	args := andEvent(e, append(identityArgs(i), voucher, limit)...)
	var linked, vouched, full, ofAgent bool
	err := s.write(ctx, "linking an identity", i.BAPID, func(b *pgx.Batch, outcome *error) {
		b.Queue(lockKey, i.BAPID)
		queueOne(b, outcome, linkIdentity, args, &linked, &vouched, &full, &ofAgent)
	})
	switch {
	case err != nil || linked:
		return found(err)
	case !vouched:
		return contract.ErrNotFound
	case ofAgent:
		return contract.ErrKeyTaken
	case full:
		return contract.ErrFull
	default:
		return contract.ErrExists
	}
}

// What an identity carried. It is locked before: who adds to it, signs in or
// approves as it has done so, and is found here, or finds it gone.
var carried = []string{
	`DELETE FROM reviews WHERE session IN (SELECT token FROM sessions WHERE account_id = $1 AND bap_id = $2)`,
	`DELETE FROM sessions WHERE account_id = $1 AND bap_id = $2`,
	`DELETE FROM passkeys WHERE account_id = $1 AND bap_id = $2`,
	`DELETE FROM backups WHERE account_id = $1 AND bap_id = $2`,
	`DELETE FROM consents WHERE account_id = $1 AND bap_id = $2`,
	`DELETE FROM identities WHERE account_id = $1 AND bap_id = $2`,
}

// RemoveIdentity implements contract.AccountStore. The account is locked, so that two
// identities do not remove each other.
func (s *Store) RemoveIdentity(ctx context.Context, r contract.IdentityRemoval) error {
	if err := contract.Bounded(r.Keep, r.Event.Keep); err != nil {
		return err
	}
	return s.transact(ctx, "removing an identity", func(ctx context.Context, tx pgx.Tx) error {
		if r.Signer == r.BAPID || isNoText(r.BAPID) {
			return contract.ErrNotFound
		}
		if err := found(tx.QueryRow(ctx, lockAccount, r.AccountID).Scan()); err != nil {
			return err
		}
		if err := found(tx.QueryRow(ctx, lockIdentity, r.Signer, r.AccountID).Scan()); err != nil {
			return err
		}
		const lockWhole = `SELECT FROM identities WHERE bap_id = $1 AND account_id = $2 FOR UPDATE`
		if err := found(tx.QueryRow(ctx, lockWhole, r.BAPID, r.AccountID).Scan()); err != nil {
			return err
		}
		steps := &pgx.Batch{}
		for _, statement := range carried {
			steps.Queue(statement, r.AccountID, r.BAPID)
		}
		steps.Queue(`UPDATE grants SET revoked_at = $3 WHERE account_id = $1 AND bap_id = $2 AND revoked_at = 0 AND expires_at > $3`,
			r.AccountID, r.BAPID, kept.Time(r.At))
		steps.Queue(noteDeparture, r.BAPID, r.AccountID, kept.Time(r.Since), kept.Time(r.At), r.Signer, r.Network)
		steps.Queue(forgetDepartures, r.AccountID, r.Keep.AtOnce, r.Keep.Most)
		steps.Queue(tellOnce, andEvent(r.Event)...)
		return tx.SendBatch(ctx, steps).Close()
	})
}

const (
	noteDeparture = `INSERT INTO departures (bap_id, account_id, since, left_at, removed_by, network) VALUES ($1, $2, $3, $4, $5, $6)
	ON CONFLICT (bap_id, account_id) DO UPDATE SET since = LEAST(departures.since, $3), left_at = $4, removed_by = $5, network = $6`
	// Those that came into the account last are forgotten.
	forgetDepartures = `DELETE FROM departures WHERE account_id = $1 AND bap_id = ANY (ARRAY (
		SELECT bap_id FROM departures WHERE account_id = $1 ORDER BY since, bap_id LIMIT $2 OFFSET $3))`
)

// Departures implements contract.AccountStore.
func (s *Store) Departures(ctx context.Context, bapID string, limit int) ([]authz.Departure, error) {
	return list(ctx, s, "listing departures", func(row pgx.CollectableRow) (d authz.Departure, err error) {
		err = row.Scan(&d.BAPID, &d.AccountID, toTime{&d.Since}, toTime{&d.LeftAt}, &d.By, &d.Network)
		return d, err
	}, `SELECT bap_id, account_id, since, left_at, removed_by, network FROM departures WHERE bap_id = $1 ORDER BY since, account_id LIMIT $2`,
		bapID, limit)
}

// SetProfile implements contract.AccountStore.
func (s *Store) SetProfile(ctx context.Context, bapID string, p authz.Profile, e contract.NewEvent) error {
	return s.mustChangeAndTell(ctx, "setting a profile", bapID, e, `UPDATE identities SET profile = $2 WHERE bap_id = $1 RETURNING bap_id`, bapID, kept.Profile(p))
}
