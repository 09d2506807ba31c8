package cli

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"sync"
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
	// ReadPassword reads a line from the terminal without echo, which is back when it
	// returns, whether or not a line came.
	ReadPassword func(ctx context.Context) (string, error)
	// AskTerminal asks a question at the terminal itself, whatever Stdin is, and reads a line
	// without echo.
	//	errNoTerminal
	AskTerminal func(ctx context.Context, question string) (string, error)
	// Signals delivers SIGINT and SIGTERM.
	Signals chan os.Signal
	// Exit ends the process at once; nil where it is not this command's to end.
	Exit func(code int)
	// RestoreTerminal puts the terminal back as it was at the beginning; nil for none.
	RestoreTerminal func()

	// keeping is held while a token is kept that there is only once: a signal waits for it.
	keeping sync.Mutex

	reading sync.Once
	typed   *input
}

// input is the one reader of Stdin.
func (env *Env) input() *input {
	env.reading.Do(func() { env.typed = newInput(env.Stdin) })
	return env.typed
}

func (env *Env) restoreTerminal() {
	if env.RestoreTerminal != nil {
		env.RestoreTerminal()
	}
}

// SystemEnv is the process's own.
func SystemEnv() *Env {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	stdin := int(os.Stdin.Fd())
	before, err := term.GetState(stdin)
	restore := func() {
		if err == nil && inForeground(os.Stdin) {
			_ = term.Restore(stdin, before) // nothing more can be done about a terminal
		}
	}
	return &Env{
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Getenv: os.Getenv, Environ: os.Environ, Now: time.Now, Rand: rand.Reader,
		StdinTerminal: term.IsTerminal(stdin), StdoutTerminal: term.IsTerminal(int(os.Stdout.Fd())),
		StderrTerminal: term.IsTerminal(int(os.Stderr.Fd())),
		ReadPassword: func(ctx context.Context) (string, error) {
			// Without echo, the end by Ctrl-\ is one like the others.
			signal.Notify(signals, syscall.SIGQUIT)
			defer signal.Reset(syscall.SIGQUIT)
			return readHidden(ctx, os.Stdin, func() ([]byte, error) { return term.ReadPassword(stdin) }, func() {}, restore)
		},
		AskTerminal: askTerminal, Signals: signals, Exit: os.Exit, RestoreTerminal: restore,
	}
}

// readHidden reads a line that is not shown, until the context ends, which restore follows: the
// read itself goes on. Where the shell had stopped the process and goes on with it, again asks
// once more.
func readHidden(ctx context.Context, terminal *os.File, read func() ([]byte, error), again, restore func()) (string, error) {
	given := make(chan chunk, 1)
	go func() {
		b, err := read()
		given <- chunk{b, err}
	}()
	continued, end := continued()
	defer end()
	for {
		select {
		case c := <-given:
			return string(c.text), c.err
		case <-continued: // the shell shows again what is typed
			hideTyping(terminal)
			again()
		case <-ctx.Done():
			restore()
			return "", ctx.Err()
		}
	}
}

// errNoTerminal: nobody can be asked at a terminal.
var errNoTerminal = errors.New("there is no terminal to ask at")

// askTerminal asks at the terminal that the process was started from.
func askTerminal(ctx context.Context, question string) (string, error) {
	in, err := os.OpenFile(terminalIn, os.O_RDWR, 0)
	if err != nil {
		return "", errNoTerminal
	}
	out, err := os.OpenFile(terminalOut, os.O_WRONLY, 0)
	if err != nil {
		_ = in.Close()
		return "", errNoTerminal
	}
	defer out.Close()
	fd := int(in.Fd())
	before, err := term.GetState(fd)
	if err != nil {
		_ = in.Close()
		return "", errNoTerminal
	}
	ask := func() { _, _ = out.WriteString(question) } // to a terminal that is gone, or not
	ask()
	given, err := readHidden(ctx, in, func() ([]byte, error) {
		b, err := term.ReadPassword(fd)
		_, _ = out.WriteString("\n")
		_ = in.Close()
		return b, err
	}, ask, func() { _ = term.Restore(fd, before) })
	if err != nil {
		return "", fail(ExitCancelled, "no password was given", err, "")
	}
	return given, nil
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
