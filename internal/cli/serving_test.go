//go:build unix

package cli

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// serving is a server in a process of its own, as a service manager runs it.
type serving struct {
	t     *testing.T
	cmd   *exec.Cmd
	lines chan map[string]any // of its log
	at    string              // where it listens
}

// startServing runs `countersign serve` through a shell, after what is to be done
// there before.
func startServing(t *testing.T, before string, flags ...string) *serving {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	link := t.TempDir() + "/countersign" // see openTerminal
	if err := os.Symlink(exe, link); err != nil {
		t.Fatal(err)
	}
	args := append([]string{"-c", before + ` exec "$0" "$@"`, link, "serve", "--listen", "127.0.0.1:0", "--data", t.TempDir()}, flags...)
	s := &serving{t: t, cmd: exec.CommandContext(t.Context(), "sh", args...), lines: make(chan map[string]any, 1000)}
	stderr, err := s.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go s.read(stderr)
	t.Cleanup(func() { _ = s.cmd.Process.Kill() })
	listen, _ := s.await("serving")["listen"].([]any)
	if len(listen) != 1 {
		t.Fatalf("it listens on %v", listen)
	}
	s.at, _ = listen[0].(string)
	return s
}

func (s *serving) read(stderr io.Reader) {
	defer close(s.lines)
	log := bufio.NewScanner(stderr)
	for log.Scan() {
		var line map[string]any
		if json.Unmarshal(log.Bytes(), &line) == nil {
			s.lines <- line
		}
	}
}

// await is the next line with a message, or with one that begins so.
func (s *serving) await(message string) map[string]any {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 30*time.Second)
	defer cancel()
	for {
		select {
		case line, more := <-s.lines:
			if !more {
				s.t.Fatalf("the server ended without a line %q", message)
			}
			if text, _ := line["msg"].(string); strings.HasPrefix(text, message) {
				return line
			}
		case <-ctx.Done():
			s.t.Fatalf("no line %q came", message)
		}
	}
}

func (s *serving) signal(which os.Signal) {
	s.t.Helper()
	if err := s.cmd.Process.Signal(which); err != nil {
		s.t.Fatal(err)
	}
}

func TestSIGHUPIsAnsweredWithALineAndTheServerGoesOn(t *testing.T) {
	s := startServing(t, "")
	s.signal(syscall.SIGHUP)
	s.await("SIGHUP: nothing is read again")
	if !answers(t, s.at) {
		t.Error("it serves no more")
	}
}

func TestTheSignalThatEndsTheServerIsNamed(t *testing.T) {
	for name, which := range map[string]os.Signal{"SIGTERM": syscall.SIGTERM, "SIGINT": syscall.SIGINT} {
		s := startServing(t, "")
		s.signal(which)
		if line := s.await("stopping"); line["signal"] != name {
			t.Errorf("%s: it says %v", name, line)
		}
		s.await("stopped")
		if err := s.cmd.Wait(); err != nil {
			t.Errorf("%s: it ends with %v", name, err)
		}
	}
}

func TestAServerWhoseTerminalIsClosedEnds(t *testing.T) {
	term := openTerminal(t, []string{"XDG_DATA_HOME=" + t.TempDir()}, "serve", "--listen", "127.0.0.1:0")
	term.await("listens on")
	if err := term.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	term.await("stopping.*SIGHUP")
	if code := term.end(); code != 0 {
		t.Errorf("exit code %d:\n%s", code, term.screen())
	}
}

// Whoever asks twice does not want to wait for a request that does not end.
func TestASecondSignalEndsAServerAtOnceWhicheverTheFirstWas(t *testing.T) {
	inFull(t)
	t.Parallel()
	for _, signals := range [][2]syscall.Signal{{syscall.SIGHUP, syscall.SIGINT}, {syscall.SIGHUP, syscall.SIGHUP}, {syscall.SIGINT, syscall.SIGTERM}, {syscall.SIGTERM, syscall.SIGHUP}} {
		term := openTerminal(t, []string{"XDG_DATA_HOME=" + t.TempDir()}, "serve", "--listen", "127.0.0.1:0")
		address := term.await(`listens on.*?(127\.0\.0\.1:\d+)`)[1]
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(conn, "POST /api/auth/device/code HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Read(make([]byte, 1)); err != nil { // it has been told to go on: the request is under way
			t.Fatal(err)
		}
		for n, said := range []string{"stopping", "stopping at once"} {
			if err := term.cmd.Process.Signal(signals[n]); err != nil {
				t.Fatal(err)
			}
			term.await(said + `\b[^\n]*` + signalName(signals[n]))
		}
		term.end()
		if err := conn.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestAServerWithoutFileDescriptorsSaysSoOnce opens more connections than there may
// be, and then fewer.
func TestAServerWithoutFileDescriptorsSaysSoOnce(t *testing.T) {
	const descriptors = "64"
	s := startServing(t, "ulimit -n "+descriptors+";")
	var conns []net.Conn
	for range 100 {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", s.at)
		if err != nil {
			t.Fatal(err) // the system takes connections that the server has not accepted
		}
		conns = append(conns, conn)
	}
	line := s.await("connections cannot be taken")
	if why, _ := line["error"].(string); line["level"] != "ERROR" || !strings.Contains(why, "too many open files") {
		t.Errorf("it says %v", line)
	}
	for _, conn := range conns {
		if err := conn.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if !answers(t, s.at) {
		t.Error("it does not recover")
	}
	s.signal(syscall.SIGTERM)
	for {
		line, more := <-s.lines
		if !more || line["msg"] == "stopped" {
			break
		}
		if line["msg"] == "connections cannot be taken" {
			t.Error("it says so again")
		}
	}
}

func TestTheLogSaysWhichClientsAreRegisteredAndRemovedMeanwhile(t *testing.T) {
	inFull(t)
	dir := t.TempDir()
	s := startServing(t, "", "--data", dir)
	env := func() (*Env, *bytes.Buffer) {
		var said bytes.Buffer
		return &Env{Stdout: &said, Stderr: &said, Now: time.Now, Rand: SystemEnv().Rand, Getenv: func(string) string { return "" }}, &said
	}
	for _, c := range []struct {
		args    []string
		message string
		says    map[string]any
	}{
		{[]string{"add", "my-tv", "--name", "My television", "--scope", "openid"}, "client registered", map[string]any{"name": "My television", "scope": "openid", "confidential": false}},
		{[]string{"remove", "my-tv"}, "client removed, its grants ended", nil},
		{[]string{"add", "my-tv", "--confidential"}, "client registered", map[string]any{"confidential": true}},
	} {
		e, said := env()
		if code := Main(append([]string{"clients", "--data", dir}, c.args...), e); code != 0 {
			t.Fatalf("%v: exit code %d: %s", c.args, code, said)
		}
		line := s.await(c.message)
		if line["client_id"] != "my-tv" || line["level"] != "INFO" {
			t.Errorf("%v: %v", c.args, line)
		}
		for name, want := range c.says {
			if line[name] != want {
				t.Errorf("%v: %s is %v", c.args, name, line[name])
			}
		}
	}
}
