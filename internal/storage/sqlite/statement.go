package sqlite

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"zombiezen.com/go/sqlite"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/contract"
	"countersign.dev/internal/storage/group"
	"countersign.dev/internal/storage/kept"
)

// exec runs a statement that returns no rows and says how many it changed.
// Statements are constants: each connection prepares each once.
func exec(c *sqlite.Conn, statement string, args ...any) (int, error) {
	s, err := prepare(c, statement, args)
	if err != nil {
		return 0, err
	}
	_, err = s.Step()
	if err := cmp.Or(err, s.Reset()); err != nil { // which repeats what the step said
		return 0, err
	}
	return c.Changes(), nil
}

// forget runs a statement that deletes what there is more of than is kept. Its first
// parameters are how many stay, and how many are deleted at most.
func forget(c *sqlite.Conn, k contract.Keep, statement string, args ...any) error {
	if err := contract.Bounded(k); err != nil {
		return err
	}
	_, err := exec(c, statement, append([]any{k.Most, k.AtOnce}, args...)...)
	return err
}

// query runs a statement and calls row for each row of its result.
func query(c *sqlite.Conn, row func(s *sqlite.Stmt), statement string, args ...any) (found bool, err error) {
	s, err := prepare(c, statement, args)
	if err != nil {
		return false, err
	}
	for {
		more, err := s.Step()
		if err != nil {
			return false, cmp.Or(err, s.Reset())
		}
		if !more {
			return found, s.Reset()
		}
		found = true
		row(s)
	}
}

// one is query for a statement that finds at most one row.
//
//	authz.ErrNotFound
func one(c *sqlite.Conn, row func(s *sqlite.Stmt), statement string, args ...any) error {
	found, err := query(c, row, statement, args...)
	if err == nil && !found {
		return contract.ErrNotFound
	}
	return err
}

func prepare(c *sqlite.Conn, statement string, args []any) (*sqlite.Stmt, error) {
	s, err := c.Prepare(statement)
	if err != nil {
		return nil, fmt.Errorf("preparing: %w", err)
	}
	for i, arg := range args {
		bind(s, i+1, arg)
	}
	return s, nil
}

// bind sets a parameter; the types are those the statements here use.
func bind(s *sqlite.Stmt, i int, arg any) {
	switch v := arg.(type) {
	case string:
		s.BindText(i, v)
	case authz.Hash:
		s.BindBytes(i, v[:])
	case []byte:
		s.BindBytes(i, v)
	case time.Time:
		s.BindInt64(i, kept.Time(v))
	case int64:
		s.BindInt64(i, v)
	case int:
		s.BindInt64(i, int64(v))
	case float64:
		s.BindFloat(i, v)
	case bool:
		s.BindBool(i, v)
	case authz.State:
		s.BindText(i, string(v))
	default:
		panic(fmt.Sprintf("sqlite: cannot bind %T", arg)) // a mistake in this package
	}
}

func columnTime(s *sqlite.Stmt, i int) time.Time { return kept.TimeOf(s.ColumnInt64(i)) }

func columnHash(s *sqlite.Stmt, i int) (h authz.Hash) {
	s.ColumnBytes(i, h[:])
	return h
}

func columnBytes(s *sqlite.Stmt, i int) []byte {
	b := make([]byte, s.ColumnLen(i))
	s.ColumnBytes(i, b)
	return b
}

// taken reports whether a statement failed because a key is in use.
func taken(err error) bool {
	return sqlite.ErrCode(err) == sqlite.ResultConstraintPrimaryKey
}

// keepsWork is the one refusal that does something all the same: a reused
// refresh token revokes its grant.
func keepsWork(err error) bool { return errors.Is(err, contract.ErrReused) }

// cannotNow are the codes of SQLite that say that something cannot be done now and
// may be in a moment. All others are mistakes of ours, or a spoilt file.
var cannotNow = []sqlite.ResultCode{
	sqlite.ResultBusy,              // another process writes for long, or the data is being moved away
	sqlite.ResultConstraintTrigger, // the data was moved away
	sqlite.ResultFull,              // the disk
	sqlite.ResultIOErr,             // the disk fails, or has no room for the log
	sqlite.ResultReadOnly,          // the disk, as a system makes one that fails
	sqlite.ResultCantOpen,          // no file can be opened: the process has too many
	sqlite.ResultNoMem,
	sqlite.ResultProtocol, // locks were not to be had
}

// unusable makes contract.ErrUnreachable of what is no fault in what was asked.
func unusable(err error) error {
	code := sqlite.ErrCode(err)
	if slices.Contains(cannotNow, code) || slices.Contains(cannotNow, code.ToPrimary()) || errors.Is(err, group.ErrClosed) {
		return fmt.Errorf("%w: %w", contract.ErrUnreachable, err)
	}
	return err
}

// wrap names the operation that failed, unless the error is a promised outcome.
func wrap(operation string, err error) error {
	if err == nil || contract.Promised(err) {
		return err
	}
	return fmt.Errorf("%s: %w", operation, unusable(err))
}

// insert is a write whose taken key means contract.ErrExists.
func (s *Store) insert(ctx context.Context, operation string, shape shape, run func(c *sqlite.Conn) error) error {
	err := s.writer.do(ctx, shape, run)
	if taken(err) {
		return contract.ErrExists
	}
	return wrap(operation, err)
}
