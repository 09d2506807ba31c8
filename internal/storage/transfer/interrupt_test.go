package transfer_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"testing"
	"time"

	"countersign.dev/internal/storage/postgres"
	"countersign.dev/internal/storage/postgres/pgtest"
	"countersign.dev/internal/storage/sqlite"
	"countersign.dev/internal/storage/transfer"
)

func epoch() time.Time { return time.Time{} }

// killVariable makes the test binary a move that ends itself at a stage.
const killVariable = "TRANSFER_TEST_KILL"

func TestMain(m *testing.M) {
	if stage := os.Getenv(killVariable); stage != "" {
		_, err := transfer.Move(context.Background(), transfer.Options{
			Path: os.Args[1], To: os.Args[2], Place: "a place", Log: slog.New(slog.DiscardHandler), Now: time.Now, Rand: rand.Reader,
			Report: func(p transfer.Progress) {
				if string(p.Stage) == stage {
					kill(os.Getpid())
					select {} // until it arrives
				}
			},
		})
		fmt.Fprintln(os.Stderr, "it was not killed:", err)
		os.Exit(1)
	}
	os.Exit(pgtest.Main(m))
}

func kill(pid int) {
	if p, err := os.FindProcess(pid); err == nil {
		_ = p.Kill()
	}
}

var stages = []transfer.Stage{
	transfer.Copying, transfer.Indexing, transfer.Comparing, transfer.CatchUp, transfer.ReadOnly, transfer.Deciding, transfer.Copied, transfer.Moved,
}

func TestAMoveThatIsKilledAtAnyStageIsMadeAgain(t *testing.T) {
	t.Parallel()
	at := stages
	if testing.Short() {
		at = stages[len(stages)-3:] // the ones with two commits
	}
	for _, stage := range at {
		t.Run(string(stage), func(t *testing.T) {
			t.Parallel()
			h := newHouse(t, 200)
			cmd := exec.CommandContext(t.Context(), os.Args[0], h.path, h.url)
			cmd.Env = append(os.Environ(), killVariable+"="+string(stage))
			if out, err := cmd.CombinedOutput(); err == nil || cmd.ProcessState.Exited() {
				t.Fatalf("it was not killed: %v: %s", err, out)
			}
			// A server that runs goes on, unless the file is marked as moved.
			err := h.store.Ping(t.Context())
			if (err == nil) != (stage != transfer.Moved) {
				t.Errorf("the server's write: %v", err)
			}
			// Of the target nobody sees anything, or it is closed.
			store, err := postgres.Open(t.Context(), h.url, slog.New(slog.DiscardHandler))
			if closed := stage == transfer.Copied || stage == transfer.Moved; closed != (err != nil) {
				t.Errorf("opening the target: %v", err)
			}
			if err == nil {
				for table, rows := range dumpDatabase(t, h.url) {
					if len(rows) > 0 && table != "sweeps" && table != "schema_steps" {
						t.Errorf("the target has rows in %s", table)
					}
				}
				if err := store.Close(); err != nil {
					t.Fatal(err)
				}
			}
			// What it noted in the file is gone with the next server.
			if stage != transfer.Moved {
				if err := h.store.Close(); err != nil {
					t.Fatal(err)
				}
				h.start()
				for range 20 {
					if err := h.life2().Step(t.Context()); err != nil {
						t.Fatal(err)
					}
				}
			}
			out := h.move(nil)
			if out.Finished != (stage == transfer.Moved) {
				t.Errorf("the second run did %+v", out)
			}
			h.same()
			open, err := postgres.Open(t.Context(), h.url, slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			if err := open.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestAMoveThatIsCancelledLeavesBothAsTheyWere(t *testing.T) {
	t.Parallel()
	for _, stage := range stages[:5] {
		t.Run(string(stage), func(t *testing.T) {
			t.Parallel()
			h := newHouse(t, 200)
			h.prepare()
			there := dumpDatabase(t, h.url)
			c := h.gather(1)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			_, err := transfer.Move(ctx, h.options(func(p transfer.Progress) {
				if p.Stage == stage {
					cancel()
				}
			}))
			if !errors.Is(err, context.Canceled) && ctx.Err() == nil {
				t.Fatalf("got %v", err)
			}
			if err == nil {
				t.Fatal("it moved")
			}
			c.await(20)
			c.disperse()
			if c.refused.Load() > 0 {
				t.Error("a write was refused")
			}
			h.untouched(there)
		})
	}
	// It is not given up when both have begun to commit.
	h := newHouse(t, 200)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	if _, err := transfer.Move(ctx, h.options(func(p transfer.Progress) {
		if p.Stage == transfer.Deciding {
			cancel()
		}
	})); err != nil {
		t.Fatal(err)
	}
	h.same()
}

func TestPostgreSQLIsLostInTheMiddle(t *testing.T) {
	t.Parallel()
	cluster, err := pgtest.Start(t.Context(), pgtest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := cluster.Close(); err != nil {
			t.Error(err)
		}
	}()
	for _, stage := range []transfer.Stage{transfer.Comparing, transfer.Deciding, transfer.Copied} {
		t.Run(string(stage), func(t *testing.T) {
			h := newHouse(t, 200)
			if h.url, err = cluster.NewDatabase(t.Context()); err != nil {
				t.Fatal(err)
			}
			killed := false
			_, err := transfer.Move(t.Context(), h.options(func(p transfer.Progress) {
				if p.Stage == stage && !killed {
					killed = true
					if err := cluster.Stop(t.Context(), pgtest.Immediate); err != nil {
						t.Error(err)
					}
				}
			}))
			if err == nil {
				t.Fatal("it moved")
			}
			var unfinished *transfer.UnfinishedError
			moved := errors.As(err, &unfinished) && unfinished.Moved
			if errors.As(err, &unfinished) != (stage != transfer.Comparing) || moved != (stage == transfer.Copied) {
				t.Errorf("got %v", err)
			}
			if err := h.store.Ping(t.Context()); (err == nil) == moved {
				t.Errorf("the server's write: %v", err)
			}
			if err := cluster.Restart(t.Context()); err != nil {
				t.Fatal(err)
			}
			if out := h.move(nil); out.Finished != moved {
				t.Errorf("the second run did %+v", out)
			}
			h.same()
		})
	}
}

func TestTheRemainsOfAKilledMoveGoWithTheNextStart(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 50)
	cmd := exec.CommandContext(t.Context(), os.Args[0], h.path, h.url)
	cmd.Env = append(os.Environ(), killVariable+"="+string(transfer.Indexing))
	_ = cmd.Run() // it kills itself
	store, err := sqlite.Open(t.Context(), h.path)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	h.untouched(dumpDatabase(t, h.url))
}
