package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"syscall"
	"time"
)

// server is one run of the real server.
type server struct {
	cmd     *exec.Cmd
	base    string
	started time.Time
	ready   time.Duration
}

// readyWithin bounds a start, that of the largest database too.
const readyWithin = 5 * time.Minute

var listening = regexp.MustCompile(`127\.0\.0\.1:[0-9]+`)

// startServer starts the server and returns when it is ready. Its log is in dir.
func startServer(ctx context.Context, binary, dir string, flags []string) (*server, error) {
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	args := append([]string{"serve", "--listen", "127.0.0.1:0", "--data", dir, "--device-poll-interval", "1s", "--pending-limit", "100000000"}, flags...)
	s := &server{cmd: exec.Command(binary, args...)} //nolint:gosec,noctx // the operator of the benchmark named it; stop ends it
	s.cmd.Stdout, s.cmd.Stderr = log, log
	s.started = time.Now()
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	if err := s.awaitReady(ctx, log.Name()); err != nil {
		text, _ := os.ReadFile(log.Name())
		return nil, errors.Join(fmt.Errorf("%w; the server's log: %s", err, text), s.stop())
	}
	s.ready = time.Since(s.started)
	return s, nil
}

func (s *server) awaitReady(ctx context.Context, log string) error {
	ctx, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		if s.base == "" {
			if text, err := os.ReadFile(log); err == nil {
				if where := listening.Find(text); where != nil {
					s.base = "http://" + string(where)
				}
			}
		} else if s.answersReady(ctx) {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return errors.New("it did not become ready")
		}
	}
}

func (s *server) answersReady(ctx context.Context) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.base+"/readyz", nil)
	if err != nil {
		return false
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	resp.Body.Close() //nolint:errcheck // nothing is read of it
	return resp.StatusCode == http.StatusOK
}

func (s *server) stop() error {
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	return s.cmd.Wait()
}

var resident = regexp.MustCompile(`VmRSS:\s+(\d+) kB`)

// memory is what is resident, in bytes.
func (s *server) memory() (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	found := resident.FindSubmatch(text)
	if found == nil {
		return 0, errors.New("/proc says nothing of resident memory")
	}
	kib, err := strconv.ParseInt(string(found[1]), 10, 64)
	return kib << 10, err
}
