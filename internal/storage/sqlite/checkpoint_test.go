package sqlite

import (
	"testing"

	"zombiezen.com/go/sqlite"
)

func TestTheLogIsFoldedBehindTheWriter(t *testing.T) {
	if testing.Short() {
		t.Skip("this takes long")
	}
	s := open(t)
	if err := s.checkpointer.close(); err != nil { // the test folds itself
		t.Fatal(err)
	}
	conn := <-s.pool
	defer func() { s.pool <- conn }()
	due := make(chan struct{}, 1)
	f := &checkpointer{conn: conn}
	// The writer's goroutine reads it, and is at rest.
	if err := s.writer.do(t.Context(), single, func(*sqlite.Conn) error { s.writer.checkpoints = due; return nil }); err != nil {
		t.Fatal(err)
	}
	for i := range 2 * checkpointEvery {
		if err := s.CreateDeviceRequest(t.Context(), numbered(i)); err != nil {
			t.Fatal(err)
		}
	}
	select {
	case <-due:
	default:
		t.Fatalf("after %d writes nobody is asked to fold the log", 2*checkpointEvery)
	}
	pages, folded, err := f.checkpoint()
	if err != nil || pages == 0 || folded != pages {
		t.Fatalf("of %d pages in the log %d were folded: %v", pages, folded, err)
	}
	// All is in the file, so that the next write begins the log anew.
	if err := s.CreateDeviceRequest(t.Context(), numbered(-1)); err != nil {
		t.Fatal(err)
	}
	again, _, err := f.checkpoint()
	if err != nil || again >= pages {
		t.Errorf("the log has %d pages after the next write, %d before: %v", again, pages, err)
	}
}
