package postgres_test

import (
	"context"
	"errors"
	"log/slog"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/contract"
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
			err := stores[i].ChangeSigningKeys(context.Background(), contract.KeyChange{Keys: []authz.SigningKey{
				{ID: string(rune('a' + i)), Algorithm: "ES256", Sealed: []byte{byte(i)}, CreatedAt: began},
				{ID: string(rune('A' + i)), Algorithm: "RS256", Sealed: []byte{byte(i)}, CreatedAt: began},
			}})
			if err != nil && !errors.Is(err, contract.ErrChanged) {
				t.Error(err)
			}
			if keys[i], err = stores[i].SigningKeys(context.Background(), began); err != nil {
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
	upToDate := func(url string, want bool) {
		t.Helper()
		if got := postgres.UpToDate(t.Context(), url); got != want {
			t.Errorf("up to date: %t, want %t", got, want)
		}
	}
	upToDate(url, false)
	if err := open(t, url).Close(); err != nil {
		t.Fatal(err)
	}
	upToDate(url, true)
	upToDate("postgres://:x", false)
	upToDate("postgres://127.0.0.1:1/x", false)
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
	upToDate(url, false)
	if _, err := postgres.Open(t.Context(), url, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "use the newer program") {
		t.Errorf("got %v", err)
	}
}

// Once the schema is up to date, a role that may only read and write rows will do.
func TestARoleThatMayNotMakeTablesCanServe(t *testing.T) {
	t.Parallel()
	database := pgtest.Database(t)
	if err := open(t, database).Close(); err != nil {
		t.Fatal(err)
	}
	cluster := pgtest.Shared(t)
	if err := cluster.Exec(t.Context(), `CREATE ROLE serving LOGIN PASSWORD 'serving'`); err != nil {
		t.Fatal(err)
	}
	c, err := pgx.Connect(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_, err := c.Exec(context.Background(), `REVOKE ALL ON ALL TABLES IN SCHEMA public FROM serving`)
		if err := errors.Join(err, c.Close(context.Background()), cluster.Exec(context.Background(), `DROP ROLE serving`)); err != nil {
			t.Error(err)
		}
	})
	if _, err := c.Exec(t.Context(), `GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO serving`); err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword("serving", "serving")
	s := opened(t, u.String())
	if err := s.ChangeSigningKeys(t.Context(), contract.KeyChange{Keys: []authz.SigningKey{{ID: "key", Algorithm: "ES256", CreatedAt: began, Sealed: []byte{1}}}}); err != nil {
		t.Error(err)
	}
	decide(t, s, 1)
	if n, err := s.Sweep(t.Context(), contract.SweepTimes{DeviceRequests: began.Add(2 * time.Hour)}, 10); n != 1 || err != nil {
		t.Errorf("swept %d: %v", n, err)
	}
}

func TestADatabaseThatAcknowledgesTooEarlyIsRefused(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	if _, err := postgres.Open(t.Context(), url+"&synchronous_commit=off", slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "synchronous_commit") {
		t.Errorf("got %v", err)
	}
}
