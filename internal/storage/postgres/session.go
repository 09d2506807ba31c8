package postgres

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/contract"
	"countersign.dev/internal/storage/kept"
)

const sessionColumns = `token, id, account_id, bap_id, member_key, method, network, user_agent, created_at, expires_at, passkey, news_since`

var (
	// A session that somebody else ends at this moment is left to them.
	forgetSessions = `DELETE FROM sessions WHERE token = ANY (ARRAY (SELECT token FROM sessions WHERE token = ANY (ARRAY (
		SELECT token FROM sessions WHERE account_id = $3 AND token <> $14 AND EXISTS (SELECT FROM begun) ORDER BY created_at DESC LIMIT $19 OFFSET $18 - 1
	)) FOR UPDATE SKIP LOCKED))`
	// The parameters after those of the session are of the passkey
	// that signs in, whose id is empty where none does. Its counter must grow, except
	// that authenticators without one always say 0. The identity is locked, so that it
	// is removed before, or afterwards with the session; of sign-ins with its key that
	// come at once, one notes the time and none waits.
	createSession = `
WITH identity AS (
	SELECT FROM identities WHERE bap_id = $4 AND account_id = $3 FOR KEY SHARE
), used AS (
	UPDATE passkeys SET sign_count = $12, credential = $13, last_used_at = $9
	WHERE id = $11 AND account_id = $3 AND (sign_count < $12 OR (sign_count = 0 AND $12 = 0)) AND EXISTS (SELECT FROM identity)
	RETURNING id
), begun AS (
	INSERT INTO sessions (` + sessionColumns + `)
	SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $15, $16 FROM identity WHERE $11 = '' OR EXISTS (SELECT FROM used)
	RETURNING token
), noted AS (
	UPDATE identities SET signed_in_at = $9 WHERE bap_id = ANY (ARRAY (
		SELECT bap_id FROM identities WHERE bap_id = $4 AND signed_in_at < $17 AND $11 = '' AND EXISTS (SELECT FROM begun) FOR NO KEY UPDATE SKIP LOCKED
	))
), ended AS (
	DELETE FROM sessions WHERE token = $14 AND EXISTS (SELECT FROM begun)
), fewer AS (
	` + forgetSessions + `
), ` + tell(20, "begun") + `
SELECT FROM begun`
)

// CreateSession implements contract.SessionStore.
func (s *Store) CreateSession(ctx context.Context, n contract.NewSession) error {
	if err := contract.Bounded(n.Keep, n.Event.Keep); err != nil {
		return err
	}
	var used contract.PasskeyUse
	if n.Passkey != nil {
		used = *n.Passkey
	}
	args := andEvent(n.Event, n.Session.Token[:], n.Session.ID, n.Session.AccountID, n.Session.BAPID, n.Session.MemberKey, n.Session.Method,
		n.Session.Network, n.Session.UserAgent, kept.Time(n.Session.CreatedAt), kept.Time(n.Session.ExpiresAt),
		used.ID, int64(used.SignCount), used.Credential, n.Replaces[:],
		n.Session.Passkey, kept.Time(n.Session.NewsSince), kept.Time(n.SignedInBefore), n.Keep.Most, n.Keep.AtOnce)
	begun, err := s.exec(ctx, "creating a session", cmp.Or(used.ID, string(n.Replaces[:])), createSession, args...)
	if err = changed(begun, err); errors.Is(err, contract.ErrNotFound) && n.Passkey != nil {
		return s.whyNotUsed(ctx, n.Session.AccountID, used.ID)
	}
	return err
}

// sessionFields are where a row's sessionColumns go.
func sessionFields(s *authz.Session) []any {
	return []any{
		toHash{&s.Token},
		&s.ID, &s.AccountID, &s.BAPID, &s.MemberKey, &s.Method, &s.Network, &s.UserAgent,
		toTime{&s.CreatedAt},
		toTime{&s.ExpiresAt},
		&s.Passkey,
		toTime{&s.NewsSince},
	}
}

// Session implements contract.SessionStore.
func (s *Store) Session(ctx context.Context, token authz.Hash, now time.Time) (found authz.Session, err error) {
	err = s.one(ctx, "reading a session", `SELECT `+sessionColumns+` FROM sessions WHERE token = $1 AND expires_at > $2
		AND NOT (SELECT disabled FROM accounts WHERE accounts.id = account_id)`, []any{token[:], kept.Time(now)}, sessionFields(&found)...)
	return found, err
}

// Sessions implements contract.SessionStore.
func (s *Store) Sessions(ctx context.Context, accountID string, now time.Time, limit int) ([]authz.Session, error) {
	return list(ctx, s, "listing sessions", func(row pgx.CollectableRow) (n authz.Session, err error) {
		err = row.Scan(sessionFields(&n)...)
		return n, err
	}, `SELECT `+sessionColumns+` FROM sessions WHERE account_id = $1 AND expires_at > $2 ORDER BY created_at DESC, id COLLATE "C" LIMIT $3`,
		accountID, kept.Time(now), limit)
}

// DeleteSession implements contract.SessionStore.
func (s *Store) DeleteSession(ctx context.Context, token authz.Hash, e contract.NewEvent) error {
	_, err := s.changeAndTell(ctx, "ending a session", string(token[:]), e, `DELETE FROM sessions WHERE token = $1 RETURNING id`, token[:])
	return err
}

// EndSession implements contract.SessionStore.
func (s *Store) EndSession(ctx context.Context, accountID, id string, now time.Time, e contract.NewEvent) error {
	return s.mustChangeAndTell(ctx, "ending a session", accountID, e,
		`DELETE FROM sessions WHERE account_id = $1 AND id = $2 AND expires_at > $3 RETURNING id`, accountID, id, kept.Time(now))
}

// EndOtherSessions implements contract.SessionStore.
func (s *Store) EndOtherSessions(ctx context.Context, accountID string, keep authz.Hash, now time.Time, e contract.NewEvent) (int, error) {
	return s.changeAndTell(ctx, "ending sessions", accountID, e,
		`DELETE FROM sessions WHERE account_id = $1 AND token <> $2 AND expires_at > $3 RETURNING id`, accountID, keep[:], kept.Time(now))
}
