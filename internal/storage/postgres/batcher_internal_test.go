package postgres

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/bits"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/contract"
	"countersign.dev/internal/storage/group"
	"countersign.dev/internal/storage/postgres/pgtest"
)

func openInside(t *testing.T) *Store {
	t.Helper()
	s, err := Open(context.Background(), pgtest.Database(t), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func addClient(ctx context.Context, id string) *operation {
	return &operation{ctx: ctx, statements: func(b *pgx.Batch, _ *error) {
		b.Queue(`INSERT INTO clients (id, metadata) VALUES ($1, '{}')`, id)
	}}
}

func TestAnOperationThatFailsLeavesItsNeighboursAlone(t *testing.T) {
	s, ctx := openInside(t), t.Context()
	gone, cancel := context.WithCancel(ctx)
	cancel()
	removeAll := &operation{ctx: ctx, statements: func(b *pgx.Batch, _ *error) {
		b.Queue(`DELETE FROM clients WHERE id = ANY ($1)`, []string{"a", "b", "d", "\xff"})
	}}
	some := []*operation{
		addClient(ctx, "a"), addClient(ctx, "b"), addClient(ctx, "a"), addClient(gone, "c"),
		addClient(ctx, "no\x00text"), addClient(ctx, "\x00"), removeAll, addClient(ctx, "d"),
	}
	s.writes.carryOut(some)
	for i, want := range []error{nil, nil, nil, context.Canceled, errNoText, errNoText, errNoText, nil} {
		if got := some[i].outcome; i != 2 && !errors.Is(got, want) {
			t.Errorf("operation %d: %v, want %v", i, got, want)
		}
	}
	if got := code(some[2].outcome); got != "23505" {
		t.Errorf("a key that is taken: %v", some[2].outcome)
	}
	clients, err := s.Clients(ctx)
	if err != nil || len(clients) != 3 {
		t.Errorf("%d clients: %v", len(clients), err)
	}
}

// Anybody who found a statement that fails could otherwise have each of the others
// wait for the transactions of all of them.
func TestAnOperationThatFailsCostsItsGroupAFewTransactions(t *testing.T) {
	s, ctx := openInside(t), t.Context()
	sends := map[*pgx.Batch]bool{}
	var some []*operation
	for i := range group.Limit {
		o := addClient(ctx, fmt.Sprint(i))
		if i == group.Limit/3 {
			o = addClient(ctx, "0")
		}
		add := o.statements
		o.statements = func(b *pgx.Batch, outcome *error) {
			sends[b] = true
			add(b, outcome)
		}
		some = append(some, o)
	}
	s.writes.carryOut(some)
	for i, o := range some {
		if (o.outcome != nil) != (i == group.Limit/3) {
			t.Errorf("operation %d: %v", i, o.outcome)
		}
	}
	if atMost := 2*bits.Len(group.Limit) - 1; len(sends) > atMost {
		t.Errorf("%d transactions, want at most %d", len(sends), atMost)
	}
}

// A statement that runs for seconds must not keep a connection from those that take
// a millisecond.
func TestReadsAndWritesGoOnBesideAnyNumberOfTransactions(t *testing.T) {
	s, ctx := openInside(t), t.Context()
	begun, release := make(chan struct{}), make(chan struct{})
	waiting, leave := context.WithCancel(ctx)
	defer leave()
	var running sync.WaitGroup
	transact := func(ctx context.Context, want error) {
		running.Go(func() {
			err := s.transact(ctx, "waiting", func(context.Context, pgx.Tx) error {
				begun <- struct{}{}
				<-release
				return nil
			})
			if !errors.Is(err, want) {
				t.Errorf("got %v, want %v", err, want)
			}
		})
	}
	for range cap(s.transactions) {
		transact(ctx, nil)
	}
	for range cap(s.transactions) {
		<-begun
	}
	for range 4 * cap(s.transactions) {
		transact(waiting, context.Canceled)
	}
	if err := s.Ping(ctx); err != nil {
		t.Error(err)
	}
	if _, err := s.Clients(ctx); err != nil {
		t.Error(err)
	}
	leave()
	close(release)
	running.Wait()
}

func TestWhereATableIsLockedNobodyWaitsForTheWholeGroup(t *testing.T) {
	t.Parallel()
	s, ctx := openInside(t), t.Context()
	tx, err := s.pool.Begin(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(context.Background()) }()
	if _, err := tx.Exec(ctx, `LOCK TABLE clients`); err != nil {
		t.Fatal(err)
	}
	var some []*operation
	for i := range group.Limit {
		some = append(some, addClient(ctx, fmt.Sprint(i)))
	}
	began := time.Now()
	s.writes.carryOut(some)
	if took := time.Since(began); took > 3*patience {
		t.Errorf("took %v", took)
	}
	for i, o := range some {
		if o.outcome == nil || !changedNothing(o.outcome) {
			t.Errorf("operation %d: %v", i, o.outcome)
		}
	}
	if last := wrap("adding", some[group.Limit-1].outcome); !errors.Is(last, contract.ErrUnreachable) {
		t.Errorf("the last: %v", last)
	}
}

// Each code is PostgreSQL's own, raised by a trigger.
func TestWhatPostgreSQLCannotDoNowIsNoMistake(t *testing.T) {
	s, ctx := openInside(t), t.Context()
	if _, err := s.pool.Exec(ctx, `CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
		$$ BEGIN RAISE EXCEPTION 'not now' USING ERRCODE = NEW.id; END $$;
		CREATE TRIGGER refuse BEFORE INSERT ON clients FOR EACH ROW EXECUTE FUNCTION refuse()`); err != nil {
		t.Fatal(err)
	}
	outcome := func(code string) error {
		o := addClient(ctx, code)
		s.writes.carryOut([]*operation{o})
		return o.outcome
	}
	for code, r := range cannotNow {
		if len(code) == 2 {
			code += "100" // 53100 is a full disk
		}
		err := outcome(code)
		if !errors.Is(wrap("adding", err), contract.ErrUnreachable) || !passing(err) {
			t.Errorf("%s: %v", code, err)
		}
		if changedNothing(err) != r.certain || refused(err) == r.server {
			t.Errorf("%s: tried again %v, halved %v", code, changedNothing(err), refused(err))
		}
	}
	for _, code := range []string{"23505", "22021", "42P01", "XX000", "40003", "57P04"} {
		if err := outcome(code); err == nil || errors.Is(wrap("adding", err), contract.ErrUnreachable) || !refused(err) || changedNothing(err) {
			t.Errorf("%s: %v", code, err)
		}
	}
}

func TestARowThatCannotBeReadIsItsReadersTroubleOnly(t *testing.T) {
	s, ctx := openInside(t), t.Context()
	if _, err := s.pool.Exec(ctx, `INSERT INTO device_requests (id, device_code, user_code, client_id, scope, state, account_id, created_at, expires_at,
		signed_only, match_number, nonce, network, user_agent, origin, device_name, platform)
		VALUES ('spoilt', 'short', 'short', '', '', 'pending', '', 0, 0, FALSE, 0, '', '', '', '', '', '')`); err != nil {
		t.Fatal(err)
	}
	var r authz.DeviceRequest
	open := func(b *pgx.Batch, outcome *error) {
		queueOne(b, outcome, claimRequest, []any{"spoilt", "", false, 0}, requestFields(&r)...)
	}
	some := []*operation{addClient(ctx, "a"), {ctx: ctx, statements: open}, addClient(ctx, "b")}
	s.writes.carryOut(some)
	for i, wantErr := range []bool{false, true, false} {
		if err := some[i].outcome; (err != nil) != wantErr {
			t.Errorf("operation %d: %v", i, err)
		}
	}
	if clients, err := s.Clients(ctx); err != nil || len(clients) != 2 {
		t.Errorf("%d clients: %v", len(clients), err)
	}
	if _, err := s.pool.Exec(ctx, `INSERT INTO clients (id, metadata) VALUES ('aa', '[]')`); err != nil { // between the two
		t.Fatal(err)
	}
	if clients, err := s.Clients(ctx); err == nil {
		t.Errorf("a list of %d clients, of which one cannot be read", len(clients))
	}
}

func TestOfAGroupWhoseConnectionIsLostNobodyIsToldThatAllIsWell(t *testing.T) {
	s, ctx := openInside(t), t.Context()
	some := []*operation{addClient(ctx, "a"), {ctx: ctx, statements: func(b *pgx.Batch, _ *error) {
		b.Queue(`SELECT pg_terminate_backend(pg_backend_pid())`)
	}}}
	s.writes.carryOut(some)
	for i, o := range some {
		if !errors.Is(wrap("writing", o.outcome), contract.ErrUnreachable) || changedNothing(o.outcome) {
			t.Errorf("operation %d: %v", i, o.outcome)
		}
	}
	if _, err := s.Client(ctx, "a"); !errors.Is(err, contract.ErrNotFound) {
		t.Errorf("got %v", err)
	}
}

// Two servers' groups that change the same rows in another order wait for each
// other in a circle.
func TestAGroupChangesItsRowsInOrder(t *testing.T) {
	s, ctx := openInside(t), t.Context()
	var order []string // the goroutine of the batcher writes
	begun, release := make(chan struct{}), make(chan struct{})
	var asking sync.WaitGroup
	change := func(row string, during func()) {
		asking.Go(func() {
			err := s.write(ctx, "changing", row, func(*pgx.Batch, *error) {
				order = append(order, row)
				during()
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	change("first", func() {
		close(begun)
		<-release
	})
	<-begun
	for n, row := range []string{"c", "b", "d", "a"} {
		change(row, func() {})
		for s.writes.queue.Len() <= n {
			runtime.Gosched()
		}
	}
	close(release)
	asking.Wait()
	if want := []string{"first", "a", "b", "c", "d"}; !slices.Equal(order, want) {
		t.Errorf("%v, want %v", order, want)
	}
}

func TestConnectionsThatCannotWriteAnyMoreAreGivenUp(t *testing.T) {
	s, ctx := openInside(t), t.Context()
	for what, use := range map[string]func() error{
		"a write":       func() error { return s.Ping(ctx) },
		"a transaction": func() error { return s.ChangeSigningKeys(ctx, contract.KeyChange{}) },
	} {
		var all []*pgxpool.Conn
		for range s.pool.Config().MaxConns {
			c, err := s.pool.Acquire(ctx)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, c)
			if _, err := c.Exec(ctx, `SET default_transaction_read_only = on`); err != nil {
				t.Fatal(err)
			}
		}
		for _, c := range all {
			c.Release()
		}
		if err := use(); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// What order does not prevent must not stop two servers for the second after which
// PostgreSQL looks for a circle.
func TestALockIsWaitedForLessThanACircleTakesToBeFound(t *testing.T) {
	s, ctx := openInside(t), t.Context()
	var shorter bool
	err := s.one(ctx, "looking at settings", `SELECT a.setting::int BETWEEN 1 AND b.setting::int / 2
		FROM pg_settings a, pg_settings b WHERE a.name = 'lock_timeout' AND b.name = 'deadlock_timeout'`, nil, &shorter)
	if err != nil || !shorter {
		t.Errorf("shorter: %v, %v", shorter, err)
	}
}

func TestAnAbsenceIsSaidOnceAMinuteAndWhenItIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var said strings.Builder
		a := absence{log: slog.New(slog.NewTextHandler(&said, nil))}
		lines := func() int {
			defer said.Reset()
			return strings.Count(said.String(), "\n")
		}
		a.ended() // it was never away
		for range 4 * 150 {
			a.goesOn(io.EOF)
			time.Sleep(250 * time.Millisecond)
		}
		if n := lines(); n != 3 { // at once, after one minute and after two
			t.Errorf("%d lines in 150 seconds", n)
		}
		a.ended()
		if text := said.String(); !strings.Contains(text, "away=2m30s") {
			t.Errorf("afterwards: %s", text)
		}
		lines()
		for range 100 { // it comes and goes
			a.goesOn(io.EOF)
			time.Sleep(100 * time.Millisecond)
			a.ended()
		}
		if n := lines(); n != 0 {
			t.Errorf("%d lines within the minute", n)
		}
		time.Sleep(sayEvery)
		a.goesOn(io.EOF)
		a.ended()
		if n := lines(); n != 2 {
			t.Errorf("%d lines a minute later", n)
		}
	})
}

func TestDecisionsAreReadAsTheyWereTold(t *testing.T) {
	told := contract.Decided{DeviceCode: authz.Hash{1, 2, 255}}
	if got, err := parseDecided(sayDecided(told)); err != nil || got != told {
		t.Errorf("%+v: %v", got, err)
	}
	for _, other := range []string{"", "short", string(make([]byte, 43)), string(make([]byte, 60))} {
		if d, err := parseDecided(other); err == nil {
			t.Errorf("%q was read as %+v", other, d)
		}
	}
}

func TestOneServerAtATimeRemovesWhatIsOver(t *testing.T) {
	s, ctx := openInside(t), t.Context()
	now := time.Now()
	if err := s.UseOnce(ctx, authz.Hash{1}, now.Add(-2*time.Hour), now.Add(-time.Hour)); err != nil {
		t.Fatal(err)
	}
	before := contract.SweepTimes{DeviceRequests: now, Grants: now, Events: now, Rest: now}
	tx, err := s.pool.Begin(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(ctx, `SELECT FROM sweeps FOR UPDATE`); err != nil {
		t.Fatal(err)
	}
	if n, err := s.Sweep(ctx, before, 10); n != 0 || err != nil {
		t.Errorf("while another sweeps: %d, %v", n, err)
	}
	if err := tx.Rollback(ctx); err != nil {
		t.Fatal(err)
	}
	if n, err := s.Sweep(ctx, before, 10); n != 1 || err != nil {
		t.Errorf("afterwards: %d, %v", n, err)
	}
}

func TestWhoOpenedARequestIsForgottenWithIt(t *testing.T) {
	s, ctx := openInside(t), t.Context()
	now := time.Now()
	r := authz.DeviceRequest{ID: "r", State: authz.Pending, CreatedAt: now, ExpiresAt: now.Add(time.Minute)}
	if err := s.CreateDeviceRequest(ctx, r); err != nil {
		t.Fatal(err)
	}
	if o, err := s.OpenDeviceRequest(ctx, contract.Opening{RequestID: r.ID, AccountID: "alice", At: now}); err != nil || o.Accounts != 1 {
		t.Fatalf("%+v, %v", o, err)
	}
	if n, err := s.Sweep(ctx, contract.SweepTimes{DeviceRequests: now.Add(time.Hour)}, 10); n != 1 || err != nil {
		t.Fatalf("%d, %v", n, err)
	}
	var left int
	if err := s.one(ctx, "counting", `SELECT count(*) FROM device_openings`, nil, &left); err != nil || left != 0 {
		t.Errorf("%d are left: %v", left, err)
	}
}

func TestManyPendingRequestsAreEstimated(t *testing.T) {
	s, ctx := openInside(t), t.Context()
	now := time.Now()
	const rows = 20_000
	_, err := s.pool.Exec(ctx, `INSERT INTO device_requests (id, device_code, user_code, client_id, scope, state, account_id, created_at, expires_at,
			signed_only, match_number, nonce, network, user_agent, origin, device_name, platform)
		SELECT n, sha256(('d' || n)::bytea), sha256(('u' || n)::bytea), 'client-' || n % 2, '', CASE WHEN n % 4 < 3 THEN 'pending' ELSE 'denied' END, '', 0, $2,
			FALSE, 0, '', '', '', '', '', '' FROM generate_series(1, $1::int) AS n`, rows, now.Add(time.Hour).UnixMilli())
	if err != nil {
		t.Fatal(err)
	}
	count := func() (int, int) {
		t.Helper()
		total, of, err := s.PendingDeviceRequests(ctx, []string{"client-1"}, now)
		if err != nil {
			t.Fatal(err)
		}
		return total, of["client-1"]
	}
	if total, of := count(); total != rows*3/4 || of != rows/4 {
		t.Errorf("counted %d, of the client %d", total, of)
	}
	if _, err := s.pool.Exec(ctx, `ANALYZE device_requests`); err != nil {
		t.Fatal(err)
	}
	s.countedAtMost = rows / 4
	near := func(n, want int) bool { return n > want/2 && n < want*2 }
	if total, of := count(); !near(total, rows*3/4) || !near(of, rows/4) {
		t.Errorf("estimated %d, of the client %d", total, of)
	}
}

// retryable is an error of which the driver says that it is safe to try again.
type retryable struct{ error }

func (retryable) SafeToRetry() bool { return true }
func (r retryable) Unwrap() error   { return r.error }

func TestWhatMayBeOverInAMomentIsToldFromMistakes(t *testing.T) {
	refusal := func(code string) error { return &pgconn.PgError{Code: code} }
	other := errors.New("a mistake")
	for what, c := range map[string]struct {
		err                              error
		passing, refused, changedNothing bool
	}{
		"nothing":                        {nil, false, false, false},
		"a caller who has gone":          {context.Canceled, false, false, false},
		"a caller who had no connection": {&notSent{context.Canceled}, false, false, false},
		"a store that closes":            {group.ErrClosed, false, false, false},
		"no connection":                  {&notSent{other}, true, false, true},
		"a password that is wrong":       {&notSent{refusal("28P01")}, false, false, false},
		"a server that starts":           {&notSent{refusal("57P03")}, true, false, true},
		"a connection that is full":      {&notSent{refusal("40001")}, true, false, true},
		"a connection that was lost":     {retryable{pgconn.ErrConnClosed}, true, false, false},
		"a deadline":                     {context.DeadlineExceeded, true, false, false},
		"an end":                         {io.EOF, true, false, false},
		"an end in the middle":           {fmt.Errorf("reading: %w", io.ErrUnexpectedEOF), true, false, false},
		"nothing that was sent":          {retryable{other}, true, false, true},
		"a lock":                         {refusal(lockNotAvailable), true, true, true},
		"a disk that is full":            {refusal("53100"), true, false, true},
		"a server that stops":            {refusal("57P01"), true, false, false},
		"a key that is taken":            {refusal("23505"), false, true, false},
		"a mistake":                      {other, false, false, false},
	} {
		if c.err != nil && c.passing != errors.Is(wrap("trying", c.err), contract.ErrUnreachable) && !errors.Is(c.err, group.ErrClosed) {
			t.Errorf("%s: %v", what, wrap("trying", c.err))
		}
		if got := passing(c.err); got != c.passing {
			t.Errorf("%s passes: %v", what, got)
		}
		if got := refused(c.err); got != c.refused {
			t.Errorf("%s is refused: %v", what, got)
		}
		if got := changedNothing(c.err); got != c.changedNothing {
			t.Errorf("%s changed nothing: %v", what, got)
		}
	}
	for err, want := range map[error]error{pgx.ErrNoRows: contract.ErrNotFound, group.ErrClosed: contract.ErrUnreachable, contract.ErrFull: contract.ErrFull} {
		if got := wrap("trying", err); !errors.Is(got, want) {
			t.Errorf("%v: %v", err, got)
		}
	}
}

// Whoever leaves is told what happened, and nobody tries on for them.
func TestWhoLeavesBetweenTwoTriesIsToldOfTheLast(t *testing.T) {
	s := &Store{}
	ctx, leave := context.WithCancel(t.Context())
	tries := 0
	err := s.attempts(ctx, "trying", func() (again bool, err error) {
		tries++
		leave()
		return true, io.EOF
	})
	if tries != 1 || !errors.Is(err, io.EOF) || !errors.Is(err, contract.ErrUnreachable) {
		t.Errorf("%d tries: %v", tries, err)
	}
}

// What another version tells is no decision, and the end of a server is no absence of
// the database.
func TestAServerHearsOfDecisionsOnly(t *testing.T) {
	var lines bytes.Buffer
	s, err := Open(t.Context(), pgtest.Database(t), slog.New(slog.NewTextHandler(&lines, nil)))
	if err != nil {
		t.Fatal(err)
	}
	ctx, end := context.WithCancel(t.Context())
	heard, hearing := make(chan contract.Decided, 10), make(chan bool, 10)
	var watching sync.WaitGroup
	watching.Go(func() { s.Watch(ctx, func(d contract.Decided) { heard <- d }, func(deaf bool) { hearing <- !deaf }) })
	for !<-hearing {
	}
	want := contract.Decided{DeviceCode: authz.Hash{1, 2, 3}}
	for _, payload := range []string{"what a later version says", sayDecided(want)} {
		if _, err := s.pool.Exec(ctx, `SELECT pg_notify($1, $2)`, channel, payload); err != nil {
			t.Fatal(err)
		}
	}
	if d := <-heard; d != want {
		t.Errorf("it heard of %v", d)
	}
	end()
	watching.Wait()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if lines.Len() > 0 {
		t.Errorf("the log says %s", lines.String())
	}
}

// cutOff ends each query whose statement begins so.
type cutOff struct{ statement string }

func (c cutOff) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	if !strings.HasPrefix(data.SQL, c.statement) {
		return ctx
	}
	ctx, cancel := context.WithCancel(ctx)
	cancel()
	return ctx
}

func (cutOff) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

func TestWhoCouldNotAskToHearHearsNothing(t *testing.T) {
	s := openInside(t)
	s.config.Tracer = cutOff{"LISTEN"}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	err := s.listen(ctx, nil, func() { t.Error("it believes that it hears") })
	if err == nil || ctx.Err() != nil {
		t.Errorf("listening ended with %v", err)
	}
}

func TestTheLogSaysWhichDecisionsWereNotTold(t *testing.T) {
	var lines bytes.Buffer
	s, err := Open(t.Context(), pgtest.Database(t), slog.New(slog.NewTextHandler(&lines, nil)))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	late := newNotifier(s)
	late.notify(contract.Decided{DeviceCode: authz.Hash{1}})
	late.close()
	if !strings.Contains(lines.String(), `level=ERROR msg="decisions were not told to the other servers" decisions=1`) {
		t.Errorf("the log says %q", lines.String())
	}
}
