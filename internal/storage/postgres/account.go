package postgres

import (
	"context"
	"encoding/json"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"countersign.dev/internal/authz"
)

const identityColumns = `bap_id, account_id, member_key, created_at, profile`

func identityArgs(i authz.Identity) []any {
	return []any{i.BAPID, i.AccountID, i.MemberKey, keptTime(i.CreatedAt), toJSON(i.Profile)}
}

// What an identity refers to is looked for when the whole statement is done.
const createAccount = `
WITH first AS (
	INSERT INTO identities (` + identityColumns + `) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING RETURNING bap_id
)
INSERT INTO accounts (id, created_at, disabled) SELECT $6, $7, $8 FROM first`

// CreateAccount implements authz.AccountStore.
func (s *Store) CreateAccount(ctx context.Context, a authz.Account, first authz.Identity) error {
	return s.insert(ctx, "creating an account", createAccount, append(identityArgs(first), a.ID, keptTime(a.CreatedAt), a.Disabled)...)
}

// Account implements authz.AccountStore.
func (s *Store) Account(ctx context.Context, id string) (a authz.Account, err error) {
	err = s.one(ctx, "reading an account", `SELECT id, created_at, disabled FROM accounts WHERE id = $1`, []any{id},
		&a.ID, toTime{&a.CreatedAt}, &a.Disabled)
	return a, err
}

// identityFields are where a row's identityColumns go.
func identityFields(i *authz.Identity) []any {
	return []any{&i.BAPID, &i.AccountID, &i.MemberKey, toTime{&i.CreatedAt}, toProfile{&i.Profile}}
}

// toProfile reads a profile.
type toProfile struct{ into *authz.Profile }

// ScanText implements pgtype.TextScanner.
func (p toProfile) ScanText(v pgtype.Text) error {
	*p.into = authz.Profile{}
	if v.String == "{}" {
		return nil
	}
	return json.Unmarshal([]byte(v.String), p.into)
}

// Identity implements authz.AccountStore.
func (s *Store) Identity(ctx context.Context, bapID string) (i authz.Identity, err error) {
	err = s.one(ctx, "reading an identity", `SELECT `+identityColumns+` FROM identities WHERE bap_id = $1`, []any{bapID}, identityFields(&i)...)
	return i, err
}

// Identities implements authz.AccountStore.
func (s *Store) Identities(ctx context.Context, accountID string) ([]authz.Identity, error) {
	return list(ctx, s, "listing identities", func(row pgx.CollectableRow) (i authz.Identity, err error) {
		err = row.Scan(identityFields(&i)...)
		return i, err
	}, `SELECT `+identityColumns+` FROM identities WHERE account_id = $1 ORDER BY created_at, bap_id LIMIT $2`, accountID, authz.ListedAtMost)
}

var linkIdentity = `
WITH known AS (
	SELECT EXISTS (SELECT FROM identities WHERE bap_id = $12) AS taken, (SELECT count(*) FROM identities WHERE account_id = $13) AS has
), linked AS (
	INSERT INTO identities (` + identityColumns + `)
	SELECT $12, id, $14, $15, $16 FROM accounts, known WHERE id = $13 AND has < $17
	ON CONFLICT DO NOTHING RETURNING bap_id
), ` + tell(1, "linked") + `
SELECT EXISTS (SELECT FROM linked), taken, has >= $17 FROM known`

// LinkIdentity implements authz.AccountStore. Those of one server take turns and
// count each other; the account is not locked, on which other servers' groups would wait.
func (s *Store) LinkIdentity(ctx context.Context, i authz.Identity, e authz.Event) error {
	var linked, taken, full bool
	err := s.write(ctx, "linking an identity", i.AccountID, func(b *pgx.Batch, outcome *error) {
		queueOne(b, outcome, linkIdentity, append(append(eventArgs(e), identityArgs(i)...), authz.IdentitiesPerAccount), &linked, &taken, &full)
	})
	switch {
	case err != nil || linked:
		return err
	case full && !taken:
		return authz.ErrFull
	}
	if _, err := s.Identity(ctx, i.BAPID); err != nil {
		return err // there is no such account
	}
	return authz.ErrExists
}

// SetProfile implements authz.AccountStore.
func (s *Store) SetProfile(ctx context.Context, bapID string, p authz.Profile, e authz.Event) error {
	return s.mustChangeAndTell(ctx, "setting a profile", e, `UPDATE identities SET profile = $13 WHERE bap_id = $12 RETURNING bap_id`, bapID, toJSON(p))
}
