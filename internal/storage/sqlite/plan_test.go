package sqlite

import (
	"path/filepath"
	"testing"

	"zombiezen.com/go/sqlite"
)

func TestAStatementIsCompiledOnceWhateverIsBoundToIt(t *testing.T) {
	s, err := Open(t.Context(), filepath.Join(t.TempDir(), "countersign.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	err = s.read(t.Context(), func(c *sqlite.Conn) error {
		compiled := 0 // SQLite asks what it may do whenever it compiles
		err := c.SetAuthorizer(sqlite.AuthorizeFunc(func(sqlite.Action) sqlite.AuthResult {
			compiled++
			return sqlite.AuthResultOK
		}))
		if err != nil {
			return err
		}
		defer func() { _ = c.SetAuthorizer(nil) }()
		for _, statement := range []string{
			`SELECT g.id FROM grants g JOIN accounts a ON a.id = g.account_id WHERE g.id = ?`,
			`SELECT g.id FROM grants g WHERE EXISTS (SELECT 1 FROM accounts a WHERE a.id = g.account_id) AND g.id = ?`,
			`SELECT count(DISTINCT client_id) FROM grants WHERE account_id = ? GROUP BY scope`,
			`SELECT id FROM grants ORDER BY created_at LIMIT ?`,
		} {
			if _, err := query(c, func(*sqlite.Stmt) {}, statement, 1); err != nil {
				return err
			}
			once := compiled
			for i := range 3 {
				if _, err := query(c, func(*sqlite.Stmt) {}, statement, 2+i); err != nil {
					return err
				}
			}
			if once == 0 || compiled != once {
				t.Errorf("%s: what it may do was asked %d times at first and %d times in all", statement, once, compiled)
			}
			compiled = 0
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
