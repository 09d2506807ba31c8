package postgres

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"countersign.dev/internal/storage/group"
)

// batcher takes operations to the database, all that wait at once: one round trip
// and one transaction, so that those who write share one flush to disk. A few
// goroutines do that, each for a group of its own.
//
// An operation whose statement fails takes its group down with it; then each half
// of the group is carried out by itself, so that one such operation among n costs
// the others two sends for each doubling of n. Anybody could have them pay that
// again and again, so statements are written such that what is expected to happen
// (a code that is in use, a request that was decided) is no failure but a result,
// and what PostgreSQL cannot keep is not sent.
type batcher struct {
	pool  *pgxpool.Pool
	queue *group.Queue[*operation]
	ended sync.WaitGroup
}

// operation is what one caller wants.
type operation struct {
	ctx context.Context //nolint:containedctx // the caller's, asked once before the operation begins
	// row is the key of the row that the operation locks first, for the order.
	row string
	// statements queues what is to be run. When results are read, each sets the
	// outcome; it may be called again.
	statements func(b *pgx.Batch, outcome *error)
	outcome    error
	done       chan struct{}
}

func newBatcher(pool *pgxpool.Pool, goroutines int) *batcher {
	q := &batcher{pool: pool, queue: group.NewQueue[*operation]()}
	for range goroutines {
		q.ended.Go(q.loop)
	}
	return q
}

// close lets the operations that were handed in finish.
func (q *batcher) close() {
	q.queue.Close()
	q.ended.Wait()
}

// do carries out an operation. A caller whose context ends before it begins gets
// the context's error, and nothing happens; once it has begun, its outcome is what
// counts.
func (q *batcher) do(ctx context.Context, row string, statements func(b *pgx.Batch, outcome *error)) error {
	mine := &operation{ctx: ctx, row: row, statements: statements, done: make(chan struct{})}
	if err := q.queue.Add(ctx, mine); err != nil {
		return err
	}
	<-mine.done
	return mine.outcome
}

func (q *batcher) loop() {
	var some []*operation
	for {
		if some = q.queue.Take(some[:0]); len(some) == 0 {
			return
		}
		slices.SortStableFunc(some, byRow)
		q.carryOut(some)
		for _, o := range some {
			close(o.done)
		}
		clear(some) // what was read is the callers' only
	}
}

// byRow is the order of a group. Its operations keep the rows they change locked
// until all are done, and each says which one it locks first; if another server's group changed the same ones in another
// order, both would wait in a circle, which anybody could bring about who opens two
// requests of his own at two servers, again and again.
func byRow(a, b *operation) int { return cmp.Compare(a.row, b.row) }

// carryOut leaves each operation's outcome in it.
func (q *batcher) carryOut(some []*operation) { q.carryOutUntil(time.Now().Add(patience), some) }

// carryOutUntil halves a group that was refused for as long as clients have
// patience: where all of them wait for the lock of a whole table, they would
// otherwise wait one after the other.
func (q *batcher) carryOutUntil(deadline time.Time, some []*operation) {
	err := q.send(some)
	// Where the database says no, nothing was committed; where it goes away in the
	// middle, nobody knows.
	if len(some) > 1 && refused(err) {
		half := len(some) / 2
		for _, part := range [][]*operation{some[:half], some[half:]} {
			if time.Now().After(deadline) {
				leave(part)
				continue
			}
			q.carryOutUntil(deadline, part)
		}
		return
	}
	for _, o := range some {
		if o.outcome == nil {
			o.outcome = err
		}
	}
}

// errTakesLong is what comes of operations whose turn would come too late.
var errTakesLong = errors.New("operations before this one took too long")

// leave gives up operations that were refused together with others.
func leave(some []*operation) {
	for _, o := range some {
		o.outcome = &notSent{errTakesLong}
	}
}

// send runs all statements in one transaction, which is committed when it returns
// nil.
func (q *batcher) send(some []*operation) error {
	b := &pgx.Batch{}
	for _, o := range some {
		if o.outcome = o.ctx.Err(); o.outcome != nil {
			continue
		}
		queued := len(b.QueuedQueries)
		o.statements(b, &o.outcome)
		if !keepable(b.QueuedQueries[queued:]) {
			b.QueuedQueries, o.outcome = b.QueuedQueries[:queued], errNoText
		}
	}
	if len(b.QueuedQueries) == 0 {
		return nil
	}
	ctx := context.Background()
	c, err := connection(ctx, q.pool)
	if err != nil {
		return err
	}
	defer c.Release()
	ctx, cancel := context.WithTimeout(ctx, groupLimit)
	defer cancel()
	err = c.SendBatch(ctx, b).Close()
	renew(q.pool, err)
	return err
}

// errNoText is what comes of a text that PostgreSQL does not take: with a NUL, or
// not UTF-8. The door refuses those; one that came through must not be sent, for
// all of its group would be refused with it.
var errNoText = errors.New("a text that the database cannot keep")

// keepable reports whether PostgreSQL takes all texts of some statements.
func keepable(statements []*pgx.QueuedQuery) bool {
	for _, s := range statements {
		for _, argument := range s.Arguments {
			switch v := argument.(type) {
			case string:
				if isNoText(v) {
					return false
				}
			case []string:
				if slices.ContainsFunc(v, isNoText) {
					return false
				}
			}
		}
	}
	return true
}

func isNoText(s string) bool { return !utf8.ValidString(s) || strings.IndexByte(s, 0) >= 0 }
