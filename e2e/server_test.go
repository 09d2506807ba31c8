//go:build e2e

package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"countersign.dev/e2e/browser"
	"countersign.dev/internal/storage/postgres/pgtest"
)

// binary is the program under test, built once.
var binary string

func TestMain(m *testing.M) {
	// The programs that tests start know nothing of it, and would say so.
	if err := os.Unsetenv("COUNTERSIGN_TEST_STORE"); err != nil {
		panic(err)
	}
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "countersign-e2e-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir) //nolint:errcheck // a temporary directory
		binary = filepath.Join(dir, "countersign")
		build := exec.Command("go", "build", "-o", binary, "countersign.dev/cmd/countersign")
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "building: %v\n%s", err, out)
			return 1
		}
		if err := trustGates(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer browser.Stop()
		return pgtest.Main(m)
	}())
}

// onPostgres runs every server on PostgreSQL that a test does not say otherwise of.
var onPostgres = os.Getenv("COUNTERSIGN_TEST_STORE") == "postgres"

var databases sync.Map // a server's data directory → its database

// databaseOf is the database of a data directory, the same after a restart.
func databaseOf(t *testing.T, data string) string {
	t.Helper()
	url, there := databases.Load(data)
	if !there {
		url = pgtest.Database(t)
		databases.Store(data, url)
	}
	return url.(string)
}

// process is a running `countersign serve`.
type process struct {
	// url is where it listens, once it does.
	url       string
	listening chan string // the address, once
	cmd       *exec.Cmd
	log       *logBook
	done      chan struct{} // closed when the process has ended; err is set before
	err       error
}

// startProcess starts a server on a data directory, on a port of the system's
// choice, and waits until it is ready.
func startProcess(t *testing.T, data string, flags ...string) *process {
	t.Helper()
	p := launch(t, data, flags...)
	p.await(t)
	return p
}

// launch is startProcess for those who do not wait yet.
func launch(t *testing.T, data string, flags ...string) *process {
	t.Helper()
	args := append([]string{"serve", "--data", data, "--log-format", "json"}, flags...)
	if !slices.Contains(flags, "--listen") {
		args = append(args, "--listen", "127.0.0.1:0")
	}
	if onPostgres && !slices.Contains(flags, "--database") {
		args = append(args, "--database", databaseOf(t, data))
	}
	p := &process{cmd: exec.Command(binary, args...), log: &logBook{}, done: make(chan struct{}), listening: make(chan string, 1)}
	p.cmd.Env = append(os.Environ(), "HOME="+t.TempDir(), "XDG_CONFIG_HOME="+t.TempDir())
	stderr, err := p.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		p.log.read(stderr, p.listening)
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			t.Logf("the server's last lines:\n%s", p.log.tail())
		}
	})
	return p
}

// await waits until the server is ready.
func (p *process) await(t *testing.T) {
	t.Helper()
	select {
	case address := <-p.listening:
		p.url = "http://" + address
	case <-p.done:
		t.Fatalf("the server ended at once: %v\n%s", p.err, p.log.tail())
	case <-time.After(20 * time.Second):
		t.Fatalf("the server says nothing of where it listens:\n%s", p.log.tail())
	}
	p.waitReady(t)
}

// waitReady asks /readyz until it is.
func (p *process) waitReady(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url+"/readyz", nil)
		if err != nil {
			t.Fatal(err)
		}
		if resp, err := http.DefaultClient.Do(req); err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatal("the server does not get ready")
		}
	}
}

// stop ends the server as an operator does, and expects a clean end.
func (p *process) stop(t *testing.T) {
	t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case <-p.done:
		if p.err != nil {
			t.Errorf("SIGTERM: the server ended with %v", p.err)
		}
	case <-time.After(30 * time.Second):
		t.Error("SIGTERM: the server does not end")
	}
}

// kill ends the server as a power cut does.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may have ended already
	<-p.done
}

// logBook keeps the last lines of a server's log.
type logBook struct {
	mu    sync.Mutex
	lines []string // guarded by mu
}

// read takes the log in and reports the address that the server listens on.
func (b *logBook) read(from io.Reader, listening chan<- string) {
	lines := bufio.NewScanner(from)
	for lines.Scan() {
		b.mu.Lock()
		b.lines = append(b.lines[max(0, len(b.lines)-30):], lines.Text())
		b.mu.Unlock()
		var line struct {
			Msg    string   `json:"msg"`
			Listen []string `json:"listen"`
		}
		if json.Unmarshal(lines.Bytes(), &line) == nil && line.Msg == "serving" {
			listening <- line.Listen[0]
		}
	}
}

func (b *logBook) tail() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return strings.Join(b.lines, "\n")
}
