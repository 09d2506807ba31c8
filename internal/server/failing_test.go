package server_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	driver "zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/contract"
	"countersign.dev/internal/issuer"
	"countersign.dev/internal/storage/sqlite"
)

// breaker makes every statement about a table fail.
type breaker struct {
	t    testing.TB
	conn *driver.Conn
}

func (h *house) breaker() breaker {
	h.t.Helper()
	conn, err := driver.OpenConn(h.path, driver.OpenReadWrite)
	if err != nil {
		h.t.Fatal(err)
	}
	b := breaker{h.t, conn}
	h.t.Cleanup(func() { conn.Close() })
	b.do("PRAGMA legacy_alter_table = ON", nil) // references of other tables are to fail as well, not to follow
	return b
}

func (b breaker) do(statement string, row func(*driver.Stmt) error) {
	b.t.Helper()
	if err := sqlitex.Execute(b.conn, statement, &sqlitex.ExecOptions{ResultFunc: row}); err != nil {
		b.t.Fatal(err)
	}
}

// tables are all there are.
func (b breaker) tables() (names []string) {
	b.t.Helper()
	b.do("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name", func(r *driver.Stmt) error {
		names = append(names, r.ColumnText(0))
		return nil
	})
	return names
}

// broken breaks a table until mend is called.
func (b breaker) broken(table string) (mend func()) {
	b.t.Helper()
	b.do("ALTER TABLE "+table+" RENAME TO away", nil)
	return func() {
		b.t.Helper()
		b.do("ALTER TABLE away RENAME TO "+table, nil)
	}
}

// deeds are what people and devices do. Each is made ready first, with all that it
// needs, and then done.
var deeds = map[string]func(h *house, who string) func() reply{
	"ask": func(h *house, who string) func() reply {
		return func() reply {
			return h.postForm(codePath, url.Values{"client_id": {"stored"}, "scope": {"openid"}})
		}
	},
	"follow a link with a code": func(h *house, who string) func() reply {
		cookie := h.signIn(who)
		return func() reply { return h.send(http.MethodGet, "/device?code="+wrong(1), "", "Cookie", cookie) }
	},
	"poll": func(h *house, who string) func() reply {
		d := h.ask("stored", "openid")
		return func() reply { return awaited(h.poll(d), "authorization_pending") }
	},
	"redeem": func(h *house, who string) func() reply {
		d := h.ask("stored", "openid offline_access")
		h.approve(h.signIn(who), d.userCode)
		return func() reply { return h.poll(d) }
	},
	"refresh": func(h *house, who string) func() reply {
		token := h.tokens("stored", "openid offline_access", who).text("refresh_token")
		return func() reply { return h.postForm(tokenPath, refreshForm("stored", token)) }
	},
	"use a token that was replaced long ago": func(h *house, who string) func() reply {
		first := h.tokens("stored", "openid offline_access", who).text("refresh_token")
		for token, n := first, 0; n < 3; n++ {
			h.advance(time.Minute)
			token = h.postForm(tokenPath, refreshForm("stored", token)).wantOK().text("refresh_token")
		}
		return func() reply { return awaited(h.postForm(tokenPath, refreshForm("stored", first)), "invalid_grant") }
	},
	"revoke a refresh token": func(h *house, who string) func() reply {
		token := h.tokens("stored", "openid offline_access", who).text("refresh_token")
		return func() reply { return h.postForm(revokePath, url.Values{"client_id": {"stored"}, "token": {token}}) }
	},
	"revoke an access token": func(h *house, who string) func() reply {
		token := h.tokens("stored", "openid", who).text("access_token")
		return func() reply { return h.postForm(revokePath, url.Values{"client_id": {"stored"}, "token": {token}}) }
	},
	"user info": func(h *house, who string) func() reply {
		token := h.tokens("stored", "openid profile", who).text("access_token")
		return func() reply { return h.userInfo(token) }
	},
	"sign in": func(h *house, who string) func() reply {
		h.signIn(who)
		return func() reply { return h.signed(who, http.MethodPost, signInPath, "") }
	},
	"sign up": func(h *house, who string) func() reply {
		return func() reply {
			return h.signed(who+h.now().String(), http.MethodPost, signInPath, "") // somebody new each time
		}
	},
	"who is signed in":  seen(http.MethodGet, "/api/auth/get-session"),
	"sign out":          seen(http.MethodPost, "/api/auth/sign-out"),
	"list grants":       seen(http.MethodGet, "/api/grants"),
	"list sessions":     seen(http.MethodGet, "/api/sessions"),
	"list events":       seen(http.MethodGet, "/api/events"),
	"list passkeys":     seen(http.MethodGet, "/api/passkeys"),
	"list backups":      seen(http.MethodGet, "/api/backups"),
	"list identities":   seen(http.MethodGet, "/api/user/bap-ids"),
	"the account page":  seen(http.MethodGet, "/account"),
	"end other session": seen(http.MethodPost, "/api/sessions/end-others"),
	"revoke all": func(h *house, who string) func() reply {
		h.tokens("stored", "openid", who)
		return seen(http.MethodPost, "/api/grants/revoke")(h, who)
	},
	"look at a code": func(h *house, who string) func() reply {
		d := h.ask("stored", "openid")
		cookie := h.signIn(who)
		return func() reply { return h.open(cookie, d.userCode) }
	},
	"look at a code as a stranger": func(h *house, who string) func() reply {
		d := h.ask("stored", "openid")
		return func() reply { return h.send(http.MethodGet, statusPath+d.userCode, "") }
	},
	"a wrong code": func(h *house, who string) func() reply {
		cookie := h.signIn(who)
		return func() reply { return awaited(h.open(cookie, "BBBB-BBBB"), "invalid_request") }
	},
	"the statement": func(h *house, who string) func() reply {
		d := h.ask("stored", "openid")
		h.signIn(who)
		return func() reply {
			return h.signed(who, http.MethodGet, "/api/auth/device/approval?user_code="+d.userCode, "")
		}
	},
	"approve": func(h *house, who string) func() reply {
		d := h.ask("stored", "openid")
		cookie := h.signIn(who)
		h.open(cookie, d.userCode).wantOK()
		return func() reply {
			return h.postJSON(approvePath, map[string]any{"userCode": d.userCode}, "Cookie", cookie)
		}
	},
	"deny": func(h *house, who string) func() reply {
		d := h.ask("stored", "openid")
		cookie := h.signIn(who)
		h.open(cookie, d.userCode).wantOK()
		return func() reply { return h.postJSON(denyPath, map[string]any{"userCode": d.userCode}, "Cookie", cookie) }
	},
	"enter a code": func(h *house, who string) func() reply {
		d := h.ask("stored", "openid")
		cookie := h.signIn(who)
		return func() reply { return followed(h.page("/device", cookie, url.Values{"code": {d.userCode}})) }
	},
	"review": func(h *house, who string) func() reply {
		d := h.ask("stored", "openid")
		cookie := h.signIn(who)
		visit := h.page("/device", cookie, url.Values{"code": {d.userCode}}).header.Get("Location")
		return func() reply { return h.send(http.MethodGet, visit, "", "Cookie", cookie) }
	},
	"approve on the page": decided("approve"),
	"deny on the page":    decided("deny"),
	"report on the page":  decided("report"),
	"what was decided": func(h *house, who string) func() reply {
		d := h.ask("stored", "openid")
		cookie := h.signIn(who)
		_, transaction := h.review(cookie, d.userCode)
		done := h.page("/device/decide", cookie, url.Values{"transaction": {transaction}, "decision": {"deny"}}).header.Get("Location")
		return func() reply { return h.send(http.MethodGet, done, "", "Cookie", cookie) }
	},
	"revoke a grant": func(h *house, who string) func() reply {
		d := h.ask("stored", "openid")
		id := h.approveSigned(who, d.userCode)
		cookie := h.signIn(who)
		return func() reply {
			return h.postJSON("/api/grants/"+id+"/revoke", map[string]any{"report": true}, "Cookie", cookie)
		}
	},
	"a receipt": func(h *house, who string) func() reply {
		d := h.ask("stored", "openid")
		id := h.approveSigned(who, d.userCode)
		cookie := h.signIn(who)
		return func() reply { return h.send(http.MethodGet, "/api/grants/"+id+"/receipt", "", "Cookie", cookie) }
	},
	"end a session": func(h *house, who string) func() reply {
		cookie := h.signIn(who)
		id := h.sessions(cookie)[0].ID
		return func() reply { return h.postJSON("/api/sessions/"+id+"/end", map[string]any{}, "Cookie", cookie) }
	},
	"change the profile": func(h *house, who string) func() reply {
		h.signIn(who)
		return func() reply {
			return h.signed(who, http.MethodPut, "/api/bap/profile", `{"aud":"`+testIssuer+`","bapId":"`+bapIDOf(h.t, who)+`","name":"me"}`)
		}
	},
	"options for a passkey": func(h *house, who string) func() reply {
		h.registered(who)
		return seen(http.MethodPost, passkeyOptionsPath)(h, who)
	},
	"options for signing in": func(h *house, who string) func() reply {
		return func() reply { return h.postJSON(passkeySignInPath+"/options", map[string]any{}) }
	},
	"add a passkey": func(h *house, who string) func() reply {
		a, cookie := newAuthenticator(h.t), h.signIn(who)
		c := h.passkeyOptions(cookie)
		credential := a.create(c.Options)
		return func() reply { return h.addPasskey(cookie, who, c, credential) }
	},
	"sign in with a passkey": func(h *house, who string) func() reply {
		a := h.registered(who)
		c := h.passkeySignInOptions()
		credential := a.get(c.Options)
		return func() reply { return h.assert(c, credential) }
	},
	"remove a passkey": func(h *house, who string) func() reply {
		a := h.registered(who)
		cookie := h.signIn(who)
		return func() reply {
			return h.postJSON(passkeysPath+"/"+b64(a.id)+"/remove", map[string]any{}, "Cookie", cookie)
		}
	},
	"link an identity": func(h *house, who string) func() reply {
		cookie := h.signIn(who)
		return func() reply { return h.link(cookie, who+h.now().String(), who) } // another each time
	},
	"take an identity out": func(h *house, who string) func() reply {
		h.link(h.signIn(who), who+"-work", who).wantOK()
		return func() reply { return h.removeIdentity(who+"-work", who) }
	},
	"save a backup": func(h *house, who string) func() reply {
		h.signIn(who)
		text := aBackup(h.t)
		return func() reply { return h.saveBackup(who, text) }
	},
	"fetch a backup": func(h *house, who string) func() reply {
		cookie := h.signIn(who)
		h.saveBackup(who, aBackup(h.t)).wantOK()
		return func() reply {
			return h.send(http.MethodGet, backupPath+"?bapId="+bapIDOf(h.t, who), "", "Cookie", cookie)
		}
	},
	"remove a backup": func(h *house, who string) func() reply {
		h.saveBackup(who, aBackup(h.t)).wantOK()
		return func() reply {
			return h.signed(who, http.MethodPost, backupPath+"/remove", `{"aud":"`+testIssuer+`","bapId":"`+bapIDOf(h.t, who)+`"}`)
		}
	},
}

// aBackup is one for anybody: a key is drawn out of its password slowly.
func aBackup(t testing.TB) string {
	backup.Do(func() { backupText = bep(t, "alice") })
	return backupText
}

var (
	backup     sync.Once
	backupText string
)

// seen is a request that needs a session and nothing else.
func seen(method, path string) func(h *house, who string) func() reply {
	return func(h *house, who string) func() reply {
		cookie := h.signIn(who)
		return func() reply {
			if method == http.MethodGet {
				return h.send(method, path, "", "Cookie", cookie)
			}
			return h.postJSON(path, map[string]any{}, "Cookie", cookie)
		}
	}
}

// decided is a decision on the page.
func decided(decision string) func(h *house, who string) func() reply {
	return func(h *house, who string) func() reply {
		d := h.ask("stored", "openid")
		cookie := h.signIn(who)
		_, transaction := h.review(cookie, d.userCode)
		return func() reply {
			return followed(h.page("/device/decide", cookie, url.Values{"transaction": {transaction}, "decision": {decision}, "scope": {"openid"}, "match": {d.userCode}}))
		}
	}
}

// followed and awaited are answers that are no success by their status, and one here.
func followed(r reply) reply {
	if r.status == http.StatusSeeOther {
		r.status = http.StatusOK
	}
	return r
}

func awaited(r reply, code string) reply {
	if r.status == http.StatusBadRequest && strings.Contains(r.body, `"`+code+`"`) {
		r.status = http.StatusOK
	}
	return r
}

// attempts returns what spoils something and does a deed. What failed changed
// nothing, so that the same can be attempted again, mostly; what was done is made
// ready for another person.
func attempts(t *testing.T, deed func(h *house, who string) func() reply) (*house, func(spoil func() (mend func())) reply) {
	t.Helper()
	h := newHouse(t)
	if err := h.store.AddClient(t.Context(), authz.Client{ID: "stored", Scope: "openid profile offline_access"}); err != nil {
		t.Fatal(err)
	}
	var act func() reply
	n := 0
	var attempt func(spoil func() (mend func())) reply
	attempt = func(spoil func() (mend func())) reply {
		fresh := act == nil
		if fresh {
			n++
			act = deed(h, fmt.Sprintf("person %d", n))
		}
		h.advance(time.Second) // what is remembered of the client is over
		mend := spoil()
		r := act()
		mend()
		if r.status < http.StatusInternalServerError {
			act = nil
		}
		if r.status != http.StatusOK && act == nil && !fresh { // it counts once, and did
			return attempt(spoil)
		}
		return r
	}
	return h, attempt
}

var update = flag.Bool("update", false, "rewrite golden files")

const needsFile = "testdata/needs.txt"

// needs are the tables that each deed cannot do without, and how often it draws
// from the source of randomness: whatever fails of that fails the deed.
var needs = sync.OnceValues(func() (map[string]string, error) {
	text, err := os.ReadFile(needsFile)
	of := map[string]string{}
	for line := range strings.Lines(string(text)) {
		name, what, _ := strings.Cut(strings.TrimSpace(line), ": ")
		of[name] = what
	}
	return of, err
})

func TestWhatFailsOfTheStoreOrTheRandomnessFailsTheDeed(t *testing.T) {
	inFull(t)
	onlySQLite(t)
	var mu sync.Mutex
	var found []string
	t.Run("deed", func(t *testing.T) {
		for name, deed := range deeds {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				h, attempt := attempts(t, deed)
				draws := int64(0)
				good := attempt(func() func() {
					const many = 1 << 20
					h.random.left.Store(many)
					return func() {
						draws = many - h.random.left.Load()
						h.random.left.Store(-1)
					}
				})
				if good.status != http.StatusOK {
					t.Fatalf("%d %s", good.status, good.body)
				}
				for n := range draws {
					r := attempt(func() func() {
						h.random.left.Store(n)
						return func() { h.random.left.Store(-1) }
					})
					if r.status != http.StatusInternalServerError || len(h.lines("panic")) > 0 {
						t.Errorf("with %d of %d draws: %d %s, panics: %v", n, draws, r.status, r.body, h.lines("panic"))
					}
				}
				tables := []string{}
				b := h.breaker()
				for _, table := range b.tables() {
					r := attempt(func() func() { return b.broken(table) })
					if r.status >= http.StatusInternalServerError {
						tables = append(tables, table)
					} else if r.status != http.StatusOK {
						t.Errorf("without %s: %d %s", table, r.status, r.body)
					}
				}
				mu.Lock()
				defer mu.Unlock()
				is := strings.TrimSpace(fmt.Sprintf("%d draws, %s", draws, strings.Join(tables, " ")))
				found = append(found, name+": "+is+"\n")
				if want, err := needs(); !*update && (err != nil || want[name] != is) {
					t.Errorf("needs %s\nbut %s says %s (%v); -update writes it anew", is, needsFile, want[name], err)
				}
			})
		}
	})
	if *update {
		slices.Sort(found)
		if err := os.WriteFile(needsFile, []byte(strings.Join(found, "")), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// How often a number is drawn is itself drawn, so that it is no deed of the list.
func TestANumberThatCannotBeDrawnIsNotLeftOut(t *testing.T) {
	h := newHouse(t)
	h.random.left.Store(0)
	form := url.Values{"client_id": {"pub-a"}, "number_match": {"true"}}
	if r := h.postForm(codePath, form); r.status != http.StatusInternalServerError {
		t.Errorf("%d %s", r.status, r.body)
	}
	h.postForm(codePath, form).wantOK()
}

func TestAServerDoesNotStartOnAStoreThatFails(t *testing.T) {
	h := newHouse(t)
	start := func(kept int, f *fault) (calls []string, err error) {
		t.Helper()
		keys, err := h.store.SigningKeys(t.Context(), time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		slices.SortFunc(keys, func(a, b authz.SigningKey) int { return -strings.Compare(a.Algorithm, b.Algorithm) }) // RS256 first: it takes long
		lite, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "countersign.db"))
		if err != nil {
			t.Fatal(err)
		}
		defer lite.Close()
		if err := lite.ChangeSigningKeys(t.Context(), contract.KeyChange{Keys: keys[:kept]}); err != nil {
			t.Fatal(err)
		}
		store := &failing{Store: lite}
		calls = store.during(f, func(ctx context.Context) {
			var service *issuer.Issuer
			service, err = issuer.New(ctx, issuer.Options{
				Store: store, Settings: h.settings, Secret: make([]byte, authz.SecretLength), Clock: h.now, Rand: h.random, Log: slog.New(slog.DiscardHandler),
			})
			if err == nil {
				service.Close()
			}
		})
		return calls, err
	}
	for _, kept := range []int{2, 3} {
		calls, err := start(kept, nil)
		if err != nil || len(calls) == 0 {
			t.Fatalf("%v %v", calls, err)
		}
		if added := slices.Contains(calls, "ChangeSigningKeys"); added != (kept < 3) { // an RSA key takes long
			t.Errorf("with %d keys of 3 there, some are added: %v", kept, added)
		}
		made := map[string]int{}
		for _, method := range calls {
			made[method]++
			if _, err := start(kept, &fault{method, made[method], false, errDead}); !errors.Is(err, errDead) {
				t.Errorf("without call %d of %s it started: %v", made[method], method, err)
			}
		}
	}
}
