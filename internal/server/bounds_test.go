package server_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"

	"countersign.dev/internal/authz"
)

// number reads the one number that a statement finds in the database.
func (h *house) number(statement string) (n int) {
	h.t.Helper()
	if onPostgres {
		c, err := pgx.Connect(context.Background(), h.url)
		if err != nil {
			h.t.Fatal(err)
		}
		defer c.Close(context.Background())
		if err := c.QueryRow(context.Background(), statement).Scan(&n); err != nil {
			h.t.Fatal(err)
		}
		return n
	}
	c, err := sqlite.OpenConn(h.path, sqlite.OpenReadOnly)
	if err != nil {
		h.t.Fatal(err)
	}
	defer c.Close()
	err = sqlitex.Execute(c, statement, &sqlitex.ExecOptions{ResultFunc: func(r *sqlite.Stmt) error {
		n = r.ColumnInt(0)
		return nil
	}})
	if err != nil {
		h.t.Fatal(err)
	}
	return n
}

// wantRows fails unless a table has exactly so many.
func (h *house) wantRows(table string, want int) {
	h.t.Helper()
	if n := h.number("SELECT count(*) FROM " + table); n != want {
		h.t.Errorf("%d rows in %s, want %d", n, table, want)
	}
}

func TestA4_AGrantThatIsRefreshedInALoopKeepsTwoTokens(t *testing.T) {
	h := newHouse(t)
	refresh := h.tokens("pub-a", "openid offline_access", "alice").text("refresh_token")
	for range 50 {
		h.advance(time.Second)
		refresh = h.postForm(tokenPath, refreshForm("pub-a", refresh)).wantOK().text("refresh_token")
	}
	h.wantRows("refresh_tokens", 2)
}

// However long ago a token was replaced, and though nothing is kept of it, it is
// known for ours; so a thief who refreshes often hides nothing.
func TestR02_ATokenReplacedLongAgoEndsTheGrant(t *testing.T) {
	h := newHouse(t)
	first := h.tokens("pub-a", "openid offline_access", "alice")
	chain := []string{first.text("refresh_token")}
	for range 10 {
		h.advance(24 * time.Hour)
		chain = append(chain, h.postForm(tokenPath, refreshForm("pub-a", chain[len(chain)-1])).wantOK().text("refresh_token"))
	}
	h.postForm(tokenPath, refreshForm("pub-b", chain[3])).wantError(http.StatusBadRequest, "invalid_grant") // not its client: nothing ends
	last := h.postForm(tokenPath, refreshForm("pub-a", chain[len(chain)-1])).wantOK()
	h.postForm(tokenPath, refreshForm("pub-a", chain[3])).wantError(http.StatusBadRequest, "invalid_grant")
	h.postForm(tokenPath, refreshForm("pub-a", last.text("refresh_token"))).wantError(http.StatusBadRequest, "invalid_grant")
	h.userInfo(last.text("access_token")).wantError(http.StatusUnauthorized, "invalid_token")
	if n := h.number("SELECT count(*) FROM events WHERE subject = 'refresh-token-reused'"); n != 1 {
		t.Errorf("the owner was told %d times", n)
	}
}

// A token that nobody used for too long is over, which is no theft.
func TestR08_WhoComesTooLateIsNoThief(t *testing.T) {
	h := newHouse(t)
	refresh := h.tokens("pub-a", "openid offline_access", "alice").text("refresh_token")
	h.advance(31 * 24 * time.Hour)
	if _, err := h.store.Sweep(t.Context(), authz.SweepTimes{Rest: h.now()}, 100); err != nil {
		t.Fatal(err)
	}
	h.wantRows("refresh_tokens", 0)
	h.postForm(tokenPath, refreshForm("pub-a", refresh)).wantError(http.StatusBadRequest, "invalid_grant")
	if n := h.number("SELECT count(*) FROM grants WHERE revoked_at > 0"); n != 0 {
		t.Error("the grant was revoked")
	}
}

// A made-up token that names a grant is nobody's.
func TestR02_OnlyTokensOfOursEndAGrant(t *testing.T) {
	h := newHouse(t)
	tokens := h.tokens("pub-a", "openid offline_access", "alice")
	refresh := []byte(tokens.text("refresh_token"))
	for i := range refresh {
		changed := append([]byte(nil), refresh...)
		changed[i] ^= 1
		h.postForm(tokenPath, refreshForm("pub-a", string(changed))).wantError(http.StatusBadRequest, "invalid_grant")
	}
	h.userInfo(tokens.text("access_token")).wantOK()
	h.postForm(tokenPath, refreshForm("pub-a", string(refresh))).wantOK()
}

func TestA4_AGrantIsRefreshedSixtyTimesAMinute(t *testing.T) {
	h := newHouse(t)
	refresh := h.tokens("pub-a", "openid offline_access", "alice").text("refresh_token")
	other := h.tokens("pub-a", "openid offline_access", "alice").text("refresh_token")
	for range 120 {
		refresh = h.postForm(tokenPath, refreshForm("pub-a", refresh)).wantOK().text("refresh_token")
	}
	r := h.postForm(tokenPath, refreshForm("pub-a", refresh))
	r.wantError(http.StatusTooManyRequests, "temporarily_unavailable")
	if r.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	h.postForm(tokenPath, refreshForm("pub-a", other)).wantOK()
	h.advance(time.Second)
	h.postForm(tokenPath, refreshForm("pub-a", refresh)).wantOK()
}
