package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/contract"
	"countersign.dev/internal/storage/kept"
)

const consentColumns = `account_id, client_id, bap_id, grant_id, scope, resources, passkey, registration, given_at, expires_at`

// consentFields are where a row's consentColumns go.
func consentFields(n *authz.Consent) []any {
	return []any{
		&n.AccountID, &n.ClientID, &n.BAPID, &n.GrantID, &n.Scope,
		toResources{&n.Resources},
		&n.Passkey,
		toHash{&n.Registration},
		toTime{&n.GivenAt},
		toTime{&n.ExpiresAt},
	}
}

// What an approval says of consents: by which it is let in, or that it gives one. The parameters
// of each part begin with its first and are those of approvalArgs before.
const (
	lettingInParameters = 4
	givingParameters    = 8
)

// Who is let in shares the consent, after the identity: whoever forgets it has done so, or waits
// and finds the grant where they look for it afterwards. Nobody who is let in waits for who forgets.
func standingConsent(first int) string {
	return fmt.Sprintf(`consent AS (
	SELECT FROM consents WHERE account_id = $2 AND client_id = $8 AND bap_id = $10 AND grant_id = $%d AND expires_at > $4 AND EXISTS (SELECT FROM identity)
	FOR SHARE SKIP LOCKED
), `, first)
}

// letIn ends what of the client's grants that were let in is not kept besides this one. A grant that
// is being redeemed at this moment is left, and what somebody took back: its events tell of that.
func letIn(first int) string {
	return fmt.Sprintf(`let_in AS (
	DELETE FROM grants WHERE EXISTS (SELECT FROM decided) AND (id = ANY (ARRAY (
		SELECT id FROM grants WHERE account_id = $2 AND client_id = $8 AND acr = $37 AND revoked_at = 0 AND last_used_at = 0 AND created_at <= $%d FOR UPDATE SKIP LOCKED
	)) OR id = ANY (ARRAY (SELECT id FROM grants WHERE revoked_at = 0 AND id = ANY (ARRAY (
		SELECT id FROM grants WHERE account_id = $2 AND client_id = $8 AND acr = $37 AND revoked_at = 0 AND last_used_at > 0
		ORDER BY expires_at > $4 DESC, last_used_at DESC, id LIMIT $%d OFFSET $%d - 1
	)) FOR UPDATE SKIP LOCKED))) RETURNING id
), let_in_tokens AS (
	DELETE FROM refresh_tokens USING let_in WHERE grant_id = let_in.id
), let_in_events AS (
	DELETE FROM events USING let_in WHERE account_id = $2 AND grant_id = let_in.id
), `, first+1, first+3, first+2)
}

func lettingInArgs(l contract.LettingIn) []any {
	return []any{l.By, kept.Time(l.Unused), l.Keep.Most, l.Keep.AtOnce}
}

func giveConsent(first int) string {
	return fmt.Sprintf(`given AS (
	INSERT INTO consents (`+consentColumns+`) SELECT $2, $8, $10, $6, $%d, $%d, $%d, $%d, $%d, $%d FROM decided
	ON CONFLICT (account_id, client_id, bap_id) DO UPDATE SET grant_id = excluded.grant_id, scope = excluded.scope, resources = excluded.resources,
		passkey = excluded.passkey, registration = excluded.registration, given_at = excluded.given_at, expires_at = excluded.expires_at
), outgrown AS (
	DELETE FROM consents WHERE account_id = $2 AND grant_id = ANY (ARRAY (SELECT grant_id FROM consents WHERE account_id = $2 AND grant_id = ANY (ARRAY (
		SELECT grant_id FROM consents WHERE account_id = $2 AND NOT (client_id = $8 AND bap_id = $10) AND EXISTS (SELECT FROM decided)
		ORDER BY given_at DESC LIMIT $%d OFFSET $%d - 1
	)) FOR UPDATE SKIP LOCKED))
), `, first, first+1, first+2, first+3, first+4, first+5, first+7, first+6)
}

func givingArgs(n authz.Consent, k contract.Keep) []any {
	return []any{
		n.Scope, kept.Resources(n.Resources), n.Passkey, n.Registration[:], kept.Time(n.GivenAt), kept.Time(n.ExpiresAt), k.Most, k.AtOnce,
	}
}

// Consent implements contract.GrantStore.
func (s *Store) Consent(ctx context.Context, accountID, clientID, bapID string, now time.Time) (n authz.Consent, err error) {
	err = s.one(ctx, "reading a consent", `SELECT `+consentColumns+` FROM consents WHERE account_id = $1 AND client_id = $2 AND bap_id = $3 AND expires_at > $4`,
		[]any{accountID, clientID, bapID, kept.Time(now)}, consentFields(&n)...)
	return n, err
}

// Consents implements contract.GrantStore.
func (s *Store) Consents(ctx context.Context, accountID string, now time.Time, limit int) ([]authz.Consent, error) {
	return list(ctx, s, "listing consents", func(row pgx.CollectableRow) (n authz.Consent, err error) {
		err = row.Scan(consentFields(&n)...)
		return n, err
	}, `SELECT `+consentColumns+` FROM consents WHERE account_id = $1 AND expires_at > $2 ORDER BY given_at DESC, grant_id LIMIT $3`, accountID, kept.Time(now), limit)
}

// ForgetConsent implements contract.GrantStore.
func (s *Store) ForgetConsent(ctx context.Context, accountID, grantID string) error {
	return s.change(ctx, "forgetting a consent", accountID, `DELETE FROM consents WHERE account_id = $1 AND grant_id = $2`, accountID, grantID)
}
