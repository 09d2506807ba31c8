package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"countersign.dev/internal/authz"
)

const eventColumns = `id, account_id, at, kind, bap_id, client_id, grant_id, acr, network, user_agent, subject`

func eventArgs(e authz.Event) []any {
	return []any{
		e.ID, e.AccountID, keptTime(e.At), string(e.Kind), e.BAPID, e.ClientID, e.GrantID, e.ACR, e.Network, e.UserAgent, e.Subject,
	}
}

// changeAndTell runs a statement that changes something and stores one event if
// it did, and says how many rows it changed. The statement is written for that:
// its parameters begin after those of the event, the first finds what it changes,
// and it returns its rows.
func (s *Store) changeAndTell(ctx context.Context, operation string, e authz.Event, statement string, args ...any) (int, error) {
	return s.exec(ctx, operation, rowOf(args), `WITH changed AS (`+statement+`), told AS (
		INSERT INTO events (`+eventColumns+`) SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11 FROM (SELECT FROM changed LIMIT 1) AS once
	) SELECT FROM changed`, append(eventArgs(e), args...)...)
}

// mustChangeAndTell is changeAndTell for a statement that must change a row.
//
//	authz.ErrNotFound: it changed none
func (s *Store) mustChangeAndTell(ctx context.Context, operation string, e authz.Event, statement string, args ...any) error {
	n, err := s.changeAndTell(ctx, operation, e, statement, args...)
	if err == nil && n == 0 {
		return authz.ErrNotFound
	}
	return err
}

// Events implements authz.EventStore.
func (s *Store) Events(ctx context.Context, accountID string, limit int) ([]authz.Event, error) {
	return list(ctx, s, "listing events", func(row pgx.CollectableRow) (e authz.Event, err error) {
		err = row.Scan(&e.ID, &e.AccountID, toTime{&e.At}, (*string)(&e.Kind), &e.BAPID, &e.ClientID, &e.GrantID, &e.ACR, &e.Network, &e.UserAgent, &e.Subject)
		return e, err
	}, `SELECT `+eventColumns+` FROM events WHERE account_id = $1 ORDER BY at DESC, seq DESC LIMIT $2`, accountID, limit)
}
