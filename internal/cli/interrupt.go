package cli

import (
	"context"
	"errors"
	"os"
	"syscall"
	"time"
)

// interrupted is why the context of a command ended that a signal ended.
type interrupted struct{ signal os.Signal }

// Error names the signal.
func (i interrupted) Error() string { return "interrupted by " + signalName(i.signal) }

// Is reports it to be what a context that was canceled says, which it is: what waits
// for the context may say its cause instead.
func (i interrupted) Is(target error) bool { return target == context.Canceled }

// exitCode is what a shell takes for an end by the signal: 128 and its number.
func (i interrupted) exitCode() ExitCode {
	if number, ok := i.signal.(syscall.Signal); ok && number > 0 {
		return ExitCode(128 + number)
	}
	return ExitCancelled
}

// endsInOrder marks commands that put things in order before they end, however long
// that takes.
const endsInOrder = "ends in order"

// patience is how long another command may take to end after a signal. One that hears
// of nothing, for a keyring never answers or somebody holds a lock, is ended then.
const patience = 500 * time.Millisecond

// untilInterrupted is a context that the first signal ends. The signals that come
// after it are for a command that takes its time to end.
func untilInterrupted(env *Env, inOrder, asJSON bool) (ctx context.Context, end func()) {
	ctx, cancel := context.WithCancelCause(context.Background())
	ended := make(chan struct{})
	go func() {
		select {
		case s := <-env.Signals:
			cancel(interrupted{s})
		case <-ended:
			return
		}
		if inOrder || env.Exit == nil {
			return
		}
		select {
		case <-time.After(patience):
			if !env.kept(ended) {
				return
			}
			env.restoreTerminal()
			env.Exit(int(report(env, bySignal(ctx, errCancelled), asJSON)))
		case <-ended:
		}
	}()
	return ctx, func() {
		cancel(nil)
		close(ended)
	}
}

// kept waits for a token that is being kept, or for another signal: who insists is let
// go. It reports false where the command ended by itself.
func (env *Env) kept(ended <-chan struct{}) bool {
	kept := make(chan struct{})
	go func() {
		env.keeping.Lock() // for good: nothing more is to be kept
		close(kept)
	}()
	select {
	case <-kept:
		return true
	case <-env.Signals:
		return true
	case <-ended:
		return false
	}
}

// interruption is the signal that ended a context, if one did.
func interruption(ctx context.Context) (i interrupted, ended bool) {
	return errors.AsType[interrupted](context.Cause(ctx))
}

var errCancelled = fail(ExitCancelled, "cancelled", nil, "")

// bySignal gives what was cancelled by a signal the exit code of that signal.
func bySignal(ctx context.Context, err error) error {
	var said *Failure
	i, ended := interruption(ctx)
	if !ended || !errors.As(err, &said) || said.Code != ExitCancelled {
		return err
	}
	f := *said
	f.Code = i.exitCode()
	return &f
}
