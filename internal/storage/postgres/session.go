package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"countersign.dev/internal/authz"
)

const (
	sessionColumns = `token, id, account_id, bap_id, member_key, method, network, user_agent, created_at, expires_at`
	insertSession  = `INSERT INTO sessions (` + sessionColumns + `) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`
	deleteSession  = `DELETE FROM sessions WHERE token = $1`
)

var (
	// A session that somebody else ends at this moment is left to them.
	forgetSessions = fmt.Sprintf(`DELETE FROM sessions WHERE token = ANY (ARRAY (SELECT token FROM sessions WHERE token = ANY (ARRAY (
		SELECT token FROM sessions WHERE account_id = $1 AND token <> $2 ORDER BY created_at DESC LIMIT %d OFFSET %d
	)) FOR UPDATE SKIP LOCKED))`, authz.ForgottenAtOnce, authz.SessionsPerAccount-1)
	insertEvent = `WITH one AS (SELECT), ` + tell(1, "one") + ` SELECT FROM one`
)

// CreateSession implements authz.SessionStore.
func (s *Store) CreateSession(ctx context.Context, n authz.NewSession) error {
	return s.transact(ctx, "creating a session", func(ctx context.Context, tx pgx.Tx) error {
		if n.Passkey != nil {
			if err := noteUse(ctx, tx, n.Session.AccountID, *n.Passkey, n.Session.CreatedAt); err != nil {
				return err
			}
		}
		steps := &pgx.Batch{}
		if n.Replaces != (authz.Hash{}) {
			steps.Queue(deleteSession, n.Replaces[:])
		}
		steps.Queue(insertSession, n.Session.Token[:], n.Session.ID, n.Session.AccountID, n.Session.BAPID, n.Session.MemberKey, n.Session.Method,
			n.Session.Network, n.Session.UserAgent, keptTime(n.Session.CreatedAt), keptTime(n.Session.ExpiresAt))
		steps.Queue(forgetSessions, n.Session.AccountID, n.Session.Token[:])
		steps.Queue(insertEvent, eventArgs(n.Event)...)
		return inserted(tx.SendBatch(ctx, steps).Close())
	})
}

// sessionFields are where a row's sessionColumns go.
func sessionFields(s *authz.Session) []any {
	return []any{
		toHash{&s.Token},
		&s.ID, &s.AccountID, &s.BAPID, &s.MemberKey, &s.Method, &s.Network, &s.UserAgent,
		toTime{&s.CreatedAt},
		toTime{&s.ExpiresAt},
	}
}

// Session implements authz.SessionStore.
func (s *Store) Session(ctx context.Context, token authz.Hash, now time.Time) (found authz.Session, err error) {
	err = s.one(ctx, "reading a session", `SELECT `+sessionColumns+` FROM sessions WHERE token = $1 AND expires_at > $2
		AND NOT (SELECT disabled FROM accounts WHERE accounts.id = account_id)`, []any{token[:], keptTime(now)}, sessionFields(&found)...)
	return found, err
}

// Sessions implements authz.SessionStore.
func (s *Store) Sessions(ctx context.Context, accountID string, now time.Time) ([]authz.Session, error) {
	return list(ctx, s, "listing sessions", func(row pgx.CollectableRow) (n authz.Session, err error) {
		err = row.Scan(sessionFields(&n)...)
		return n, err
	}, `SELECT `+sessionColumns+` FROM sessions WHERE account_id = $1 AND expires_at > $2 ORDER BY created_at DESC, id COLLATE "C"`, accountID, keptTime(now))
}

// DeleteSession implements authz.SessionStore.
func (s *Store) DeleteSession(ctx context.Context, token authz.Hash, e authz.Event) error {
	_, err := s.changeAndTell(ctx, "ending a session", e, `DELETE FROM sessions WHERE token = $12 RETURNING id`, token[:])
	return err
}

// EndSession implements authz.SessionStore.
func (s *Store) EndSession(ctx context.Context, accountID, id string, now time.Time, e authz.Event) error {
	return s.mustChangeAndTell(ctx, "ending a session", e,
		`DELETE FROM sessions WHERE account_id = $12 AND id = $13 AND expires_at > $14 RETURNING id`, accountID, id, keptTime(now))
}

// EndOtherSessions implements authz.SessionStore.
func (s *Store) EndOtherSessions(ctx context.Context, accountID string, keep authz.Hash, now time.Time, e authz.Event) (int, error) {
	return s.changeAndTell(ctx, "ending sessions", e,
		`DELETE FROM sessions WHERE account_id = $12 AND token <> $13 AND expires_at > $14 RETURNING id`, accountID, keep[:], keptTime(now))
}

const (
	insertReview  = `INSERT INTO reviews (id, session, request_id, user_code, facts, expires_at) VALUES ($1, $2, $3, $4, $5, $6)`
	forgetReviews = `DELETE FROM reviews WHERE session = $1 AND id IN (
		SELECT id FROM reviews WHERE session = $1 AND id <> $2 ORDER BY expires_at DESC OFFSET $3)`
)

// CreateReview implements authz.SessionStore.
func (s *Store) CreateReview(ctx context.Context, n authz.Review) error {
	return inserted(s.write(ctx, "storing a review", string(n.Session[:]), func(b *pgx.Batch, _ *error) {
		b.Queue(insertReview, n.ID[:], n.Session[:], n.RequestID, n.UserCode, n.Facts[:], keptTime(n.ExpiresAt))
		b.Queue(forgetReviews, n.Session[:], n.ID[:], authz.ReviewsPerSession-1)
	}))
}

const takeReview = `DELETE FROM reviews WHERE id = $1 AND session = $2 AND expires_at > $3 RETURNING request_id, user_code, facts, expires_at`

// TakeReview implements authz.SessionStore.
func (s *Store) TakeReview(ctx context.Context, id, session authz.Hash, now time.Time) (authz.Review, error) {
	taken := authz.Review{ID: id, Session: session}
	err := s.changeOne(ctx, "taking a review", takeReview, []any{id[:], session[:], keptTime(now)},
		&taken.RequestID, &taken.UserCode, toHash{&taken.Facts}, toTime{&taken.ExpiresAt})
	if err != nil {
		return authz.Review{}, err
	}
	return taken, nil
}
