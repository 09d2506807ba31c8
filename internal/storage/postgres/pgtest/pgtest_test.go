package pgtest_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"countersign.dev/internal/storage/postgres/pgtest"
)

// orphan makes this test binary a program that starts a cluster and waits to be
// killed.
const orphan = "PGTEST_ORPHAN"

func TestMain(m *testing.M) {
	if os.Getenv(orphan) != "" {
		c, err := pgtest.Start(context.Background(), pgtest.Options{})
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println(c.AdminURL())
		select {}
	}
	os.Exit(pgtest.Main(m))
}

func connect(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

func exec1(t *testing.T, url, sql string) {
	t.Helper()
	conn := connect(t, url)
	defer conn.Close(t.Context())
	if _, err := conn.Exec(t.Context(), sql); err != nil {
		t.Fatal(err)
	}
}

func show(t *testing.T, url, sql string) (text string) {
	t.Helper()
	conn := connect(t, url)
	defer conn.Close(t.Context())
	if err := conn.QueryRow(t.Context(), sql).Scan(&text); err != nil {
		t.Fatal(err)
	}
	return text
}

func TestACommittedRowOutlivesEveryWayToEnd(t *testing.T) {
	c, err := pgtest.Start(t.Context(), pgtest.Options{Settings: map[string]string{"application_name": "it's here"}})
	if err != nil {
		t.Fatal(err)
	}
	address := c.Address()
	url, err := c.NewDatabase(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got := show(t, url, `SELECT setting || ' ' || current_user FROM pg_settings WHERE name = 'fsync'`); got != "off "+pgtest.Role {
		t.Errorf("fsync and role are %q", got)
	}
	exec1(t, url, `CREATE TABLE seen (how text)`)
	for how, end := range map[string]func(context.Context) error{
		"fast":      func(ctx context.Context) error { return c.Stop(ctx, pgtest.Fast) },
		"immediate": func(ctx context.Context) error { return c.Stop(ctx, pgtest.Immediate) },
		"killed":    c.Kill,
	} {
		exec1(t, url, `INSERT INTO seen VALUES ('`+how+`')`)
		// Somebody who stays connected hinders none of them.
		idle := connect(t, url)
		if err := end(t.Context()); err != nil {
			t.Fatal(err)
		}
		if conn, err := pgx.Connect(t.Context(), url); err == nil {
			conn.Close(t.Context())
			t.Errorf("%s: connections are still accepted", how)
		}
		if err := c.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
		if idle.Ping(t.Context()) == nil {
			t.Errorf("%s: a connection outlived the server", how)
		}
		idle.Close(t.Context())
		if got := show(t, url, `SELECT count(*)::text FROM seen WHERE how = '`+how+`'`); got != "1" {
			t.Errorf("%s: %s rows", how, got)
		}
	}
	if err := c.Restart(t.Context()); err == nil {
		t.Error("a running cluster was started once more")
	}
	if c.Address() != address {
		t.Errorf("the address went from %s to %s", address, c.Address())
	}
	dir := show(t, c.AdminURL(), `SHOW data_directory`)
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	checkGone(t, dir)
}

func TestADatabaseIsOneTestsOwn(t *testing.T) {
	var first string
	t.Run("borrower", func(t *testing.T) {
		first = pgtest.Database(t)
		second := pgtest.Database(t)
		exec1(t, first, `CREATE TABLE mine (x int)`)
		exec1(t, second, `CREATE TABLE mine (x int)`)
		if got := show(t, first, `SHOW server_encoding`); got != "UTF8" {
			t.Errorf("the encoding is %s", got)
		}
		connect(t, first) // and stay
	})
	third, fourth := pgtest.Database(t), pgtest.Database(t)
	if first != third && first != fourth {
		t.Error("a database that was given back is not used again")
	}
	// PostgreSQL cleans up in it now and then, which is nobody's connection.
	if got := show(t, first, `SELECT count(*)::text FROM pg_stat_activity WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()`); got != "0" {
		t.Errorf("%s are still connected to a database that was given back", got)
	}
	exec1(t, first, `CREATE TABLE mine (x int)`)
}

func TestTheClusterEndsWithAProcessThatIsKilled(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Env = append(os.Environ(), orphan+"=1")
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(stdout).ReadString('\n')
	url := strings.TrimSpace(line)
	if err != nil || !strings.HasPrefix(url, "postgres://") {
		t.Fatalf("%v: %s", err, line)
	}
	dir := show(t, url, `SHOW data_directory`)
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it was killed
	checkGone(t, dir)
}

// checkGone waits a little for a cluster to be gone, files and processes.
func checkGone(t *testing.T, dir string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		// Every process of a cluster is below one that names the directory.
		out, err := exec.CommandContext(ctx, "ps", "-A", "-o", "args").Output()
		if err != nil {
			t.Fatal(err)
		}
		_, gone := os.Stat(dir)
		if errors.Is(gone, os.ErrNotExist) && !strings.Contains(string(out), dir) {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("the cluster in %s is still there (%v)", dir, gone)
		}
	}
}

func BenchmarkNewDatabase(b *testing.B) {
	c := pgtest.Shared(b)
	for b.Loop() {
		if _, err := c.NewDatabase(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}
