package server_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"

	"countersign.dev/bitcoinauth"
	"countersign.dev/dpop"
	"countersign.dev/internal/authz/contract"
	"countersign.dev/internal/server"
)

// A store fails in many ways; its words are its own.
const deadStore = "the-dead-store's-own-words"

var errDead, errAway, errGivenUp = errors.New(deadStore), fmt.Errorf(deadStore+": %w", contract.ErrUnreachable), fmt.Errorf(deadStore+": %w", context.Canceled)

// passing are the tables that a request may have changed although it failed later:
// that a signature and a ceremony were used, who tried and who opened a code, that
// a key has an account, and that it was read what is read once.
var passing = []string{"used_once", "guesses", "device_openings", "device_requests", "sqlite_sequence", "accounts", "identities", "reviews"}

func TestC4_AFailingStoreIsNeverTakenForAnAnswer(t *testing.T) {
	inFull(t)
	for _, endpoint := range server.Endpoints() {
		route := endpoint.Method + " " + endpoint.Path
		if slices.Contains(asksNothing, route) {
			continue
		}
		if asks[route] == nil {
			t.Errorf("%s is asked nothing: add what succeeds to asks", route)
		}
		for name, ask := range asks[route] {
			t.Run(strings.TrimSpace(route+" "+name), func(t *testing.T) {
				t.Parallel()
				newFrail(t).feed(route, ask, false)
			})
		}
		for name, ask := range refused[route] {
			t.Run(route+" refused "+name, func(t *testing.T) {
				t.Parallel()
				f := newFrail(t)
				f.once = true
				f.feed(route, ask, true)
			})
		}
	}
}

// feed has each call that an endpoint makes to its store fail in each way.
func (f *frail) feed(route string, ask func(*frail) call, refused bool) {
	f.t.Helper()
	r, calls, _ := f.try(ask, nil)
	as := r.status
	if refused != (as >= http.StatusBadRequest) || as >= http.StatusInternalServerError || len(calls) == 0 {
		f.t.Fatalf("without a fault it answered %d %s, and asked %v", r.status, r.body, calls)
	}
	made := map[string]int{}
	for i, method := range calls {
		made[method]++
		other := []error{errAway, errGivenUp}[i%2] // which it is, one place decides for all
		for _, strike := range []*fault{{method, made[method], false, errDead}, {method, made[method], true, errDead}, {method, made[method], false, other}} {
			r, _, changed := f.try(ask, strike)
			if problem := f.wrong(r, route, strike); problem != "" {
				f.t.Errorf("%v: %s", strike, problem)
			}
			changed = slices.DeleteFunc(changed, func(table string) bool { return slices.Contains(passing, table) })
			if len(changed) > 0 && !kept(strike) {
				f.t.Errorf("%v: it changed %v", strike, changed)
			}
		}
	}
	if r, _, _ := f.try(ask, nil); r.status != as {
		f.t.Errorf("when all was well again it answered %d %s", r.status, r.body)
	}
}

// try prepares a request and makes the store fail while it is answered. It returns
// what was asked of the store, and which tables are not as before although what
// failed did nothing.
func (f *frail) try(ask func(*frail) call, strike *fault) (r reply, calls, changed []string) {
	f.t.Helper()
	c := f.same
	if c.method == "" {
		c = ask(f)
	}
	counts := slices.Contains(c.header, bitcoinauth.Header) || slices.Contains(c.header, dpop.Header)
	if c.method == http.MethodGet && !counts && !f.once {
		f.same = c // it can be sent again
	}
	f.advance(2 * time.Second) // what is remembered for a moment is asked again
	f.logged = len(f.log.String())
	if strike == nil || strike.after {
		calls = f.store.during(strike, func(ctx context.Context) { r = f.do(ctx, c) })
		return r, calls, nil
	}
	before := f.tables()
	calls = f.store.during(strike, func(ctx context.Context) { r = f.do(ctx, c) })
	for table, rows := range f.tables() {
		if rows != before[table] {
			changed = append(changed, table)
		}
	}
	slices.Sort(changed)
	return r, calls, changed
}

// kept reports whether a call comes after a decision that is kept: then its failure
// is the operator's business and not the owner's.
func kept(strike *fault) bool { return strike.method == "Reported" }

var requestIDs = regexp.MustCompile(`"request":"([^"]+)"`)

// wrong says what is wrong with the answer to a request whose store failed; empty:
// nothing is.
func (f *frail) wrong(r reply, route string, strike *fault) string {
	method, path, _ := strings.Cut(route, " ")
	status, code := http.StatusInternalServerError, "server_error"
	if errors.Is(strike.err, contract.ErrUnreachable) || path == "/readyz" {
		status, code = http.StatusServiceUnavailable, "temporarily_unavailable"
	}
	log := f.log.String()[f.logged:]
	if kept(strike) {
		if r.status >= http.StatusBadRequest || !strings.Contains(log, deadStore) {
			return fmt.Sprintf("answered %d %s", r.status, r.body)
		}
		return ""
	}
	decided := strike.method == "ApproveDeviceRequest" || strike.method == "DenyDeviceRequest"
	if path == "/device/decide" && strike.after && decided && strings.HasPrefix(r.header.Get("Location"), "/device/done/") {
		return "" // it looked, and found the decision stored after all
	}
	ids := requestIDs.FindAllStringSubmatch(log, -1)
	switch {
	case len(f.lines("panic")) > 0:
		return fmt.Sprint("it panicked: ", f.lines("panic")[0]["cause"])
	case r.status != status:
		return fmt.Sprintf("answered %d %.200s, want %d", r.status, r.body, status)
	case strings.Contains(r.body+fmt.Sprint(r.header), deadStore):
		return "the answer quotes the store: " + r.body
	case strings.Contains(r.header.Get("Set-Cookie"), "session_token"):
		return "the answer sets the session's cookie"
	case status == http.StatusServiceUnavailable && r.header.Get("Retry-After") == "":
		return "nothing is said of when to try again"
	case len(ids) == 0 || !strings.Contains(r.body, ids[len(ids)-1][1]):
		return "the answer does not carry the id of the log: " + r.body
	case !strings.Contains(log, deadStore):
		return "the log does not say what failed"
	}
	html := strings.HasPrefix(r.header.Get("Content-Type"), "text/html")
	switch people := (!strings.HasPrefix(path, "/api/") || strings.HasSuffix(path, authorizePath)) && path != "/readyz"; {
	case people && !html:
		return "people get " + r.header.Get("Content-Type")
	case !people && (html || r.text("error") != code):
		return method + " gets " + r.body
	}
	return ""
}

// tables is what each table holds.
func (h *house) tables() map[string]string {
	h.t.Helper()
	all := map[string]string{}
	if onPostgres {
		ctx := context.Background()
		c, err := pgx.Connect(ctx, h.url)
		if err != nil {
			h.t.Fatal(err)
		}
		defer c.Close(ctx)
		names, err := c.Query(ctx, `SELECT table_name FROM information_schema.tables WHERE table_schema = current_schema()`)
		if err != nil {
			h.t.Fatal(err)
		}
		list, err := pgx.CollectRows(names, pgx.RowTo[string])
		if err != nil {
			h.t.Fatal(err)
		}
		for _, name := range list {
			var rows string
			if err := c.QueryRow(ctx, `SELECT coalesce(string_agg(t::text, E'\n' ORDER BY t::text), '') FROM `+name+` t`).Scan(&rows); err != nil {
				h.t.Fatal(err)
			}
			all[name] = rows
		}
		return all
	}
	c, err := sqlite.OpenConn(h.path, sqlite.OpenReadOnly)
	if err != nil {
		h.t.Fatal(err)
	}
	defer c.Close()
	var list []string
	read := func(statement string, row func(r *sqlite.Stmt)) {
		h.t.Helper()
		err := sqlitex.Execute(c, statement, &sqlitex.ExecOptions{ResultFunc: func(r *sqlite.Stmt) error {
			row(r)
			return nil
		}})
		if err != nil {
			h.t.Fatal(err)
		}
	}
	read(`SELECT name FROM sqlite_master WHERE type = 'table'`, func(r *sqlite.Stmt) { list = append(list, r.ColumnText(0)) })
	for _, name := range list {
		var rows strings.Builder
		read("SELECT * FROM "+name, func(r *sqlite.Stmt) {
			for i := range r.ColumnCount() {
				fmt.Fprintf(&rows, "%q ", r.ColumnText(i))
			}
			rows.WriteString("\n")
		})
		all[name] = rows.String()
	}
	return all
}
