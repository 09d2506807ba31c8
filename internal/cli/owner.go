package cli

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"countersign.dev/bap"
	"countersign.dev/bitcoinauth"
)

// owner talks to a server as an identity, and every request is signed; or, about the
// grants of an account, with the token of who is signed in here.
type owner struct {
	env      *Env
	home     *home
	server   string
	entry    identityEntry
	identity *bap.Identity
	signedIn *signIn // instead of an identity, or nil
	// otherwise gives who acts where the token of the sign-in is no good; nil for nobody.
	otherwise func(ctx context.Context) (*owner, error)
}

// ownerTimeout bounds a request of an owner: none of them waits for anybody.
const ownerTimeout = 30 * time.Second

// ownerFlags say as whom, and at which server, an owner's command acts.
type ownerFlags struct {
	at, identity string
	password     passwordSource
}

func (f *ownerFlags) bind(cmd *cobra.Command) {
	serverFlag(cmd, &f.at)
	identityFlag(cmd, &f.identity)
	passwordFlag(cmd, &f.password)
}

// open chooses server and identity and unlocks the identity.
func (f ownerFlags) open(ctx context.Context, env *Env) (*owner, error) {
	h, server, err := f.server(env)
	if err != nil {
		return nil, err
	}
	e, err := h.identity(f.identity, server)
	if err != nil {
		return nil, err
	}
	i, err := h.unlock(ctx, env, e, f.password)
	if err != nil {
		return nil, err
	}
	return &owner{env: env, home: h, server: server, entry: e, identity: i}, nil
}

func (f ownerFlags) server(env *Env) (*home, string, error) {
	h, err := openHome(env)
	if err != nil {
		return nil, "", err
	}
	server, err := chooseServer(env, h, f.at)
	return h, server, err
}

// openForGrants is open for what is asked about the grants of an account. The token of
// the sign-in acts where it can do so without a question, and where the identity is
// elsewhere, as in a browser.
func (f ownerFlags) openForGrants(ctx context.Context, env *Env) (*owner, error) {
	h, server, err := f.server(env)
	if err != nil {
		return nil, err
	}
	a, err := h.actsByToken(f.identity, server)
	if err != nil {
		return nil, err
	}
	if a == nil {
		return f.open(ctx, env)
	}
	if !a.seesGrants() {
		return nil, noGrantsScope(server)
	}
	c, err := h.signIn(ctx, env, *a, f.password)
	if err != nil {
		return nil, err
	}
	o := &owner{env: env, home: h, server: server, signedIn: c}
	if all, err := h.identities(); err == nil && a.among(all) {
		o.otherwise = func(ctx context.Context) (*owner, error) { return f.open(ctx, env) }
	}
	return o, nil
}

// among reports whether the identity of an account is among those of this machine.
func (a account) among(all []identityEntry) bool {
	return slices.ContainsFunc(all, func(e identityEntry) bool { return e.BAPID == a.BAPID })
}

// seesGrants reports whether the token of an account has the grants scope.
func (a account) seesGrants() bool { return slices.Contains(strings.Fields(a.Scope), grantsScope) }

// asksNothing reports whether it has, and is read without a password.
func (a account) asksNothing() bool {
	return a.seesGrants() && (a.Tokens == inKeyring || a.Tokens == inPlain)
}

// actsByToken is the account at a server whose token acts where no identity is named; nil
// where an identity of this machine does.
func (h *home) actsByToken(identity, server string) (*account, error) {
	if identity != "" || h.Identity != "" {
		return nil, nil
	}
	all, err := h.identities()
	if err != nil {
		return nil, err
	}
	a, err := h.find(server)
	if err != nil {
		if len(all) > 0 {
			return nil, nil
		}
		return nil, fail(ExitNotSignedIn, "nobody is signed in here at "+server+", and there is no identity on this machine", nil,
			`Sign in with "countersign login`+serverHint(server)+`", or see `+originOf(server)+"/account in your browser")
	}
	here := a.among(all) && !a.asksNothing()
	mayBe := a.BAPID == "" && len(all) > 0 && !a.seesGrants() // the server did not say
	if here || mayBe {
		return nil, nil
	}
	return &a, nil
}

// acts is the BAP id of whom what is asked about grants at a server is asked as. It is
// empty for a token of which the server did not say.
func (h *home) acts(identity, server string) (bapID string, err error) {
	byToken, err := h.actsByToken(identity, server)
	if err != nil {
		return "", err
	}
	if byToken != nil {
		return byToken.BAPID, nil
	}
	e, err := h.identity(identity, server)
	return e.BAPID, err
}

// noGrantsScope says what to do where a sign-in has no part in its owner's grants.
func noGrantsScope(server string) error {
	return fail(ExitRefused, "this sign-in at "+server+" may not see what you allowed", nil,
		`Sign in again with "countersign login`+serverHint(server)+`"; or see `+originOf(server)+`/account; or bring your identity here, with "countersign identity import FILE" and the backup that your browser saved`)
}

// send signs and sends a request and returns the body of its success. body, when
// not nil, is sent as JSON, exactly as it is signed.
func (c *owner) send(ctx context.Context, method, path string, body any) ([]byte, error) {
	var raw []byte
	if body != nil {
		var err error
		if raw, err = json.Marshal(body); err != nil {
			return nil, err
		}
	}
	return c.sendRaw(ctx, method, path, raw)
}

// sendRaw names the server in what has no body: a signature covers path and body,
// and must be good at no other server.
func (c *owner) sendRaw(ctx context.Context, method, path string, body []byte) ([]byte, error) {
	if c.signedIn != nil {
		return c.sendWithToken(ctx, method, path, body)
	}
	if body == nil {
		before, query, _ := strings.Cut(path, "?")
		named, err := url.ParseQuery(query)
		if err != nil {
			return nil, err
		}
		named.Set("aud", c.server)
		path = before + "?" + named.Encode()
	}
	token, err := bitcoinauth.Sign(c.identity.MemberKey(), bitcoinauth.Signing{Path: path, Body: body, Time: c.env.Now()})
	if err != nil {
		return nil, err
	}
	return c.sendAs(ctx, method, path, body, bitcoinauth.Header, token)
}

// sendWithToken is sendRaw with the token of who is signed in.
func (c *owner) sendWithToken(ctx context.Context, method, path string, body []byte) (answer []byte, err error) {
	err = c.signedIn.withToken(ctx, func(t storedToken) (err error) {
		answer, err = c.sendBy(ctx, t, method, path, body)
		var refused *Failure
		if !errors.As(err, &refused) {
			return err
		}
		switch refused.OAuth {
		case "invalid_token":
			return over(c.server)
		case "insufficient_scope": // the client was narrowed meanwhile
			return noGrantsScope(c.server)
		default:
			return err
		}
	})
	if failed, ok := errors.AsType[*Failure](err); ok && c.otherwise != nil && slices.Contains([]ExitCode{ExitNotSignedIn, ExitLocked}, failed.Code) {
		if err := c.signs(ctx); err != nil {
			return nil, err
		}
		return c.sendRaw(ctx, method, path, body)
	}
	return answer, err
}

// signs has the identity act from here on, where it was the token.
func (c *owner) signs(ctx context.Context) error {
	signer, err := c.otherwise(ctx)
	if err == nil {
		*c = *signer
	}
	return err
}

// sendBy sends a request with a token.
func (c *owner) sendBy(ctx context.Context, t storedToken, method, path string, body []byte) ([]byte, error) {
	client, err := t.client()
	if err != nil {
		return nil, err
	}
	return c.exchange(ctx, client, method, path, body, nil)
}

// sendAs sends a request with the header that says who asks.
func (c *owner) sendAs(ctx context.Context, method, path string, body []byte, header, value string) ([]byte, error) {
	return c.exchange(ctx, httpClient, method, path, body, http.Header{header: {value}})
}

func (c *owner) exchange(ctx context.Context, client *http.Client, method, path string, body []byte, header http.Header) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, originOf(c.server)+path, bytes.NewReader(body))
	if err != nil {
		return nil, usage("--server is not a web address")
	}
	maps.Copy(req.Header, header)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	status, answer, err := exchange(client, req, ownerTimeout)
	if err != nil {
		return nil, serverFailure("asking", c.server, err)
	}
	if status != http.StatusOK {
		return nil, refusal(status, answer)
	}
	return answer, nil
}

// again is what a command has to be told to act as this one does: nothing where it would
// by itself.
func (c *owner) again() string {
	said := ""
	if server, err := chooseServer(c.env, c.home, ""); err != nil || server != c.server {
		said = " --server " + shellWord(c.server)
	}
	if c.signedIn != nil {
		return said
	}
	if bapID, err := c.home.acts("", c.server); err == nil && bapID == c.entry.BAPID {
		return said
	}
	return said + " --identity " + c.entry.BAPID
}

// errSilent is not context.DeadlineExceeded: that is the end of --timeout.
var errSilent = errors.New("the server gave no answer in time")

// exchange sends a request and reads the answer, within a time.
func exchange(client *http.Client, req *http.Request, within time.Duration) (status int, body []byte, err error) {
	ctx, cancel := context.WithTimeout(req.Context(), within)
	defer cancel()
	defer func() {
		if err != nil && ctx.Err() != nil && req.Context().Err() == nil {
			err = errSilent
		}
	}()
	resp, err := client.Do(req.WithContext(ctx))
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	body, err = readAll(resp.Body, maxAnswer)
	return resp.StatusCode, body, err
}

// refusal is what a server says no with.
func refusal(status int, body []byte) error {
	var e struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}
	if json.Unmarshal(body, &e) != nil || e.Error == "" {
		return fail(ExitNetwork, fmt.Sprintf("the server answered %d without saying why", status), nil, "Check that --server names a Countersign server")
	}
	code := ExitRefused
	if e.Error == "expired_token" {
		code = ExitExpired
	}
	what, next, _ := strings.Cut(printable(e.Description), ": ")
	// The server is there under another name than its own: with a path, or without.
	if issuer, another := strings.CutPrefix(next, "aud must be "); another {
		return &Failure{Code: code, What: "the server calls itself " + issuer, Next: "Name it so: --server " + issuer, OAuth: printable(e.Error)}
	}
	return &Failure{Code: code, What: "the server refused: " + cmp.Or(what, printable(e.Error)), Next: sentence(next), OAuth: printable(e.Error)}
}
