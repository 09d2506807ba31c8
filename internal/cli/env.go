// Package cli is the command line: one file a command, each an options struct, a
// constructor that binds flags, and a run function.
//
// Commands of devices and owners use the public packages only, as any program
// would; the server's commands (serve, clients, demo) put the inner rooms
// together. Start reading at root.go; exit codes and how errors are said are in
// exit.go.
package cli

import (
	"crypto/rand"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"

	"golang.org/x/term"
)

// Env is what a command touches of the world, so that tests own it.
type Env struct {
	Stdin  io.Reader
	Stdout io.Writer
	Stderr io.Writer
	Getenv func(string) string
	// Environ is all of the environment, or nil for none that is to be checked.
	Environ func() []string
	Now     func() time.Time
	Rand    io.Reader
	// StdinTerminal and the others say whether a stream is a terminal: only then
	// are there prompts, colours and moving cursors.
	StdinTerminal, StdoutTerminal, StderrTerminal bool
	// ReadPassword reads a line from the terminal without echo.
	ReadPassword func() (string, error)
	// Signals delivers SIGINT and SIGTERM.
	Signals chan os.Signal
}

// SystemEnv is the process's own.
func SystemEnv() *Env {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	stdin := int(os.Stdin.Fd())
	return &Env{
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Getenv: os.Getenv, Environ: os.Environ, Now: time.Now, Rand: rand.Reader,
		StdinTerminal: term.IsTerminal(stdin), StdoutTerminal: term.IsTerminal(int(os.Stdout.Fd())),
		StderrTerminal: term.IsTerminal(int(os.Stderr.Fd())),
		ReadPassword: func() (string, error) {
			b, err := term.ReadPassword(stdin)
			return string(b), err
		},
		Signals: signals,
	}
}

// version is set by the linker; a plain `go build` falls back to what Go knows.
var version string

// Version is the version of this program.
func Version() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}
