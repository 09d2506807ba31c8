package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"github.com/zalando/go-keyring"
)

// Where an account's token lies.
const (
	inKeyring = "keyring"
	inFile    = "file" // encrypted
	inPlain   = "plain"
)

// tokenStores are the words of --token-store, and what is remembered of each.
var tokenStores = map[string]string{"": "", "keyring": inKeyring, "encrypted": inFile, "plain": inPlain}

// newTokens is where the token of a sign-in is to be kept: where the person wants it,
// else in the keyring of the system, else in a file, as they chose before or choose now.
// It is ready: no question stands between the owner's yes and the token.
func newTokens(ctx context.Context, env *Env, h *home, p passwordSource, wanted string) (tokenStore, string, error) {
	where, off := tokenStores[wanted], env.Getenv("COUNTERSIGN_KEYRING") == "off"
	if where == inKeyring && off {
		return tokenStore{}, "", usage("COUNTERSIGN_KEYRING is off, and --token-store wants the keyring")
	}
	if where == inKeyring || (where == "" && !off) {
		_, err := keyringTokens{env}.get(ctx, "probe")
		switch {
		case errors.Is(err, errNoToken):
			return tokenStore{keyring: keyringTokens{env}}, inKeyring, nil
		case where == inKeyring || ctx.Err() != nil:
			return tokenStore{}, "", err
		}
	}
	f := &fileTokens{env: env, home: h, source: p}
	if where == "" {
		where = h.keptIn()
	}
	_, err := h.readSecretFile(plainFile)
	switch {
	case err != nil && !errors.Is(err, fs.ErrNotExist): // which is to be mended before a password is chosen
	case where == "":
		where, err = f.chosen(ctx)
	case where == inFile && !h.has(tokenFile):
		f.password, err = p.choose(ctx, env, "your tokens")
	default:
		err = nil
	}
	if err != nil {
		return tokenStore{}, "", err
	}
	f.plain = where == inPlain
	_, err = f.load(ctx)
	return tokenStore{file: f}, where, err
}

// keptIn is where the latest of the sign-ins whose tokens are in a file has its own.
func (h *home) keptIn() string {
	for _, a := range slices.Backward(h.Accounts) {
		if a.Tokens == inFile || a.Tokens == inPlain {
			return a.Tokens
		}
	}
	if h.has(tokenFile) {
		return inFile
	}
	return ""
}

// chosen asks how tokens are to be kept.
func (f *fileTokens) chosen(ctx context.Context) (where string, err error) {
	if f.source.path(f.env) != "" || f.env.Getenv("COUNTERSIGN_PASSWORD") != "" {
		f.password, err = f.source.choose(ctx, f.env, "your tokens")
		return inFile, err
	}
	if !f.env.StdinTerminal {
		return "", fail(ExitLocked, "no keyring can be reached here to keep the token in, and there is no terminal to ask at", nil,
			"Give a password for an encrypted file (--password-file FILE), or --token-store plain for one that is not and that only you can read")
	}
	f.env.say("No keyring can be reached here, so tokens are kept in a file in " + f.home.dir + ". With a password it is encrypted, and each command that needs " +
		"a token asks for the password. Press Enter alone to keep it unencrypted: only you can read it.")
	f.password, err = askNew(ctx, f.env, fmt.Sprintf("New password, at least %d characters, or Enter: ", leastPassword), true)
	if f.password == "" {
		return inPlain, err
	}
	return inFile, err
}

// tokensOf is where the token of an account lies.
func tokensOf(ctx context.Context, env *Env, h *home, p passwordSource, a account) (tokenStore, error) {
	ring, file := tokenStore{keyring: keyringTokens{env}}, tokenStore{file: &fileTokens{env: env, home: h, source: p}}
	off := env.Getenv("COUNTERSIGN_KEYRING") == "off"
	switch {
	case a.Tokens == inPlain:
		file.file.plain = true
		return file, nil
	case a.Tokens == inFile:
		return file, nil
	case a.Tokens == inKeyring && off:
		return tokenStore{}, fail(ExitLocked, "reading your token", errors.New("it is in the keyring of this system, and COUNTERSIGN_KEYRING is off"),
			"Unset COUNTERSIGN_KEYRING, or sign in again")
	case a.Tokens == inKeyring:
		return ring, nil
	case off:
		return file, nil
	}
	// An older entry says nothing: it is where something is found.
	if _, err := ring.get(ctx, a.key()); err == nil || !h.has(tokenFile) {
		return ring, nil
	}
	return file, nil
}

const keyringService = "countersign"

// keyringTime is how long the keyring may take to answer. It may ask its owner for a
// password.
const keyringTime = 20 * time.Second

// keyringPatience is how long it may take before a person is told what is waited for.
const keyringPatience = time.Second

// keyringTokens keeps tokens in the system's keyring.
type keyringTokens struct{ env *Env }

func (k keyringTokens) get(ctx context.Context, key string) (t storedToken, err error) {
	var text string
	err = k.ask(ctx, func() (err error) {
		text, err = keyring.Get(keyringService, key)
		return err
	})
	if err != nil {
		return t, err
	}
	return t, json.Unmarshal([]byte(text), &t)
}

func (k keyringTokens) put(ctx context.Context, key string, t storedToken) error {
	b, err := json.Marshal(t)
	if err != nil {
		return err
	}
	return k.ask(ctx, func() error { return keyring.Set(keyringService, key, string(b)) })
}

func (k keyringTokens) remove(ctx context.Context, key string) error {
	err := k.ask(ctx, func() error { return keyring.Delete(keyringService, key) })
	if errors.Is(err, errNoToken) {
		return nil
	}
	return err
}

// ask asks the keyring, and tells what is not there from what cannot be reached.
//
//	errNoToken
func (k keyringTokens) ask(ctx context.Context, ask func() error) error {
	const asking = "asking the keyring of this system"
	answered := make(chan error, 1)
	go func() { answered <- ask() }()
	late, over := time.After(keyringPatience), time.After(keyringTime)
	for {
		select {
		case err := <-answered:
			switch {
			case errors.Is(err, keyring.ErrNotFound):
				return errNoToken
			case err != nil:
				return fail(ExitLocked, asking, err, keyringHint)
			}
			return nil
		case <-late:
			if k.env.StderrTerminal {
				fmt.Fprintln(k.env.Stderr, "Waiting for the keyring of this system…")
			}
		case <-over:
			return fail(ExitLocked, asking, errors.New("it does not answer"), keyringHint)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

const keyringHint = "Unlock it, and run this where you signed in (over SSH it may not be reached); or sign in again with COUNTERSIGN_KEYRING=off, which keeps tokens in a file"
