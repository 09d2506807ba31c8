package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/oauth2"

	"countersign.dev/deviceflow"
)

type loginOptions struct {
	server, clientID, scope string
	tokenStore              string
	bearer                  bool
	password                passwordSource
	browser, noBrowser      bool
	device, noColor         bool
	asJSON, quiet           bool
	timeout                 time.Duration
}

func newLoginCommand(env *Env) *cobra.Command {
	var o loginOptions
	cmd := &cobra.Command{
		Use:   "login",
		Short: "Sign this machine in, with your approval",
		Long: `Ask a server for a token and wait for your approval, given on another device,
in a browser, or with "countersign approve". Several servers and accounts can be
signed in side by side.

Exit codes: 0 signed in, 3 expired or timed out, 4 denied, 6 server not
reachable, 7 refused, 130 cancelled.`,
		Example: `  countersign login
  countersign login --server https://id.example.org --scope openid --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return login(cmd.Context(), env, o) },
	}
	serverFlag(cmd, &o.server)
	passwordFlag(cmd, &o.password)
	f := cmd.Flags()
	f.StringVar(&o.clientID, "client-id", "", "`id` of the client to sign in as (default: COUNTERSIGN_CLIENT_ID, "+ownClient+")")
	f.StringVar(&o.scope, "scope", "", "the `scopes` to ask for, space-separated (default: "+loginScope+"; and grants, where the server knows it)")
	f.StringVar(&o.tokenStore, "token-store", "", "`where` tokens are kept: keyring, encrypted (a file under a password) or plain (a file that only you can read; default: the keyring, else as before, else asked)")
	f.BoolVar(&o.bearer, "bearer", false, "ask for tokens that are of use without a key of this machine: for tools that know Authorization: Bearer only")
	f.BoolVar(&o.browser, "browser", false, "open the browser without asking")
	f.BoolVar(&o.noBrowser, "no-browser", false, "never open a browser")
	f.BoolVar(&o.noColor, "no-color", false, "no bold text, like NO_COLOR")
	f.BoolVar(&o.device, "device", false, "use the device flow (it is the only one yet)")
	f.BoolVar(&o.asJSON, "json", false, "one JSON object a line on standard output")
	f.BoolVarP(&o.quiet, "quiet", "q", false, "say only what is needed")
	f.DurationVar(&o.timeout, "timeout", 0, "give up after this long (default: when the code expires)")
	return cmd
}

func login(ctx context.Context, env *Env, o loginOptions) error {
	if _, ok := tokenStores[o.tokenStore]; !ok {
		return usage("--token-store must be keyring, encrypted or plain")
	}
	h, err := openHome(env)
	if err != nil {
		return err
	}
	server, err := chooseServer(env, h, o.server)
	if err != nil {
		return err
	}
	if err := h.usable(ctx); err != nil {
		return err
	}
	inTime, cancel := o.inTime(ctx)
	defer cancel()
	config, err := clientConfig(inTime, server, cmp.Or(o.clientID, env.Getenv("COUNTERSIGN_CLIENT_ID"), ownClient))
	if err != nil {
		return err
	}
	config.Scopes = o.scopes(config)
	config.NumberMatch, config.Bearer = true, o.bearer
	config.DeviceName, _ = os.Hostname() // a device without a name says none
	config.DevicePlatform = runtime.GOOS
	tokens, where, err := newTokens(ctx, env, h, o.password, o.tokenStore)
	if err != nil {
		return err
	}
	token, err := requestAndWait(inTime, env, config, o)
	if err != nil {
		return err
	}
	s := &signIn{env, h, tokens, account{Server: config.Endpoint.Issuer, ClientID: config.ClientID, Tokens: where}}
	return s.begin(ctx, config, token, o)
}

const (
	// ownClient is the client that the command line is by itself.
	ownClient = "countersign-cli"
	// loginScope is asked for at every server.
	loginScope = "openid profile offline_access"
	// grantsScope lets this machine see and take back what its owner allowed, where
	// their identity is in a browser and not here.
	grantsScope = "grants"
)

// scopes are what to ask for.
func (o loginOptions) scopes(config *deviceflow.Config) []string {
	if o.scope != "" {
		return strings.Fields(o.scope)
	}
	scopes := strings.Fields(loginScope)
	if config.ClientID == ownClient && slices.Contains(config.Endpoint.ScopesSupported, grantsScope) {
		scopes = append(scopes, grantsScope)
	}
	return scopes
}

// inTime ends when --timeout says so.
func (o loginOptions) inTime(ctx context.Context) (context.Context, context.CancelFunc) {
	if o.timeout <= 0 {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, o.timeout)
}

// requestAndWait asks for a code and waits; an expired code is followed by
// another, if the person at the terminal wants that.
func requestAndWait(ctx context.Context, env *Env, config *deviceflow.Config, o loginOptions) (*oauth2.Token, error) {
	for {
		request, err := config.Request(ctx)
		if err != nil {
			return nil, serverFailure("asking for a code", config.Endpoint.Issuer, err)
		}
		screen := newLoginScreen(env, config, request, o)
		token, err := screen.wait(ctx)
		if err == nil {
			return token, nil
		}
		failure := serverFailure("signing in", config.Endpoint.Issuer, err)
		if !errors.Is(err, deviceflow.ErrExpired) || !env.StdinTerminal || o.asJSON {
			screen.ended(err)
			return nil, failure
		}
		again, askErr := confirm(ctx, env, "The code has expired. Get a new one?")
		if askErr != nil || !again {
			return nil, failure
		}
	}
}

// begin keeps a token that was given, and only then looks whose it is: whatever fails
// then, what was allowed is here to be used and taken back.
func (c *signIn) begin(ctx context.Context, config *deviceflow.Config, token *oauth2.Token, o loginOptions) error {
	// There is no second time for any of this, so no signal ends it in between.
	ctx = context.WithoutCancel(ctx)
	c.account.Scope, _ = token.Extra("scope").(string)
	before := c.earlier(ctx)
	kept, err := keep(token, config.Key, c.env.Now())
	if err == nil {
		err = c.put(ctx, kept)
	}
	if err != nil {
		return c.takenBack(ctx, config, token, err)
	}
	info, err := userInfo(ctx, config.Endpoint, kept)
	if err != nil && !o.asJSON { // the token is good, and may be the only one there is
		c.env.say("The server does not say who you are: " + printable(err.Error()) + ".")
	}
	nameless := c.account
	c.account.Subject, c.account.BAPID, c.account.Name = info.text("sub"), info.text("bap_id"), info.text("name")
	if c.account.key() != nameless.key() {
		before = append(before, c.earlier(ctx)...)
		if err := c.put(ctx, kept); err != nil {
			return err // it is kept, and called nothing
		}
		if err := (&signIn{c.env, c.home, c.tokens, nameless}).forget(ctx); err != nil {
			return err
		}
	}
	c.end(ctx, before)
	c.announce(token, o)
	return nil
}

// put keeps a token, and its account as the current one.
func (c *signIn) put(ctx context.Context, t storedToken) error {
	c.env.keeping.Lock()
	defer c.env.keeping.Unlock()
	return c.home.update(ctx, func() error {
		if err := c.tokens.put(ctx, c.account.key(), t); err != nil {
			return fail(ExitFailed, "keeping the token", err, "")
		}
		c.home.put(c.account)
		return nil
	})
}

// takenBack takes back what was allowed where its token could not be kept.
func (c *signIn) takenBack(ctx context.Context, config *deviceflow.Config, token *oauth2.Token, why error) error {
	ctx, cancel := context.WithTimeout(ctx, ownerTimeout)
	defer cancel()
	what := "you allowed it, but the token cannot be kept, so it was taken back"
	next := "Mend that, and sign in again"
	if err := config.Revoke(ctx, cmp.Or(token.RefreshToken, token.AccessToken)); err != nil || config.Endpoint.RevocationURL == "" {
		what = "you allowed it, but the token cannot be kept, and it could not be taken back"
		next = `Take it back with "countersign grants revoke", or on your account's page at the server`
	}
	code := ExitFailed
	if said, ok := errors.AsType[*Failure](why); ok {
		code = said.Code
	}
	return fail(code, what, why, next)
}

// earlier is a sign-in of this machine that another takes the place of.
type earlier struct {
	account account
	tokens  tokenStore
	token   storedToken
	err     error // why there is no token
}

// earlier are those of the same person, or of nobody that is known, at the same server:
// one or none. What may be overwritten is read now; what lies elsewhere when this one is
// kept, for a keyring may take its time.
func (c *signIn) earlier(ctx context.Context) (all []earlier) {
	for _, a := range c.home.Accounts {
		if a.key() != c.account.key() {
			continue
		}
		e := earlier{account: a}
		if a.Tokens == c.account.Tokens || a.Tokens == "" {
			e = c.found(ctx, a)
		}
		all = append(all, e)
	}
	return all
}

// found is an earlier sign-in with its token.
func (c *signIn) found(ctx context.Context, a account) earlier {
	e := earlier{account: a, tokens: c.tokens}
	if a.Tokens != c.account.Tokens {
		e.tokens, e.err = tokensOf(ctx, c.env, c.home, passwordSource{}, a)
	}
	if f, ours := e.tokens.file, c.tokens.file; f != nil && f != ours {
		f.silent = true // nobody wants to type a password for this
		if ours != nil && f.name() == ours.name() {
			e.tokens.file = ours // which an older entry does not say
		}
	}
	if e.err == nil {
		e.token, e.err = e.tokens.get(ctx, a.key())
	}
	return e
}

// end revokes earlier sign-ins, and takes their tokens out of where new ones are not put.
func (c *signIn) end(ctx context.Context, all []earlier) {
	ctx, cancel := context.WithTimeout(ctx, ownerTimeout)
	defer cancel()
	for _, e := range all {
		if e.tokens == (tokenStore{}) && e.err == nil {
			e = c.found(ctx, e.account)
		}
		err := e.err
		if err == nil {
			err = revokeAt(ctx, e.account, e.token)
		}
		if e.err == nil && e.tokens != c.tokens {
			gone := c.home.withLock(ctx, func() error { return e.tokens.remove(ctx, e.account.key()) })
			err = errors.Join(err, gone)
		}
		if e.account.Tokens == inFile {
			err = errors.Join(err, c.home.discardUnneeded(ctx))
		}
		if err != nil {
			c.env.say("The earlier sign-in could not be ended: " + printable(err.Error()) + `. "countersign grants list" shows it.`)
		}
	}
}

// announce says who is signed in.
func (c *signIn) announce(token *oauth2.Token, o loginOptions) {
	env, a := c.env, c.account
	if o.asJSON {
		event := map[string]any{"event": "approved", "server": a.Server, "sub": a.Subject, "bap_id": a.BAPID, "name": a.Name, "scope": a.Scope}
		if !token.Expiry.IsZero() { // else the server did not say
			event["expires_at"] = token.Expiry.Unix()
		}
		writeEvent(env.Stdout, event)
		return
	}
	lasts := "until it is taken back"
	if !token.Expiry.IsZero() {
		lasts = "until " + token.Expiry.Local().Format("15:04")
	}
	if token.RefreshToken != "" {
		lasts += ", renewed by itself"
	}
	env.say("✓ Signed in as " + a.describe())
	if !o.quiet {
		env.say("  Allowed: " + printable(strings.Join(strings.Fields(a.Scope), ", ")) + " · " + lasts)
	}
}

// describe is an account in words.
func (a account) describe() string {
	host := a.Server
	if u, err := url.Parse(a.Server); err == nil {
		host = u.Host
	}
	name := cmp.Or(a.Name, a.Subject, "somebody")
	if a.BAPID != "" {
		return fmt.Sprintf("%s (bap_id %s) on %s", printable(name), printable(a.BAPID), printable(host))
	}
	return fmt.Sprintf("%s on %s", printable(name), printable(host))
}

// claims are what a userinfo endpoint answers.
type claims map[string]any

func (c claims) text(name string) string {
	s, _ := c[name].(string)
	return s
}

// userInfo reads the userinfo endpoint with an access token.
func userInfo(ctx context.Context, e deviceflow.Endpoint, t storedToken) (claims, error) {
	if e.UserInfoURL == "" {
		return nil, errors.New("it has no userinfo endpoint")
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, e.UserInfoURL, nil)
	if err != nil {
		return nil, err
	}
	client, err := t.client()
	if err != nil {
		return nil, err
	}
	status, body, err := exchange(client, req, ownerTimeout)
	if err != nil {
		return nil, serverFailure("asking who you are", e.Issuer, err)
	}
	if status == http.StatusUnauthorized {
		return nil, over(e.Issuer)
	}
	if status != http.StatusOK {
		return nil, refusal(status, body)
	}
	var c claims
	if err := decodeInto(body, &c); err != nil {
		return nil, err
	}
	if c.text("sub") == "" {
		return nil, unexpected("it does not say who is signed in")
	}
	return c, nil
}
