package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"strings"
	"time"

	"filippo.io/age"
	"golang.org/x/oauth2"

	"countersign.dev/deviceflow"
	"countersign.dev/dpop"
)

// storedToken is a token as it is kept.
type storedToken struct {
	AccessToken  string `json:"access_token"`
	RefreshToken string `json:"refresh_token,omitempty"`
	// Type is how it is sent, Bearer where it is empty; Key is what it is bound to, as
	// dpop.Key.Save wrote it.
	Type string `json:"token_type,omitempty"`
	Key  string `json:"key,omitempty"`
	// Expiry is zero where the server did not say.
	Expiry   time.Time `json:"expiry"`
	Obtained time.Time `json:"obtained,omitzero"`
	// Refused: the server said that it is over, whatever the clock says.
	Refused bool `json:"refused,omitempty"`
}

// tokenStore keeps tokens by account key, in a file or in the keyring of the system.
type tokenStore struct {
	file    *fileTokens // nil where they are in the keyring
	keyring keyringTokens
}

// get returns a token.
//
//	errNoToken: there is none
func (s tokenStore) get(ctx context.Context, key string) (storedToken, error) {
	if s.file != nil {
		return s.file.get(ctx, key)
	}
	return s.keyring.get(ctx, key)
}

func (s tokenStore) put(ctx context.Context, key string, t storedToken) error {
	if s.file != nil {
		return s.file.put(ctx, key, t)
	}
	return s.keyring.put(ctx, key, t)
}

func (s tokenStore) remove(ctx context.Context, key string) error {
	if s.file != nil {
		return s.file.remove(ctx, key)
	}
	return s.keyring.remove(ctx, key)
}

var errNoToken = errors.New("no token is kept")

const (
	tokenFile = "tokens.age"
	plainFile = "tokens.json"
	maxTokens = 4 << 20
)

// workFactor is age's scrypt cost, 2^15: a tenth of a second. The file is read at each
// command, and tokens in it end by themselves. Tests, which sign in hundreds of times,
// take less.
var workFactor = 15

// fileTokens keeps tokens in one file that only its owner can read, encrypted with a
// password (age, scrypt).
type fileTokens struct {
	env      *Env
	home     *home
	source   passwordSource
	password string // once it was given
	plain    bool   // not encrypted, because its owner chose so
	silent   bool   // nobody is asked for a password
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

// name is the file's, in the configuration directory.
func (f *fileTokens) name() string {
	if f.plain {
		return plainFile
	}
	return tokenFile
}

// change changes what the file holds. There is none that holds nothing: whoever signs in
// then chooses anew.
func (f *fileTokens) change(ctx context.Context, fn func(map[string]storedToken)) error {
	all, err := f.load(ctx)
	if err != nil {
		return err
	}
	fn(all)
	if len(all) == 0 {
		return f.home.discard(f.name())
	}
	text, err := json.Marshal(all)
	if err != nil {
		return err
	}
	if !f.plain {
		if f.password == "" {
			if f.password, err = f.source.choose(ctx, f.env, "your tokens"); err != nil {
				return err
			}
		}
		if text, err = encrypted(text, f.password); err != nil {
			return err
		}
	}
	return f.home.write(f.name(), text)
}

func encrypted(text []byte, password string) ([]byte, error) {
	recipient, err := age.NewScryptRecipient(password)
	if err != nil {
		return nil, err
	}
	recipient.SetWorkFactor(workFactor)
	var b bytes.Buffer
	w, err := age.Encrypt(&b, recipient)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(text); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// load reads the file, asking for its password once. Without a file there is nothing.
func (f *fileTokens) load(ctx context.Context) (all map[string]storedToken, err error) {
	all = map[string]storedToken{}
	text, err := f.home.readSecretFile(f.name())
	if errors.Is(err, fs.ErrNotExist) {
		return all, nil
	}
	if err == nil && !f.plain {
		text, err = f.decrypted(ctx, text)
	}
	if err != nil {
		return nil, err
	}
	err = json.Unmarshal(text, &all)
	if err == nil && all == nil {
		err = errors.New("it holds null")
	}
	if err != nil {
		return nil, fail(ExitFailed, "reading "+f.home.path(f.name()), err, "Move it away, and sign in again")
	}
	return all, nil
}

var errWrongPassword = errors.New("wrong password, or a damaged file")

// decrypted is the text of the file.
func (f *fileTokens) decrypted(ctx context.Context, ciphertext []byte) (text []byte, err error) {
	open := func(password string) error {
		if password == "" {
			return errWrongPassword
		}
		identity, err := age.NewScryptIdentity(password)
		if err != nil {
			return err
		}
		r, err := age.Decrypt(bytes.NewReader(ciphertext), identity)
		if err != nil {
			return errWrongPassword
		}
		text, err = io.ReadAll(io.LimitReader(r, maxTokens))
		f.password = password
		return err
	}
	switch {
	case f.password != "":
		if err = open(f.password); errors.Is(err, errWrongPassword) {
			err = errors.New("another sign-in has chosen another password meanwhile")
		}
	case f.silent && (f.source.path(f.env) == "-" || f.source.path(f.env)+f.env.Getenv("COUNTERSIGN_PASSWORD") == ""):
		err = errors.New("its token lies under a password")
	default:
		err = f.source.open(ctx, f.env, "your tokens", errWrongPassword, open)
	}
	return text, failing(ExitLocked, "opening your tokens", err, "Try again, or remove "+f.home.path(tokenFile)+" and sign in again")
}

// leastLeft is how much life a token must have left to be handed out.
const leastLeft = time.Minute

// freshToken returns a good token of an account, renewing it if need be. Two
// processes that do so at once end with one refresh: the second finds what the
// first stored. refused is an access token that the server did not take, or empty.
func freshToken(ctx context.Context, env *Env, h *home, tokens tokenStore, a account, refused string) (storedToken, error) {
	t, err := heldToken(ctx, tokens, a)
	if err != nil || t.good(env.Now(), refused) {
		return t, err
	}
	unlock, err := h.lockAccount(ctx, a)
	if err != nil {
		return t, err
	}
	defer unlock()
	t, err = heldToken(ctx, tokens, a)
	if err != nil || t.good(env.Now(), refused) {
		return t, err
	}
	kept, err := renewed(ctx, env, a, t)
	if said, ok := errors.AsType[*Failure](err); ok && said.Code == ExitNotSignedIn && t.AccessToken == refused {
		t.Refused = true // so that nobody is handed it any more
		return t, errors.Join(err, h.withLock(ctx, func() error { return tokens.put(ctx, a.key(), t) }))
	}
	if err != nil {
		return t, err
	}
	// It is the only one that there is: the old one was used up.
	ctx = context.WithoutCancel(ctx)
	env.keeping.Lock()
	defer env.keeping.Unlock()
	return kept, h.withLock(ctx, func() error { return tokens.put(ctx, a.key(), kept) })
}

// heldToken is the token that is kept for an account.
func heldToken(ctx context.Context, tokens tokenStore, a account) (storedToken, error) {
	t, err := tokens.get(ctx, a.key())
	if errors.Is(err, errNoToken) {
		err = fail(ExitNotSignedIn, "not signed in at "+a.Server, nil, `Sign in with "countersign login`+serverHint(a.Server)+`"`)
	}
	return t, err
}

// renewed trades a refresh token for a new token.
func renewed(ctx context.Context, env *Env, a account, t storedToken) (storedToken, error) {
	if t.RefreshToken == "" {
		return t, over(a.Server)
	}
	config, err := clientConfig(ctx, a.Server, a.ClientID)
	if err != nil {
		return t, err
	}
	if config.Key, err = t.key(); err != nil {
		return t, err
	}
	fresh, err := config.Refresh(ctx, t.RefreshToken)
	if refused, ok := errors.AsType[*deviceflow.Error](err); ok && refused.Code == "invalid_grant" {
		return t, over(a.Server)
	}
	if err != nil {
		return t, serverFailure("refreshing the token", a.Server, err)
	}
	return keep(fresh, config.Key, env.Now())
}

// keep is a token as it is kept, with the key that it may be bound to. What is printed into shells and headers later is
// visible ASCII (RFC 6749 appendix A.12) or is no token.
func keep(t *oauth2.Token, key *dpop.Key, now time.Time) (kept storedToken, err error) {
	for _, token := range []string{t.AccessToken, t.RefreshToken} {
		if strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) {
			return storedToken{}, unexpected("its token is none: it has characters that no token has")
		}
	}
	kept = storedToken{AccessToken: t.AccessToken, RefreshToken: t.RefreshToken, Expiry: t.Expiry, Obtained: now}
	if key == nil {
		return kept, nil
	}
	if strings.EqualFold(t.TokenType, dpop.Scheme) {
		kept.Type = dpop.Scheme
	}
	kept.Key, err = key.Save()
	return kept, err
}

// key is what the token and what renews it are bound to; nil: nothing.
func (t storedToken) key() (*dpop.Key, error) {
	if t.Key == "" && !t.bound() {
		return nil, nil
	}
	key, err := dpop.LoadKey(t.Key)
	if err != nil {
		return nil, fail(ExitFailed, "reading the key of your sign-in", err, "Sign in again")
	}
	return key, nil
}

// bound reports whether the token is of use with a proof by its key alone.
func (t storedToken) bound() bool { return t.Type == dpop.Scheme }

// client is an HTTP client that sends the token, with a proof of each request if it is
// bound to a key.
func (t storedToken) client() (*http.Client, error) {
	key, err := t.key()
	if err != nil {
		return nil, err
	}
	c := *httpClient
	c.Transport = &deviceflow.Transport{
		Source: oauth2.StaticTokenSource(&oauth2.Token{AccessToken: t.AccessToken, TokenType: t.Type}), Key: key, Base: httpClient.Transport,
	}
	return &c, nil
}

// good reports whether a token can be handed out, as far as the clock says and the
// server has not refused it. If the clock was set back to before the token was obtained
// it says nothing, and a new one is got if it can be.
func (t storedToken) good(now time.Time, refused string) bool {
	left := t.Expiry.IsZero() || t.Expiry.Sub(now) > leastLeft
	return left && !t.Refused && t.AccessToken != refused && (!now.Before(t.Obtained) || t.RefreshToken == "")
}

// clientConfig finds a server and returns a client of it.
func clientConfig(ctx context.Context, server, clientID string) (*deviceflow.Config, error) {
	device := &http.Client{Transport: userAgent{}}
	endpoint, err := deviceflow.Discover(ctx, device, server)
	if err != nil {
		return nil, serverFailure("finding the server", server, err)
	}
	return &deviceflow.Config{ClientID: clientID, Endpoint: endpoint, HTTPClient: device}, nil
}

// serverFailure says what a server refused, or that it cannot be reached.
func serverFailure(doing, server string, err error) error {
	refused, ok := errors.AsType[*deviceflow.Error](err)
	switch {
	case ok && errors.Is(err, deviceflow.ErrDenied):
		return &Failure{Code: ExitDenied, What: doing, Err: errors.New("the owner said no"), OAuth: refused.Code, Next: "Ask again if that was a mistake"}
	case ok && errors.Is(err, deviceflow.ErrExpired):
		return &Failure{Code: ExitExpired, What: doing, Err: errors.New("nobody approved in time"), OAuth: refused.Code, Next: "Start again"}
	case ok:
		return &Failure{Code: ExitRefused, What: doing, Err: refused, OAuth: refused.Code}
	case errors.Is(err, context.DeadlineExceeded):
		return &Failure{Code: ExitExpired, What: doing, Err: errors.New("it took longer than --timeout"), Next: "Start again, with a longer --timeout"}
	case errors.Is(err, context.Canceled):
		return &Failure{Code: ExitCancelled, What: doing, Err: errors.New("cancelled")}
	default:
		if inner, ok := errors.AsType[*url.Error](err); ok { // which says the address once more, and how it was asked
			err = inner.Err
		}
		return &Failure{Code: ExitNetwork, What: doing + " at " + server, Err: err, Next: "Check the address, and that the server runs"}
	}
}
