package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"time"

	"filippo.io/age"
	"github.com/zalando/go-keyring"
	"golang.org/x/oauth2"

	"countersign.dev/deviceflow"
)

// storedToken is a token as it is kept.
type storedToken struct {
	AccessToken  string `json:"access_token"`
	RefreshToken string `json:"refresh_token,omitempty"`
	// Expiry is zero where the server did not say.
	Expiry   time.Time `json:"expiry"`
	Obtained time.Time `json:"obtained,omitzero"`
}

// tokenStore keeps tokens by account key.
type tokenStore interface {
	// get returns a token; errNoToken when there is none.
	get(ctx context.Context, key string) (storedToken, error)
	put(ctx context.Context, key string, t storedToken) error
	remove(ctx context.Context, key string) error
}

var errNoToken = errors.New("no token is kept")

// openTokens chooses the keyring of the system, or the encrypted file where there
// is none.
func openTokens(env *Env, h *home, p passwordSource) tokenStore {
	if env.Getenv("COUNTERSIGN_KEYRING") != "off" {
		if _, err := keyring.Get(keyringService, "probe"); err == nil || errors.Is(err, keyring.ErrNotFound) {
			return keyringTokens{}
		}
	}
	return &fileTokens{env: env, home: h, source: p}
}

const keyringService = "countersign"

// keyringTokens keeps tokens in the system's keyring.
type keyringTokens struct{}

func (keyringTokens) get(_ context.Context, key string) (t storedToken, err error) {
	text, err := keyring.Get(keyringService, key)
	if errors.Is(err, keyring.ErrNotFound) {
		return t, errNoToken
	}
	if err != nil {
		return t, err
	}
	return t, json.Unmarshal([]byte(text), &t)
}

func (keyringTokens) put(_ context.Context, key string, t storedToken) error {
	b, err := json.Marshal(t)
	if err != nil {
		return err
	}
	return keyring.Set(keyringService, key, string(b))
}

func (keyringTokens) remove(_ context.Context, key string) error {
	if err := keyring.Delete(keyringService, key); !errors.Is(err, keyring.ErrNotFound) {
		return err
	}
	return nil
}

const (
	tokenFile = "tokens.age"
	// workFactor is age's scrypt cost, 2^15: a tenth of a second. The file is read
	// at each command, and tokens in it end by themselves.
	workFactor = 15
	maxTokens  = 4 << 20
)

// fileTokens keeps tokens in one file, encrypted with a password (age, scrypt).
type fileTokens struct {
	env      *Env
	home     *home
	source   passwordSource
	password string // once it was given
}

func (f *fileTokens) get(ctx context.Context, key string) (storedToken, error) {
	all, err := f.load(ctx)
	if err != nil {
		return storedToken{}, err
	}
	t, ok := all[key]
	if !ok {
		return storedToken{}, errNoToken
	}
	return t, nil
}

func (f *fileTokens) put(ctx context.Context, key string, t storedToken) error {
	return f.change(ctx, func(all map[string]storedToken) { all[key] = t })
}

func (f *fileTokens) remove(ctx context.Context, key string) error {
	return f.change(ctx, func(all map[string]storedToken) { delete(all, key) })
}

func (f *fileTokens) change(ctx context.Context, fn func(map[string]storedToken)) error {
	all, err := f.load(ctx)
	if err != nil {
		return err
	}
	fn(all)
	plaintext, err := json.Marshal(all)
	if err != nil {
		return err
	}
	recipient, err := age.NewScryptRecipient(f.password)
	if err != nil {
		return err
	}
	recipient.SetWorkFactor(workFactor)
	var b bytes.Buffer
	w, err := age.Encrypt(&b, recipient)
	if err != nil {
		return err
	}
	if _, err := w.Write(plaintext); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	return f.home.write(tokenFile, b.Bytes())
}

// load reads the file, asking for the password once; without a file it is chosen.
func (f *fileTokens) load(ctx context.Context) (map[string]storedToken, error) {
	all := map[string]storedToken{}
	ciphertext, err := f.home.readSecretFile(tokenFile)
	if errors.Is(err, fs.ErrNotExist) {
		if f.password == "" {
			fmt.Fprintln(f.env.Stderr, "This system has no keyring, so tokens are kept in an encrypted file.")
			f.password, err = f.source.choose(ctx, f.env, "your tokens")
			return all, err
		}
		return all, nil
	}
	if err != nil {
		return nil, err
	}
	if f.password == "" {
		if f.password, err = f.source.read(ctx, f.env, "your tokens"); err != nil {
			return nil, err
		}
	}
	identity, err := age.NewScryptIdentity(f.password)
	if err != nil {
		return nil, fail(ExitLocked, "opening your tokens", err, "")
	}
	r, err := age.Decrypt(bytes.NewReader(ciphertext), identity)
	if err != nil {
		return nil, fail(ExitLocked, "opening your tokens", errors.New("wrong password, or a damaged file"),
			"Try again, or remove "+f.home.path(tokenFile)+" and sign in again")
	}
	plaintext, err := io.ReadAll(io.LimitReader(r, maxTokens))
	if err != nil {
		return nil, fail(ExitLocked, "opening your tokens", err, "")
	}
	return all, json.Unmarshal(plaintext, &all)
}

// leastLeft is how much life a token must have left to be handed out.
const leastLeft = time.Minute

// freshToken returns a good token of an account, refreshing it if need be. Two
// processes that do so at once end with one refresh: the second finds what the
// first stored.
func freshToken(ctx context.Context, env *Env, h *home, tokens tokenStore, a account) (storedToken, error) {
	unlock, err := h.lock()
	if err != nil {
		return storedToken{}, fail(ExitFailed, "locking the tokens", err, "")
	}
	defer unlock()
	t, err := tokens.get(ctx, a.key())
	if errors.Is(err, errNoToken) {
		return t, fail(ExitNotSignedIn, "not signed in at "+a.Server, nil, `Sign in with "countersign login"`)
	}
	if err != nil || t.good(env.Now()) {
		return t, err
	}
	if t.RefreshToken == "" {
		return t, fail(ExitNotSignedIn, "the sign-in at "+a.Server+" is over", nil, `Sign in again with "countersign login"`)
	}
	config, err := clientConfig(ctx, a.Server, a.ClientID)
	if err != nil {
		return t, err
	}
	fresh, err := config.Refresh(ctx, t.RefreshToken)
	var refused *deviceflow.Error
	if errors.As(err, &refused) && refused.Code == "invalid_grant" {
		return t, fail(ExitNotSignedIn, "the sign-in at "+a.Server+" is over", refused, `Sign in again with "countersign login"`)
	}
	if err != nil {
		return t, serverFailure("refreshing the token", a.Server, err)
	}
	kept, err := keep(fresh, env.Now())
	if err != nil {
		return t, err
	}
	return kept, tokens.put(ctx, a.key(), kept)
}

// keep is a token as it is kept. What is printed into shells and headers later is
// visible ASCII (RFC 6749 appendix A.12) or is no token.
func keep(t *oauth2.Token, now time.Time) (storedToken, error) {
	for _, token := range []string{t.AccessToken, t.RefreshToken} {
		if strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) {
			return storedToken{}, unexpected("its token is none: it has characters that no token has")
		}
	}
	return storedToken{AccessToken: t.AccessToken, RefreshToken: t.RefreshToken, Expiry: t.Expiry, Obtained: now}, nil
}

// good reports whether a token can be handed out, as far as the clock says. If that
// was set back to before the token was obtained it says nothing, and a new one is
// got if it can be.
func (t storedToken) good(now time.Time) bool {
	left := t.Expiry.IsZero() || t.Expiry.Sub(now) > leastLeft
	return left && (!now.Before(t.Obtained) || t.RefreshToken == "")
}

// clientConfig finds a server and returns a client of it.
func clientConfig(ctx context.Context, server, clientID string) (*deviceflow.Config, error) {
	endpoint, err := deviceflow.Discover(ctx, nil, server)
	if err != nil {
		return nil, serverFailure("finding the server", server, err)
	}
	return &deviceflow.Config{ClientID: clientID, Endpoint: endpoint}, nil
}

// serverFailure says what a server refused, or that it cannot be reached.
func serverFailure(doing, server string, err error) error {
	var refused *deviceflow.Error
	switch {
	case errors.As(err, &refused) && errors.Is(err, deviceflow.ErrDenied):
		return &Failure{Code: ExitDenied, What: doing, Err: errors.New("the owner said no"), OAuth: refused.Code, Next: "Ask again if that was a mistake"}
	case errors.As(err, &refused) && errors.Is(err, deviceflow.ErrExpired):
		return &Failure{Code: ExitExpired, What: doing, Err: errors.New("nobody approved in time"), OAuth: refused.Code, Next: "Start again"}
	case errors.As(err, &refused):
		return &Failure{Code: ExitRefused, What: doing, Err: refused, OAuth: refused.Code}
	case errors.Is(err, context.DeadlineExceeded):
		return &Failure{Code: ExitExpired, What: doing, Err: errors.New("it took longer than --timeout")}
	case errors.Is(err, context.Canceled):
		return &Failure{Code: ExitCancelled, What: doing, Err: errors.New("cancelled")}
	default:
		return &Failure{Code: ExitNetwork, What: doing + " at " + server, Err: err, Next: "Check the address, and that the server runs"}
	}
}
