package postgres

import (
	"context"
	"encoding/base64"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"countersign.dev/internal/authz/contract"
)

const (
	// channel is where decisions are told (LISTEN, NOTIFY).
	channel = "countersign_decided"
	// silence is how long the listening connection may be silent before it is asked
	// whether it is alive, and the answer waited for.
	silence = time.Second
	// notifyAtMost bounds the decisions in one notification, whose text PostgreSQL
	// limits to 8000 bytes.
	notifyAtMost = 64
	// notifyPause is the rest after a notification. Each wakes every server, and when
	// there are many decisions they are told together.
	notifyPause = 5 * time.Millisecond
)

// Watch implements authz.Others.
func (s *Store) Watch(ctx context.Context, decided func(contract.Decided), disconnected func(bool)) {
	absence := absence{log: s.log}
	for pause := firstPause; ctx.Err() == nil; pause = min(2*pause, lastPause) {
		err := s.listen(ctx, decided, func() {
			absence.ended()
			disconnected(false)
			pause = firstPause
		})
		disconnected(true)
		if ctx.Err() != nil {
			return
		}
		absence.goesOn(err)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
	}
}

// sayEvery is how often it is said that the database is still away.
const sayEvery = time.Minute

// absence tells the operator that the database is away: at once, then every
// minute, and when it is back. It is tried several times a second.
type absence struct {
	log   *slog.Logger
	since time.Time // zero while it is there
	said  time.Time
}

func (a *absence) goesOn(err error) {
	now := time.Now()
	if a.since.IsZero() {
		a.since = now
	}
	if now.Sub(a.said) < sayEvery {
		return
	}
	a.said = now
	a.log.Warn("the connection that hears of other servers' decisions was lost: polls ask the database until it is back",
		"away", now.Sub(a.since).Round(time.Millisecond).String(), "error", err)
}

// ended says nothing of an absence that nothing was said of: one that comes and
// goes is told once a minute, too.
func (a *absence) ended() {
	since := a.since
	a.since = time.Time{}
	if since.IsZero() || a.said.Before(since) {
		return
	}
	a.log.Info("the connection that hears of other servers' decisions is back", "away", time.Since(since).Round(time.Millisecond).String())
}

// listen hears until its connection fails. It calls hearing once from when on
// nothing is missed.
func (s *Store) listen(ctx context.Context, heard func(contract.Decided), hearing func()) error {
	within, cancel := context.WithTimeout(ctx, connectLimit)
	defer cancel()
	c, err := pgx.ConnectConfig(within, s.config.Copy())
	if err != nil {
		return err
	}
	defer func() {
		within, cancel := context.WithTimeout(context.WithoutCancel(ctx), silence)
		defer cancel()
		_ = c.Close(within) // it may be what failed
	}()
	if _, err := c.Exec(within, `LISTEN `+channel); err != nil {
		return err
	}
	hearing()
	for {
		if err := hear(ctx, c, heard); err != nil {
			return err
		}
	}
}

// hear waits for a notification. When none comes for a while it asks whether the
// connection is alive, and still one to the primary.
func hear(ctx context.Context, c *pgx.Conn, heard func(contract.Decided)) error {
	within, cancel := context.WithTimeout(ctx, silence)
	defer cancel()
	told, err := c.WaitForNotification(within)
	if err == nil {
		for line := range strings.Lines(told.Payload) {
			if what, err := parseDecided(strings.TrimSuffix(line, "\n")); err == nil { // another version's
				heard(what)
			}
		}
		return nil
	}
	if within.Err() == nil || ctx.Err() != nil {
		return err
	}
	within, cancel = context.WithTimeout(ctx, silence)
	defer cancel()
	var standby bool
	if err := c.QueryRow(within, `SELECT pg_is_in_recovery()`).Scan(&standby); err != nil {
		return err
	}
	if standby {
		return fmt.Errorf("%w: the server has become a standby", contract.ErrUnreachable)
	}
	return nil
}

// sayDecided writes a decision as a line of a notification.
func sayDecided(d contract.Decided) string {
	return base64.RawStdEncoding.EncodeToString(d.DeviceCode[:])
}

func parseDecided(line string) (d contract.Decided, err error) {
	code, err := base64.RawStdEncoding.DecodeString(line)
	if err != nil {
		return d, err
	}
	return d, toHash{&d.DeviceCode}.ScanBytes(code)
}

// notifier tells the other servers of decisions, several at a time, behind the
// backs of those who made them. It does not notify in the transaction of the
// decision: PostgreSQL commits transactions that notify one after the other,
// each with its flush to disk. A server that dies in between leaves some
// unsaid; what the others hold for pending they ask again in any case
// (authz.Others).
type notifier struct {
	store *Store
	ended chan struct{} // closed when the goroutine has returned

	mu      sync.Mutex
	some    sync.Cond // waiting is not empty, or closed
	waiting []contract.Decided
	closing bool
}

func newNotifier(s *Store) *notifier {
	n := &notifier{store: s, ended: make(chan struct{})}
	n.some.L = &n.mu
	go n.loop()
	return n
}

func (n *notifier) notify(d contract.Decided) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.waiting = append(n.waiting, d)
	n.some.Signal()
}

// close waits until everything is told, or the database does not take it.
func (n *notifier) close() {
	n.mu.Lock()
	n.closing = true
	n.some.Signal()
	n.mu.Unlock()
	<-n.ended
}

func (n *notifier) loop() {
	defer close(n.ended)
	for {
		some := n.next()
		if len(some) == 0 {
			return
		}
		if err := n.send(some); err != nil {
			n.store.log.Error("decisions were not told to the other servers", "decisions", len(some), "error", err)
		}
		time.Sleep(notifyPause)
	}
}

// next waits for decisions and takes them; none are left when the notifier closes.
func (n *notifier) next() []contract.Decided {
	n.mu.Lock()
	defer n.mu.Unlock()
	for len(n.waiting) == 0 && !n.closing {
		n.some.Wait()
	}
	count := min(len(n.waiting), notifyAtMost)
	some := n.waiting[:count:count]
	n.waiting = n.waiting[count:]
	return some
}

// A notification need not survive a crash of the database, which ends all who
// would hear it.
const notify = `SELECT set_config('synchronous_commit', 'off', TRUE), pg_notify('` + channel + `', $1)`

func (n *notifier) send(some []contract.Decided) error {
	lines := make([]string, len(some))
	for i, d := range some {
		lines[i] = sayDecided(d)
	}
	// To tell twice does no harm, so it is tried like a read.
	return n.store.read(context.Background(), "telling of decisions", func(b *pgx.Batch, _ *error) {
		b.Queue(notify, strings.Join(lines, "\n"))
	})
}
