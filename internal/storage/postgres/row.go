package postgres

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/contract"
	"countersign.dev/internal/storage/kept"
)

// one reads the row that a statement finds.
//
//	authz.ErrNotFound
func (s *Store) one(ctx context.Context, operation, statement string, args []any, into ...any) error {
	return found(s.read(ctx, operation, func(b *pgx.Batch, outcome *error) {
		queueOne(b, outcome, statement, args, into...)
	}))
}

// changeOne is one for a statement that changes the row it returns.
func (s *Store) changeOne(ctx context.Context, operation, row, statement string, args []any, into ...any) error {
	return found(s.write(ctx, operation, row, func(b *pgx.Batch, outcome *error) {
		queueOne(b, outcome, statement, args, into...)
	}))
}

func queueOne(b *pgx.Batch, outcome *error, statement string, args []any, into ...any) {
	b.Queue(statement, args...).Query(func(rows pgx.Rows) error {
		if !rows.Next() {
			*outcome = found(cmp.Or(rows.Err(), pgx.ErrNoRows))
			return nil
		}
		*outcome = row{rows}.Scan(into...)
		return nil
	})
}

// row is a row whose values spoil nothing where they cannot be read. Of pgx's own,
// such a failure becomes that of all statements behind in the batch, although they
// were committed.
type row struct{ pgx.Rows }

// Scan reads the row and leaves the rows open.
func (r row) Scan(into ...any) error {
	return pgx.ScanRow(r.Conn().TypeMap(), r.FieldDescriptions(), r.RawValues(), into...)
}

// found is how looking for a row ended. Nothing has a key that cannot be kept.
func found(err error) error {
	if errors.Is(err, pgx.ErrNoRows) || errors.Is(err, errNoText) {
		return contract.ErrNotFound
	}
	return err
}

// list reads all rows that a statement finds.
func list[T any](ctx context.Context, s *Store, operation string, scan func(row pgx.CollectableRow) (T, error), statement string, args ...any) (all []T, err error) {
	err = s.read(ctx, operation, func(b *pgx.Batch, outcome *error) {
		b.Queue(statement, args...).Query(func(rows pgx.Rows) error {
			all, *outcome = nil, nil
			for *outcome == nil && rows.Next() {
				var one T
				one, *outcome = scan(row{rows})
				all = append(all, one)
			}
			*outcome = cmp.Or(*outcome, rows.Err())
			return nil
		})
	})
	if errors.Is(err, errNoText) {
		return nil, nil
	}
	return all, err
}

// change runs a statement that must change a row.
//
//	authz.ErrNotFound: it changed none
func (s *Store) change(ctx context.Context, operation, row, statement string, args ...any) error {
	n, err := s.exec(ctx, operation, row, statement, args...)
	return changed(n, err)
}

func changed(n int, err error) error {
	if err == nil && n == 0 {
		return contract.ErrNotFound
	}
	return found(err)
}

// insert runs a statement that adds a row unless its key is taken.
//
//	contract.ErrExists: it added none
func (s *Store) insert(ctx context.Context, operation, row, statement string, args ...any) error {
	n, err := s.exec(ctx, operation, row, statement, args...)
	if err == nil && n == 0 {
		return contract.ErrExists
	}
	return err
}

// exec runs a statement that changes a row, and says how many it changed; one that
// ends with SELECT, how many it found.
func (s *Store) exec(ctx context.Context, operation, row, statement string, args ...any) (n int, err error) {
	err = s.write(ctx, operation, row, func(b *pgx.Batch, _ *error) {
		b.Queue(statement, args...).Exec(func(tag pgconn.CommandTag) error {
			n = int(tag.RowsAffected())
			return nil
		})
	})
	return n, err
}

// toTime reads a time.
type toTime struct{ into *time.Time }

// ScanInt64 implements pgtype.Int64Scanner.
func (t toTime) ScanInt64(v pgtype.Int8) error {
	*t.into = kept.TimeOf(v.Int64)
	return nil
}

// toHash reads a hash.
type toHash struct{ into *authz.Hash }

// ScanBytes implements pgtype.BytesScanner.
func (h toHash) ScanBytes(v []byte) error {
	if len(v) != len(h.into) {
		return fmt.Errorf("a hash of %d bytes", len(v))
	}
	copy(h.into[:], v)
	return nil
}
