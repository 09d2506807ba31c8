package postgres_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"regexp"
	"slices"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"countersign.dev/internal/storage/postgres"
	"countersign.dev/internal/storage/postgres/pgtest"
	"countersign.dev/internal/storage/storagetest"
)

// messages is the way of one connection to a database, message by message (chapter
// 55.7 of PostgreSQL's manual).
type messages struct {
	to       io.Writer
	fails    func(statement string) bool // asked whenever one is run: whether it arrives misspelt
	begun    bool                        // the first message has no kind
	rest     []byte
	prepared map[string]string // by name
}

func newMessages(to io.Writer, fails func(statement string) bool) *messages {
	return &messages{to: to, fails: fails, prepared: map[string]string{}}
}

// Write implements io.Writer.
func (m *messages) Write(p []byte) (int, error) {
	m.rest = append(m.rest, p...)
	for {
		kind := 0
		if m.begun {
			kind = 1
		}
		if len(m.rest) < kind+4 {
			return len(p), nil
		}
		length := kind + int(binary.BigEndian.Uint32(m.rest[kind:]))
		if len(m.rest) < length {
			return len(p), nil
		}
		if m.begun {
			m.look(m.rest[0], m.rest[5:length])
		}
		m.begun = true
		if _, err := m.to.Write(m.rest[:length]); err != nil {
			return 0, err
		}
		m.rest = m.rest[length:]
	}
}

func (m *messages) look(kind byte, body []byte) {
	first, after, _ := bytes.Cut(body, []byte{0})
	second, _, _ := bytes.Cut(after, []byte{0})
	switch {
	case kind == 'P': // parse: its name, the statement
		m.prepared[string(first)] = string(second)
	case kind == 'B' && m.fails(m.prepared[string(second)]): // bind: the portal's name, the statement's
		copy(second, bytes.Repeat([]byte("x"), len(second)))
	case kind == 'Q' && m.fails(string(first)):
		copy(first, bytes.Repeat([]byte("x"), len(first)))
	}
}

// breaking has one statement fail, each time it comes: a group that was refused is
// sent again.
type breaking struct {
	mu     sync.Mutex
	number int      // of the statement; below 0: none
	seen   []string // the statements that came, each once
}

// aside is what no operation says: the pool, which may make a connection at any time,
// the end of a transaction that failed, and who tells the others of what was decided.
var aside = regexp.MustCompile(`^(-- ping|SET |show |rollback|deallocate |SELECT set_config\(.*pg_notify)`)

func (b *breaking) breaks(statement string) bool {
	if aside.MatchString(statement) {
		return false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if !slices.Contains(b.seen, statement) {
		b.seen = append(b.seen, statement)
	}
	return b.number >= 0 && slices.Index(b.seen, statement) == b.number
}

// begin counts anew, and returns how many statements came before.
func (b *breaking) begin(number int) (before int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	before, b.number, b.seen = len(b.seen), number, nil
	return before
}

// brittle is a store for storagetest.RunBroken.
type brittle struct {
	*postgres.Store
	breaking *breaking
	t        testing.TB
	direct   *pgx.Conn
	// everything is the statement that finds it.
	everything string
}

func openBrittle(t testing.TB, database string) *brittle {
	t.Helper()
	way, url := newNetwork(t, database)
	b := &brittle{breaking: &breaking{number: -1}, t: t}
	way.through = func(to io.Writer) io.Writer { return newMessages(to, b.breaking.breaks) }
	b.Store = open(t, url)
	var err error
	if b.direct, err = pgx.Connect(t.Context(), database); err != nil {
		t.Fatal(err)
	}
	if err = b.direct.QueryRow(t.Context(), `SELECT string_agg(format('SELECT %L || t::text AS line FROM %I t', relname, relname), ' UNION ALL ') || ' ORDER BY line'
		FROM pg_class WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace`).Scan(&b.everything); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.direct.Close(context.Background()) })
	return b
}

// Break implements storagetest.Broken.
func (b *brittle) Break(n int) func() bool {
	b.breaking.begin(n)
	return func() bool { return b.breaking.begin(-1) > n }
}

// Rows implements storagetest.Broken.
func (b *brittle) Rows() []string {
	b.t.Helper()
	rows, err := b.direct.Query(b.t.Context(), b.everything)
	if err != nil {
		b.t.Fatal(err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		b.t.Fatal(err)
	}
	return all
}

func TestAnOperationOfWhichAStatementFailsHasNotHappened(t *testing.T) {
	t.Parallel()
	var databases sync.Map // the name of a test → the URL of its database
	storagetest.RunBroken(t, func(t testing.TB) storagetest.Broken {
		url, there := databases.Load(t.Name())
		if !there {
			url = pgtest.Database(t)
			databases.Store(t.Name(), url)
		}
		return openBrittle(t, url.(string))
	})
}
