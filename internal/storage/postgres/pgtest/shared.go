package pgtest

import (
	"context"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"
)

// startTime bounds each step of a cluster's life in tests.
const startTime = time.Minute

var shared struct {
	mu      sync.Mutex
	cluster *Cluster // guarded by mu
	err     error    // guarded by mu: why there is none
}

// Shared is one quick cluster for the whole test binary, started by the first who
// asks. It ends with the binary, or in Main.
func Shared(t testing.TB) *Cluster {
	t.Helper()
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if shared.cluster == nil && shared.err == nil {
		ctx, cancel := context.WithTimeout(context.Background(), startTime)
		defer cancel()
		shared.cluster, shared.err = Start(ctx, Options{})
	}
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	return shared.cluster
}

// Database lends the test an empty database on the shared cluster and returns its
// URL. After the test everybody is disconnected from it.
func Database(t testing.TB) string {
	t.Helper()
	c := Shared(t)
	url, err := c.lend(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), startTime)
		defer cancel()
		if err := c.giveBack(ctx, url); err != nil {
			t.Error(err)
		}
	})
	return url
}

// Main runs the tests and waits until the shared cluster is gone, for a TestMain:
//
//	func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }
func Main(m *testing.M) int {
	code := m.Run()
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if shared.cluster == nil {
		return code
	}
	if err := shared.cluster.Close(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return max(code, 1)
	}
	return code
}
