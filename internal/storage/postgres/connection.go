package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"countersign.dev/internal/authz/contract"
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
		return passing(err), err
	})
}

// write carries out an operation, again only where the attempt certainly changed
// nothing. Otherwise it is not known whether the change happened, and the error
// says so. row is the key of the row that it locks first, by which it takes its turn in
// a group (byRow): the request, the account, the passkey, or what else those who do the
// same at another server would wait for.
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
		return passing(err), err
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

// errNoTurn is what comes of a transaction for which there is no connection.
var errNoTurn = errors.New("all connections for transactions are in use")

// once runs fn on a connection of the pool, of which it leaves the batchers theirs:
// however many want one, reads and writes in groups go on. A caller whose context
// ends before gets its error, and nothing happens; once begun, the outcome is what
// counts: a statement cut short would leave nobody knowing, and the connection
// unusable.
func (s *Store) once(ctx context.Context, fn func(ctx context.Context, c *pgx.Conn) error) error {
	tooLong := time.NewTimer(patience)
	defer tooLong.Stop()
	select {
	case s.transactions <- struct{}{}:
		defer func() { <-s.transactions }()
	case <-ctx.Done():
		return ctx.Err()
	case <-tooLong.C:
		return &notSent{errNoTurn}
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
	if c.Conn().IsClosed() {
		c.Release()
		return nil, &notSent{pgconn.ErrConnClosed}
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

// Error is that of the cause.
func (e *notSent) Error() string { return e.cause.Error() }

// Unwrap returns the cause.
func (e *notSent) Unwrap() error { return e.cause }

const (
	// readOnly is the code of a server that is a standby, or was the primary.
	readOnly = "25006"
	// lockNotAvailable is the code of a lock that somebody else holds for longer than
	// lock_timeout.
	lockNotAvailable = "55P03"
)

// refusal is what a code of PostgreSQL means for what was asked.
type refusal struct {
	// certain: nothing was changed, so that a write may be tried again.
	certain bool
	// server: the whole server is concerned, and no operation of a group would fare
	// better by itself.
	server bool
}

// cannotNow are the codes and classes of codes (appendix A of PostgreSQL's manual)
// that say that something cannot be done now and may be in a moment. All others
// are mistakes of ours.
var cannotNow = map[string]refusal{
	"08":             {server: true}, // the connection is lost
	readOnly:         {server: true, certain: true},
	"25P03":          {certain: true}, // a transaction that idled
	"25P04":          {certain: true}, // a transaction that took too long
	"40001":          {certain: true}, // it could not be serialized
	"40P01":          {certain: true}, // a deadlock
	lockNotAvailable: {certain: true},
	"53":             {server: true, certain: true}, // no disk, memory or connection is left
	"57014":          {certain: true},               // cancelled, by statement_timeout or an operator
	"57P01":          {server: true},                // the server stops,
	"57P02":          {server: true},                // or crashes,
	"57P03":          {server: true, certain: true}, // or does not take anybody yet
	"57P05":          {server: true},                // a session that idled
	"58030":          {server: true, certain: true}, // the disk fails
}

// refusalOf is what PostgreSQL said, if what it said passes.
func refusalOf(err error) (r refusal, passes bool) {
	c := code(err)
	if r, passes = cannotNow[c]; !passes && len(c) == 5 {
		r, passes = cannotNow[c[:2]]
	}
	return r, passes
}

func code(err error) string {
	var e *pgconn.PgError
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

// passing reports whether an operation failed for what may be over in a moment:
// the database could not be reached, the connection was lost, or the server
// cannot now.
func passing(err error) bool {
	if err == nil || errors.Is(err, context.Canceled) || errors.Is(err, group.ErrClosed) {
		return false
	}
	if code(err) != "" {
		_, passes := refusalOf(err)
		return passes
	}
	var before *notSent
	var network net.Error // a deadline is one too
	return errors.As(err, &before) || errors.As(err, &network) || pgconn.SafeToRetry(err) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}

// refused reports whether the database refused what was sent for what may be in
// one operation of it, and nothing was committed.
func refused(err error) bool {
	var before *notSent
	r, _ := refusalOf(err)
	return code(err) != "" && !r.server && !errors.As(err, &before)
}

// changedNothing reports whether a failed attempt certainly changed nothing, and
// another one may do better: no statement was sent, or the server refused it. That a
// connection is closed the driver also says of one that was lost after a statement was
// sent, while it calls that safe; what was closed before is not used (connection).
func changedNothing(err error) bool {
	var before *notSent
	if errors.As(err, &before) || (pgconn.SafeToRetry(err) && !errors.Is(err, pgconn.ErrConnClosed)) {
		return passing(err)
	}
	r, passes := refusalOf(err)
	return passes && r.certain
}

// wrap names the operation that failed, unless the error is a promised outcome.
func wrap(operation string, err error) error {
	switch {
	case err == nil || contract.Promised(err):
		return err
	case errors.Is(err, pgx.ErrNoRows):
		return contract.ErrNotFound
	case passing(err) || errors.Is(err, group.ErrClosed):
		return fmt.Errorf("%s: %w: %w", operation, contract.ErrUnreachable, err)
	default:
		return fmt.Errorf("%s: %w", operation, err)
	}
}
