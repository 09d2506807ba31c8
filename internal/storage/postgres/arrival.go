package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// Arrival is the note that everything was moved in here, but the source does not
// know yet: while it is there, no server uses the database. Otherwise two servers
// could both believe to have the newest data.
type Arrival struct {
	// Source names what was moved, Token the move.
	Source, Token string
}

// errArrival refuses a database that the end of a move has not reached.
var errArrival = errors.New("countersign migrate into this database did not come to its end: run it once more")

// arrival returns the note, or nil. queryRow is that of a connection or a transaction.
func arrival(ctx context.Context, queryRow func(ctx context.Context, sql string, args ...any) pgx.Row) (*Arrival, error) {
	var there bool
	if err := queryRow(ctx, `SELECT to_regclass(quote_ident(current_schema()) || '.moving_in') IS NOT NULL`).Scan(&there); !there {
		return nil, err
	}
	var a Arrival
	err := queryRow(ctx, `SELECT source, token FROM moving_in`).Scan(&a.Source, &a.Token)
	return &a, err
}

// refuseArrival fails while the note is there.
func (s *Store) refuseArrival(ctx context.Context) error {
	var left *Arrival
	err := s.transact(ctx, "opening the database", func(ctx context.Context, tx pgx.Tx) (err error) {
		left, err = arrival(ctx, tx.QueryRow)
		return err
	})
	if err == nil && left != nil {
		return fmt.Errorf("%w (it came from %s)", errArrival, left.Source)
	}
	return err
}
