package cli

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"

	"countersign.dev/receipt"
)

// ExitCode is what a command ends with. The codes are documented and stable.
type ExitCode int

// The exit codes.
const (
	ExitDone         ExitCode = 0
	ExitFailed       ExitCode = 1
	ExitUsage        ExitCode = 2
	ExitExpired      ExitCode = 3   // expired or timed out
	ExitDenied       ExitCode = 4   // the owner said no
	ExitNotSignedIn  ExitCode = 5   // not signed in, or the session is over
	ExitNetwork      ExitCode = 6   // network, or the server cannot be reached
	ExitRefused      ExitCode = 7   // the server refused (OAuth error)
	ExitVerification ExitCode = 8   // a receipt, signature or chain is not good
	ExitLocked       ExitCode = 9   // locked, or wrong password
	ExitCancelled    ExitCode = 130 // Ctrl-C
)

// Failure is an error with everything that is said of it: what failed, why, what
// to do next, and the exit code.
type Failure struct {
	Code ExitCode
	// What failed, like "signing in".
	What string
	// Next is what the person can do, a sentence without its full stop, or a question.
	Next string
	// OAuth is the server's error code, with ExitRefused.
	OAuth string
	// Err is why.
	Err error
}

// Error says what failed, and why; Next is said apart.
func (f *Failure) Error() string {
	if f.Err == nil {
		return f.What
	}
	return f.What + ": " + f.Err.Error()
}

// Unwrap returns why.
func (f *Failure) Unwrap() error { return f.Err }

// fail makes a Failure.
func fail(code ExitCode, what string, err error, next string) error {
	return &Failure{Code: code, What: what, Err: err, Next: next}
}

// failing is fail for an error that may say by itself what failed.
func failing(code ExitCode, what string, err error, next string) error {
	if _, said := errors.AsType[*Failure](err); said || err == nil {
		return err
	}
	return fail(code, what, err, next)
}

// usage is a Failure of wrong usage.
func usage(format string, args ...any) error {
	return &Failure{Code: ExitUsage, What: fmt.Sprintf(format, args...), Next: seeHelp}
}

// report says an error the one way there is, and returns the exit code.
func report(env *Env, err error, asJSON bool) ExitCode {
	f, ok := errors.AsType[*Failure](err)
	if !ok {
		f = &Failure{Code: ExitFailed, What: err.Error()}
	}
	if asJSON {
		event := map[string]any{
			"event": "error", "error": cmp.Or(f.OAuth, "failed"), "error_description": printable(f.Error()), "hint": f.Next,
		}
		if failed, ok := errors.AsType[*receipt.ChainError](err); ok {
			event["link"], event["check"] = failed.Link, failed.Check
		}
		writeEvent(env.Stdout, event)
		return f.Code
	}
	env.say("countersign: " + printable(f.Error()))
	if next := printable(f.Next); strings.HasSuffix(next, "?") {
		env.say(next)
	} else if next != "" {
		env.say(next + ".")
	}
	return f.Code
}

// sentence is a text with a capital letter at its beginning.
func sentence(s string) string {
	if first, size := utf8.DecodeRuneInString(s); size > 0 {
		return string(unicode.ToUpper(first)) + s[size:]
	}
	return s
}

// writeEvent prints one JSON object on one line.
func writeEvent(w io.Writer, event map[string]any) {
	b, err := json.Marshal(event)
	if err != nil {
		return // events are made of texts and numbers
	}
	line, err := printableJSON(b)
	if err != nil {
		return // nor is what was just written no JSON
	}
	fmt.Fprintln(w, line)
}
