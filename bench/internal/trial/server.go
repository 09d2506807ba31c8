// Package trial puts the real server on trial: it starts its binary, asks it what
// devices and owners ask, and reads what it uses.
//
// Here belongs what several programs of bench share; what is asked, how often and
// what is made of the answers belongs to them.
package trial

import (
	"bytes"
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

// Server is one run of the server.
type Server struct {
	// Base is its origin on loopback.
	Base string
	// Started is when it was executed, Ready how long it took from there to the
	// first 200 of /readyz.
	Started time.Time
	Ready   time.Duration

	cmd *exec.Cmd
}

// ReadyWithin bounds a start, that on the largest database too.
const ReadyWithin = 5 * time.Minute

var listening = regexp.MustCompile(`127\.0\.0\.1:[0-9]+`)

// Start starts the server with its data in dir, for polls a second apart and any
// number of pending requests, and returns when it is ready. Its log is in dir. The
// caller stops it.
func Start(ctx context.Context, binary, dir string, flags ...string) (*Server, error) {
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	args := append([]string{"serve", "--listen", "127.0.0.1:0", "--data", dir, "--device-poll-interval", "1s", "--pending-limit", "100000000"}, flags...)
	s := &Server{cmd: exec.Command(binary, args...)}
	s.cmd.Stdout, s.cmd.Stderr = log, log
	s.Started = time.Now()
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	if err := s.awaitReady(ctx, log.Name()); err != nil {
		text, _ := os.ReadFile(log.Name()) // it only adds to the error
		return nil, errors.Join(fmt.Errorf("%w; the server's log: %s", err, text), s.Stop())
	}
	s.Ready = time.Since(s.Started)
	return s, nil
}

func (s *Server) awaitReady(ctx context.Context, log string) error {
	ctx, cancel := context.WithTimeout(ctx, ReadyWithin)
	defer cancel()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		if s.Base == "" {
			if text, err := os.ReadFile(log); err == nil {
				if where := listening.Find(text); where != nil {
					s.Base = "http://" + string(where)
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

func (s *Server) answersReady(ctx context.Context) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.Base+"/readyz", nil)
	if err != nil {
		return false
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// Stop lets the server finish and waits for its end.
func (s *Server) Stop() error {
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	return s.cmd.Wait()
}

var resident = regexp.MustCompile(`VmRSS:\s+(\d+) kB`)

// Memory is what is resident, in bytes.
func (s *Server) Memory() (int64, error) {
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

// CPU is the processor time that the server has used.
func (s *Server) CPU() (time.Duration, error) {
	p, err := processStat(s.cmd.Process.Pid)
	return p.own, err
}

// process is what /proc says of one.
type process struct {
	parent int
	own    time.Duration // user and system time
	ended  time.Duration // that of its children that have ended
}

// tick is the unit of /proc's times, on every Linux that Go runs on.
const tick = 10 * time.Millisecond

func processStat(pid int) (p process, err error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return p, err
	}
	// The name, in parentheses, may hold anything.
	fields := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:])
	if len(fields) < 15 {
		return p, errors.New("/proc says nothing of processor time")
	}
	var n [5]int
	for k, at := range []int{1, 11, 12, 13, 14} { // ppid, utime, stime, cutime, cstime
		if n[k], err = strconv.Atoi(string(fields[at])); err != nil {
			return p, err
		}
	}
	return process{parent: n[0], own: time.Duration(n[1]+n[2]) * tick, ended: time.Duration(n[3]+n[4]) * tick}, nil
}

// TreeCPU is the processor time that a process and all of its children have used,
// those that have ended among them.
func TreeCPU(pid int) (time.Duration, error) {
	root, err := processStat(pid)
	if err != nil {
		return 0, err
	}
	sum := root.own + root.ended
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return 0, err
	}
	for _, e := range entries {
		child, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if p, err := processStat(child); err == nil && p.parent == pid {
			sum += p.own
		}
	}
	return sum, nil
}

// Parent is the process that started another.
func Parent(pid int) (int, error) {
	p, err := processStat(pid)
	return p.parent, err
}

// LoadAverage is the machine's, of the last 1, 5 and 15 minutes.
func LoadAverage() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	return string(bytes.Join(bytes.Fields(text)[:3], []byte(" ")))
}
