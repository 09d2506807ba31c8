package cli

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"
)

// passwordSource says where a password comes from. It is never an argument.
type passwordSource struct {
	file string
	// typed asks at the terminal itself, and nothing else will do; nil elsewhere.
	typed func(ctx context.Context, question string) (string, error)
}

func passwordFlag(cmd *cobra.Command, p *passwordSource) {
	cmd.Flags().StringVar(&p.file, "password-file", "", "`file` with the password, - for standard input (default: COUNTERSIGN_PASSWORD_FILE, COUNTERSIGN_PASSWORD, a prompt)")
}

// leastPassword is the shortest password for a new file.
const leastPassword = 10

// tries is how often a password is asked for at a terminal before a command gives up.
const tries = 3

// open has something opened that exists and has a password. Who sits at a terminal is
// asked again for a wrong one, which open says with the error wrong.
func (p passwordSource) open(ctx context.Context, env *Env, what string, wrong error, open func(password string) error) error {
	ask := p.typed
	if ask == nil {
		password, ok, err := p.given(ctx, env)
		if err != nil {
			return err
		}
		if ok {
			return open(password)
		}
		ask = func(ctx context.Context, question string) (string, error) { return prompt(ctx, env, question) }
	}
	for left := tries - 1; ; left-- {
		password, err := ask(ctx, "Password for "+what+": ")
		if err != nil {
			return err
		}
		if err = open(password); !errors.Is(err, wrong) || left == 0 {
			return err
		}
		fmt.Fprintf(env.Stderr, "%s. Try again.\n", sentence(wrong.Error()))
	}
}

// choose returns the password for something new, asked for twice at a terminal.
// known is what a guesser knows of its owner.
func (p passwordSource) choose(ctx context.Context, env *Env, what string, known ...string) (string, error) {
	password, ok, err := p.given(ctx, env)
	switch {
	case err != nil:
		return "", err
	case !ok:
		return askNew(ctx, env, fmt.Sprintf("New password for %s, at least %d characters: ", what, leastPassword), false, known...)
	case tooShort(password):
		return "", fail(ExitUsage, fmt.Sprintf("the password is shorter than %d characters", leastPassword), nil,
			"Choose a longer one; four random words are good")
	}
	return password, nil
}

// chooseApart is choose for who is to have this password and not that of the identity,
// which is what the variables say.
func (p passwordSource) chooseApart(ctx context.Context, env *Env, what string, known ...string) (string, error) {
	if p.file == "" && !env.StdinTerminal {
		return "", fail(ExitLocked, "a new password is needed and there is no terminal to ask at", nil, "Give --new-password-file")
	}
	if p.file == "" {
		return askNew(ctx, env, fmt.Sprintf("New password for %s, at least %d characters: ", what, leastPassword), false, known...)
	}
	return p.choose(ctx, env, what, known...)
}

func tooShort(password string) bool { return len([]rune(password)) < leastPassword }

// askNew asks for a new password, again where it cannot be one. Where none is an answer,
// too, it may be empty.
func askNew(ctx context.Context, env *Env, question string, orNone bool, known ...string) (string, error) {
	for range tries {
		password, err := prompt(ctx, env, question)
		if err != nil || (password == "" && orNone) {
			return "", err
		}
		if tooShort(password) {
			env.say(fmt.Sprintf("That has fewer than %d characters. Four random words are good.", leastPassword))
			continue
		}
		again, err := prompt(ctx, env, "The same again: ")
		if err != nil {
			return "", err
		}
		if again == password {
			fmt.Fprintln(env.Stderr, "Strength:", strength(password, known...))
			return password, nil
		}
		fmt.Fprintln(env.Stderr, "The two differ.")
	}
	return "", fail(ExitUsage, "no new password was chosen", nil, "Start again")
}

// path is the file with the password, - for standard input, or empty.
func (p passwordSource) path(env *Env) string {
	return cmp.Or(p.file, env.Getenv("COUNTERSIGN_PASSWORD_FILE"))
}

func (p passwordSource) given(ctx context.Context, env *Env) (string, bool, error) {
	path := p.path(env)
	switch {
	case path == "-":
		line, err := env.input().line(ctx)
		if err != nil && !errors.Is(err, io.EOF) {
			return "", false, fail(ExitFailed, "reading the password", err, "")
		}
		password, err := passwordOf([]byte(line))
		return password, err == nil, err
	case path != "":
		if _, err := checkPrivate(path, false); err != nil {
			return "", false, err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return "", false, fail(ExitFailed, "reading the password", err, "Check --password-file, or COUNTERSIGN_PASSWORD_FILE")
		}
		password, err := passwordOf(text)
		return password, err == nil, err
	}
	password := env.Getenv("COUNTERSIGN_PASSWORD")
	return password, password != "", nil
}

// byteOrderMark is what some editors put at the beginning of a text.
const byteOrderMark = "\ufeff"

// passwordOf is the password in a file, which may have been written by an editor that
// marks the beginning and ends the line.
func passwordOf(text []byte) (string, error) {
	if !utf8.Valid(text) || bytes.IndexByte(text, 0) >= 0 {
		return "", fail(ExitUsage, "the password's file is no UTF-8", nil, "Save it as UTF-8")
	}
	return strings.TrimRight(strings.TrimPrefix(string(text), byteOrderMark), "\r\n"), nil
}

func prompt(ctx context.Context, env *Env, text string) (string, error) {
	if !env.StdinTerminal {
		return "", fail(ExitLocked, "a password is needed and there is no terminal to ask at", nil,
			"Set COUNTERSIGN_PASSWORD_FILE or COUNTERSIGN_PASSWORD, or give --password-file")
	}
	password, err := answer(ctx, env, text, env.ReadPassword)
	fmt.Fprintln(env.Stderr)
	if err != nil {
		return "", fail(ExitCancelled, "no password was given", err, "")
	}
	return password, nil
}

// answer asks a question and reads the answer. It asks again where the shell let the
// command go on: what it says itself stands before the answer then.
func answer(ctx context.Context, env *Env, question string, read func(context.Context) (string, error)) (string, error) {
	type answered struct {
		text string
		err  error
	}
	continued, end := continued()
	defer end()
	fmt.Fprint(env.Stderr, question)
	got := make(chan answered, 1)
	go func() {
		text, err := read(ctx) // ends with ctx
		got <- answered{text, err}
	}()
	for {
		select {
		case a := <-got:
			return a.text, a.err
		case <-continued:
			fmt.Fprint(env.Stderr, question)
		}
	}
}

// confirm asks a yes-or-no question at the terminal; anything but yes is no.
func confirm(ctx context.Context, env *Env, question string) (bool, error) {
	answer, err := ask(ctx, env, question+" [y/N] ")
	if err != nil {
		return false, err
	}
	answer = strings.ToLower(answer)
	return answer == "y" || answer == "yes", nil
}

// ask reads one line from the terminal.
func ask(ctx context.Context, env *Env, question string) (string, error) {
	if !env.StdinTerminal {
		return "", fail(ExitUsage, "there is no terminal to ask at", nil, "See --help for how to answer beforehand")
	}
	line, err := answer(ctx, env, question, env.input().line)
	if err != nil {
		fmt.Fprintln(env.Stderr)
		return "", fail(ExitCancelled, "no answer was given", err, "")
	}
	return strings.TrimSpace(line), nil
}
