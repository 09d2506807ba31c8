package cli

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/zalando/go-keyring"
)

// Where an account's token lies.
const (
	inKeyring = "keyring"
	inFile    = "file"
)

// newTokens is where the token of a sign-in is to be kept: in the keyring of the
// system, or in the encrypted file where there is none.
func newTokens(ctx context.Context, env *Env, h *home, p passwordSource) (tokenStore, string) {
	file := &fileTokens{env: env, home: h, source: p}
	if env.Getenv("COUNTERSIGN_KEYRING") == "off" {
		return file, inFile
	}
	if _, err := (keyringTokens{}).get(ctx, "probe"); !errors.Is(err, errNoToken) {
		return file, inFile
	}
	return keyringTokens{}, inKeyring
}

// tokensOf is where the token of an account lies.
func tokensOf(ctx context.Context, env *Env, h *home, p passwordSource, a account) (tokenStore, error) {
	file, off := &fileTokens{env: env, home: h, source: p}, env.Getenv("COUNTERSIGN_KEYRING") == "off"
	switch {
	case a.Tokens == inFile:
		return file, nil
	case a.Tokens == inKeyring && off:
		return nil, fail(ExitLocked, "reading your token", errors.New("it is in the keyring of this system, and COUNTERSIGN_KEYRING is off"),
			"Unset COUNTERSIGN_KEYRING, or sign in again")
	case a.Tokens == inKeyring:
		return keyringTokens{}, nil
	case off:
		return file, nil
	}
	// An older entry says nothing: it is where something is found.
	if _, err := (keyringTokens{}).get(ctx, a.key()); err == nil || !h.has(tokenFile) {
		return keyringTokens{}, nil
	}
	return file, nil
}

const keyringService = "countersign"

// keyringTime is how long the keyring may take to answer. It may ask its owner for a
// password.
const keyringTime = 20 * time.Second

// keyringTokens keeps tokens in the system's keyring.
type keyringTokens struct{}

func (keyringTokens) get(ctx context.Context, key string) (t storedToken, err error) {
	var text string
	err = askKeyring(ctx, func() (err error) {
		text, err = keyring.Get(keyringService, key)
		return err
	})
	if err != nil {
		return t, err
	}
	return t, json.Unmarshal([]byte(text), &t)
}

func (keyringTokens) put(ctx context.Context, key string, t storedToken) error {
	b, err := json.Marshal(t)
	if err != nil {
		return err
	}
	return askKeyring(ctx, func() error { return keyring.Set(keyringService, key, string(b)) })
}

func (keyringTokens) remove(ctx context.Context, key string) error {
	err := askKeyring(ctx, func() error { return keyring.Delete(keyringService, key) })
	if errors.Is(err, errNoToken) {
		return nil
	}
	return err
}

// askKeyring asks the keyring, and tells what is not there from what cannot be reached.
//
//	errNoToken
func askKeyring(ctx context.Context, ask func() error) error {
	const asking = "asking the keyring of this system"
	answered := make(chan error, 1)
	go func() { answered <- ask() }()
	select {
	case err := <-answered:
		switch {
		case errors.Is(err, keyring.ErrNotFound):
			return errNoToken
		case err != nil:
			return fail(ExitLocked, asking, err, keyringHint)
		}
		return nil
	case <-time.After(keyringTime):
		return fail(ExitLocked, asking, errors.New("it does not answer"), keyringHint)
	case <-ctx.Done():
		return ctx.Err()
	}
}

const keyringHint = "Unlock it, and run this where you signed in (over SSH it may not be reached); or sign in again with COUNTERSIGN_KEYRING=off, which keeps tokens in a file"
