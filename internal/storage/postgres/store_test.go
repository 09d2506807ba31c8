package postgres_test

import (
	"context"
	"log/slog"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"

	"countersign.dev/internal/authz/contract"
	"countersign.dev/internal/storage/postgres"
	"countersign.dev/internal/storage/postgres/pgtest"
	"countersign.dev/internal/storage/storagetest"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

func open(t testing.TB, url string) *postgres.Store {
	t.Helper()
	store, err := postgres.Open(context.Background(), url, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return store
}

// What the contract names as an outcome is none of PostgreSQL's errors: one would
// take the operations of everybody else in its group down with it. Two cases repeat
// a random key to see what becomes of the rest, and locks are waited for in vain
// where many race.
var expectedErrors = regexp.MustCompile(`"(refresh_tokens|grants)_pkey"|lock timeout|deadlock`)

func TestTheStoreKeepsTheContractWithoutAnError(t *testing.T) {
	cluster := pgtest.Shared(t)
	before := len(cluster.Log())
	t.Cleanup(func() {
		for line := range strings.Lines(cluster.Log()[before:]) {
			if strings.Contains(line, "ERROR:") && !expectedErrors.MatchString(line) {
				t.Errorf("PostgreSQL said: %s", line)
			}
		}
	})
	var urls sync.Map // the name of a test → its database
	storagetest.Run(t, func(t testing.TB) contract.Store {
		url, there := urls.Load(t.Name())
		if !there {
			url = pgtest.Database(t)
			urls.Store(t.Name(), url)
		}
		return open(t, url.(string))
	})
}
