package main

import (
	"context"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"countersign.dev/bench/internal/model"
	"countersign.dev/bench/internal/trial"
)

// meter reads what PostgreSQL uses. A nil meter reads nothing.
type meter struct {
	postgres   *trial.Postgres
	version    string
	conn       *pgx.Conn
	postmaster int
	cpu        time.Duration // when the step began
	bytes      int64
	flushes    int64
}

func newMeter(ctx context.Context, p *trial.Postgres) (*meter, error) {
	m := &meter{postgres: p}
	var err error
	if m.conn, err = pgx.Connect(ctx, p.AdminURL); err != nil {
		return nil, err
	}
	if _, err := m.conn.Exec(ctx, `CREATE EXTENSION pg_stat_statements`); err != nil {
		return nil, err
	}
	var backend int
	if err := m.conn.QueryRow(ctx, `SELECT pg_backend_pid(), current_setting('server_version')`).Scan(&backend, &m.version); err != nil {
		return nil, err
	}
	m.postmaster, err = trial.Parent(backend)
	return m, err
}

const readLog = `SELECT wal_bytes::bigint, wal_sync FROM pg_stat_wal`

func (m *meter) begin(ctx context.Context) (err error) {
	if m == nil {
		return nil
	}
	if _, err := m.conn.Exec(ctx, `SELECT pg_stat_statements_reset()`); err != nil {
		return err
	}
	if err := m.conn.QueryRow(ctx, readLog).Scan(&m.bytes, &m.flushes); err != nil {
		return err
	}
	m.cpu, err = trial.TreeCPU(m.postmaster)
	return err
}

const readStatements = `SELECT query, calls, total_exec_time * 1000 FROM pg_stat_statements s JOIN pg_roles r ON r.oid = s.userid
WHERE r.rolname = 'countersign' ORDER BY total_exec_time DESC LIMIT 6`

// end adds to a line what was used since begin.
func (m *meter) end(ctx context.Context, l *model.Line) error {
	if m == nil {
		return nil
	}
	cpu, err := trial.TreeCPU(m.postmaster)
	if err != nil {
		return err
	}
	var bytes, flushes int64
	if err := m.conn.QueryRow(ctx, readLog).Scan(&bytes, &flushes); err != nil {
		return err
	}
	n := float64(l.Ops)
	l.DatabaseCPU = float64((cpu - m.cpu).Microseconds()) / n
	l.WAL, l.Flushes = float64(bytes-m.bytes)/n, float64(flushes-m.flushes)/n
	rows, err := m.conn.Query(ctx, readStatements)
	if err != nil {
		return err
	}
	var query string
	var calls int64
	var us float64
	_, err = pgx.ForEachRow(rows, []any{&query, &calls, &us}, func() error {
		// What runs now and then, like the sweep, belongs to no step.
		if share := float64(calls) / n; share > 0.01 {
			l.Statements = add(l.Statements, nameOf(query), share, us/float64(calls))
		}
		return nil
	})
	return err
}

// add adds what a statement took to that of the same name: PostgreSQL counts one
// whose plan was made in another way apart.
func add(to []model.Statement, name string, calls, each float64) []model.Statement {
	for i, s := range to {
		if s.Name == name {
			to[i] = model.Statement{Name: name, Calls: s.Calls + calls, Each: (s.Calls*s.Each + calls*each) / (s.Calls + calls)}
			return to
		}
	}
	return append(to, model.Statement{Name: name, Calls: calls, Each: each})
}

// names say what a statement does, by what only it holds. The first that fits.
var names = []struct{ holds, name string }{
	{"INSERT INTO device_requests", "store a request"},
	{"INSERT INTO device_openings", "note who opened it"},
	{"INSERT INTO grants", "approve: request, grant, event"},
	{"WITH redeemed AS", "redeem: request, grant, refresh token"},
	{"WITH alive AS", "rotate a refresh token"},
	{"pg_notify", "tell the other servers"},
	{"UPDATE device_requests", "claim a request"},
	{"FROM grants g JOIN accounts", "read a live grant and its identity"},
	{"FROM guesses", "read wrong codes"},
	{"FROM reports", "read reports"},
	{"FROM sessions", "read a session"},
	{"FROM identities", "read an identity"},
	{"FROM refresh_tokens", "read a refresh token"},
	{"WHERE device_code =", "read a request by device code"},
	{"WHERE user_code =", "read a request by user code"},
	{"FROM device_requests", "read a request"},
	{"FROM clients", "read clients"},
}

func nameOf(query string) string {
	for _, n := range names {
		if strings.Contains(query, n.holds) {
			return n.name
		}
	}
	words := strings.Fields(query)
	return strings.Join(words[:min(len(words), 8)], " ")
}
