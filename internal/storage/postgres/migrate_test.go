package postgres_test

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/storage/postgres"
	"countersign.dev/internal/storage/postgres/pgtest"
)

func TestServersThatStartTogetherMigrateOnceAndHaveTheSameKeys(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	const servers = 8
	stores := make([]*postgres.Store, servers)
	keys := make([][]authz.SigningKey, servers)
	var starting sync.WaitGroup
	for i := range stores {
		starting.Go(func() {
			stores[i] = open(t, url)
			var err error
			keys[i], err = stores[i].AddSigningKeys(context.Background(), []authz.SigningKey{
				{ID: string(rune('a' + i)), Algorithm: "ES256", Sealed: []byte{byte(i)}, CreatedAt: began},
				{ID: string(rune('A' + i)), Algorithm: "RS256", Sealed: []byte{byte(i)}, CreatedAt: began},
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	starting.Wait()
	for i, s := range stores {
		if len(keys[i]) != 2 || keys[i][0].ID != keys[0][0].ID || keys[i][1].ID != keys[0][1].ID {
			t.Errorf("server %d has other keys", i)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestADatabaseNewerThanTheProgramIsRefused(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	if err := open(t, url).Close(); err != nil {
		t.Fatal(err)
	}
	c, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Exec(t.Context(), `INSERT INTO schema_steps (step) SELECT generate_series(100, 120)`); err != nil {
		t.Fatal(err)
	}
	if err := c.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := postgres.Open(t.Context(), url, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "use the newer program") {
		t.Errorf("got %v", err)
	}
}

func TestADatabaseThatAcknowledgesTooEarlyIsRefused(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	if _, err := postgres.Open(t.Context(), url+"&synchronous_commit=off", slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "synchronous_commit") {
		t.Errorf("got %v", err)
	}
}
