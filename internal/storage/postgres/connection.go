package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/storage/group"
)

const (
	// patience is how long an operation is tried while the database is away: long
	// enough for a restart or the promotion of a standby, short enough for a client.
	patience = 3 * time.Second
	// The pause between tries grows from the first to the last.
	firstPause = 20 * time.Millisecond
	lastPause  = 250 * time.Millisecond
)

// read carries out an operation that changes nothing, again where the connection
// failed.
func (s *Store) read(ctx context.Context, operation string, statements func(b *pgx.Batch, outcome *error)) error {
	return s.attempts(ctx, operation, func() (again bool, err error) {
		err = s.reads.do(ctx, "", statements)
		return away(err) || conflict(err), err
	})
}

// write carries out an operation, again only where the attempt certainly changed
// nothing. Otherwise it is not known whether the change happened, and the error
// says so. The operation takes its turn in a group by the row it changes.
func (s *Store) write(ctx context.Context, operation, row string, statements func(b *pgx.Batch, outcome *error)) error {
	return s.attempts(ctx, operation, func() (again bool, err error) {
		err = s.writes.do(ctx, row, statements)
		return changedNothing(err), err
	})
}

// transact runs fn in a transaction of its own, for what takes several steps or
// long. A transaction that did not come to its commit changed nothing, and is tried
// again like a read.
func (s *Store) transact(ctx context.Context, operation string, fn func(ctx context.Context, tx pgx.Tx) error) error {
	return s.attempts(ctx, operation, func() (again bool, err error) {
		committing := false
		err = s.once(ctx, func(ctx context.Context, c *pgx.Conn) error {
			return pgx.BeginFunc(ctx, c, func(tx pgx.Tx) error {
				err := fn(ctx, tx)
				committing = err == nil
				return err
			})
		})
		if committing {
			return changedNothing(err), err
		}
		return away(err) || conflict(err), err
	})
}

// attempts repeats an attempt while it says so, for as long as patience and ctx
// allow.
func (s *Store) attempts(ctx context.Context, operation string, attempt func() (again bool, err error)) error {
	deadline := time.Now().Add(patience)
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		again, err := attempt()
		if !again || ctx.Err() != nil || time.Now().Add(pause).After(deadline) {
			return wrap(operation, err)
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return wrap(operation, ctx.Err())
		}
	}
}

// once runs fn on a connection of the pool. A caller whose context ends before
// gets its error, and nothing happens; once begun, the outcome is what counts: a
// statement cut short would leave nobody knowing, and the connection unusable.
func (s *Store) once(ctx context.Context, fn func(ctx context.Context, c *pgx.Conn) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	c, err := connection(ctx, s.pool)
	if err != nil {
		return err
	}
	defer c.Release()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), statementLimit)
	defer cancel()
	err = fn(ctx, c.Conn())
	renew(s.pool, err)
	return err
}

// connection takes a connection out of the pool. It does not wait for ever, as it
// otherwise would for one that leads nowhere.
func connection(ctx context.Context, pool *pgxpool.Pool) (*pgxpool.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	c, err := pool.Acquire(ctx)
	if err != nil {
		return nil, &notSent{err}
	}
	return c, nil
}

// renew has all connections made anew when one turns out to lead nowhere, or to
// what is no longer the primary: others do, too, and would be used for an hour.
func renew(pool *pgxpool.Pool, err error) {
	if errors.Is(err, context.DeadlineExceeded) || code(err) == readOnly {
		pool.Reset()
	}
}

// notSent is the failure to get a connection.
type notSent struct{ cause error }

func (e *notSent) Error() string { return e.cause.Error() }
func (e *notSent) Unwrap() error { return e.cause }

// Codes of PostgreSQL (appendix A of its manual).
const (
	uniqueViolation     = "23505"
	foreignKeyViolation = "23503"
	notInRepertoire     = "22021" // a text with a NUL, or that is not UTF-8
	readOnly            = "25006" // connected to a standby, or to what was the primary
	serializationFailed = "40001"
	deadlock            = "40P01"
	lockNotAvailable    = "55P03"
	tooManyConnections  = "53300"
)

// awayCodes say that the server stops, starts, or has no room for us.
var awayCodes = []string{"57P01", "57P02", "57P03", tooManyConnections, readOnly}

func code(err error) string {
	var e *pgconn.PgError
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

// away reports whether the database could not be reached, or the connection was
// lost.
func away(err error) bool {
	if err == nil || errors.Is(err, context.Canceled) || errors.Is(err, group.ErrClosed) {
		return false
	}
	if c := code(err); c != "" {
		return slices.Contains(awayCodes, c) || strings.HasPrefix(c, "08")
	}
	var before *notSent
	var network net.Error // a deadline is one too
	return errors.As(err, &before) || errors.As(err, &network) || pgconn.SafeToRetry(err) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}

// refused reports whether the database refused what was sent, so that nothing of
// it was committed.
func refused(err error) bool {
	var before *notSent
	return code(err) != "" && !away(err) && !errors.As(err, &before)
}

// conflict reports whether the database ended the attempt because of others.
func conflict(err error) bool {
	return slices.Contains([]string{serializationFailed, deadlock, lockNotAvailable}, code(err))
}

// changedNothing reports whether a failed attempt certainly changed nothing, and
// another one may do better: no statement was sent, or the server refused it.
func changedNothing(err error) bool {
	var before *notSent
	switch c := code(err); {
	case err == nil:
		return false
	case errors.As(err, &before), pgconn.SafeToRetry(err):
		return away(err)
	default:
		return conflict(err) || c == readOnly || c == tooManyConnections || c == "57P03"
	}
}

// wrap names the operation that failed, unless the error is a promised outcome.
func wrap(operation string, err error) error {
	switch {
	case err == nil || authz.Promised(err):
		return err
	case errors.Is(err, pgx.ErrNoRows):
		return authz.ErrNotFound
	case away(err):
		return fmt.Errorf("%s: %w: %w", operation, authz.ErrUnreachable, err)
	default:
		return fmt.Errorf("%s: %w", operation, err)
	}
}

// inserted is wrap for a write whose taken key means authz.ErrExists and whose
// missing parent means authz.ErrNotFound.
func inserted(err error) error {
	switch code(err) {
	case uniqueViolation:
		return authz.ErrExists
	case foreignKeyViolation:
		return authz.ErrNotFound
	default:
		return err
	}
}
