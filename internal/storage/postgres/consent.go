package postgres

import (
	"context"
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

// What an approval says of consents, of which $2 is the account, $8 the client, $10 the
// identity and $6 the grant: by which it is let in ($30), or that it gives one ($35).
//
// Who is let in shares the consent, after the identity: whoever forgets it has done so, or waits
// and finds the grant where they look for it afterwards. Nobody who is let in waits for who forgets.
const (
	standingConsent = `consent AS (
	SELECT FROM consents WHERE account_id = $2 AND client_id = $8 AND bap_id = $10 AND grant_id = $30 AND expires_at > $4 AND EXISTS (SELECT FROM identity)
	FOR SHARE SKIP LOCKED
)`
	// A grant that is being redeemed at this moment is left, and what somebody took back: its
	// events tell of that.
	letIn = `let_in AS (
	DELETE FROM grants WHERE $30 <> '' AND EXISTS (SELECT FROM decided) AND (id = ANY (ARRAY (
		SELECT id FROM grants WHERE account_id = $2 AND client_id = $8 AND acr = $34 AND revoked_at = 0 AND last_used_at = 0 AND created_at <= $31 FOR UPDATE SKIP LOCKED
	)) OR id = ANY (ARRAY (SELECT id FROM grants WHERE revoked_at = 0 AND id = ANY (ARRAY (
		SELECT id FROM grants WHERE account_id = $2 AND client_id = $8 AND acr = $34 AND revoked_at = 0 AND last_used_at > 0
		ORDER BY expires_at > $4 DESC, last_used_at DESC, id LIMIT $33 OFFSET $32 - 1
	)) FOR UPDATE SKIP LOCKED))) RETURNING id
), let_in_tokens AS (
	DELETE FROM refresh_tokens USING let_in WHERE grant_id = let_in.id
), let_in_events AS (
	DELETE FROM events USING let_in WHERE account_id = $2 AND grant_id = let_in.id
)`
	giveConsent = `given AS (
	INSERT INTO consents (` + consentColumns + `) SELECT $2, $8, $10, $6, $36, $37, $38, $39, $40, $41 FROM decided WHERE $35
	ON CONFLICT (account_id, client_id, bap_id) DO UPDATE SET grant_id = excluded.grant_id, scope = excluded.scope, resources = excluded.resources,
		passkey = excluded.passkey, registration = excluded.registration, given_at = excluded.given_at, expires_at = excluded.expires_at
), outgrown AS (
	DELETE FROM consents WHERE account_id = $2 AND grant_id = ANY (ARRAY (SELECT grant_id FROM consents WHERE account_id = $2 AND grant_id = ANY (ARRAY (
		SELECT grant_id FROM consents WHERE account_id = $2 AND NOT (client_id = $8 AND bap_id = $10) AND $35 AND EXISTS (SELECT FROM decided)
		ORDER BY given_at DESC LIMIT $43 OFFSET $42 - 1
	)) FOR UPDATE SKIP LOCKED))
)`
	// eventOfApproval is the first parameter of an approval's event.
	eventOfApproval = 44
)

// consentArgs are the parameters from $30 on.
func consentArgs(a contract.Approval) ([]any, error) {
	by, given := contract.LettingIn{Keep: contract.KeepAtMost(1)}, authz.Consent{}
	if a.LetIn != nil {
		by = *a.LetIn
	}
	keep := contract.KeepAtMost(1)
	if a.Consent != nil {
		given, keep = *a.Consent, a.ConsentsKeep
	}
	return []any{
		by.By, kept.Time(by.Unused), by.Keep.Most, by.Keep.AtOnce, authz.ACRBefore,
		a.Consent != nil, given.Scope, kept.Resources(given.Resources), given.Passkey, given.Registration[:], kept.Time(given.GivenAt), kept.Time(given.ExpiresAt),
		keep.Most, keep.AtOnce,
	}, contract.Bounded(by.Keep, keep)
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
