package postgres_test

import (
	"context"
	"log/slog"
	"os"
	"sync"
	"testing"

	"countersign.dev/internal/authz"
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

func TestTheStoreKeepsTheContract(t *testing.T) {
	var urls sync.Map // the name of a test → its database
	storagetest.Run(t, func(t testing.TB) authz.Store {
		url, there := urls.Load(t.Name())
		if !there {
			url = pgtest.Database(t)
			urls.Store(t.Name(), url)
		}
		return open(t, url.(string))
	})
}
