package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"countersign.dev/dpop"
)

func newWhoamiCommand(env *Env) *cobra.Command {
	var server string
	var p passwordSource
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "whoami",
		Short: "Say who is signed in",
		Example: `  countersign whoami
  countersign whoami --server https://id.example.org --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx := cmd.Context()
			c, err := openAccount(ctx, env, server, p)
			if err != nil {
				return err
			}
			info, err := c.whoami(ctx)
			if err != nil {
				return err
			}
			if asJSON {
				writeEvent(env.Stdout, info)
				return nil
			}
			fmt.Fprintln(env.Stdout, c.account.describe())
			for _, name := range []string{"sub", "name", "bap_id", "pubkey"} {
				if v := info.text(name); v != "" {
					fmt.Fprintf(env.Stdout, "  %-8s%s\n", name, printable(v))
				}
			}
			return nil
		},
	}
	serverFlag(cmd, &server)
	passwordFlag(cmd, &p)
	cmd.Flags().BoolVar(&asJSON, "json", false, "the claims as one JSON object")
	return cmd
}

// signIn is an account that a command acts with.
type signIn struct {
	env     *Env
	home    *home
	tokens  tokenStore
	account account
}

// openAccount finds the account that a command is about.
func openAccount(ctx context.Context, env *Env, server string, p passwordSource) (*signIn, error) {
	h, err := openHome(env)
	if err != nil {
		return nil, err
	}
	named, err := namedServer(env, server)
	if err != nil {
		return nil, err
	}
	a, err := h.find(named)
	if err != nil {
		return nil, err
	}
	return h.signIn(ctx, env, a, p)
}

// signIn is a sign-in of this machine, with where its token lies.
func (h *home) signIn(ctx context.Context, env *Env, a account, p passwordSource) (*signIn, error) {
	tokens, err := tokensOf(ctx, env, h, p, a)
	if err != nil {
		return nil, err
	}
	return &signIn{env, h, tokens, a}, nil
}

// token returns a good token, renewed if need be.
func (c *signIn) token(ctx context.Context, refused string) (storedToken, error) {
	return freshToken(ctx, c.env, c.home, c.tokens, c.account, refused)
}

// withToken does something with a good token. One that the server refuses though the
// clock says that it is good is renewed once: do says so with ExitNotSignedIn.
func (c *signIn) withToken(ctx context.Context, do func(t storedToken) error) error {
	refused := ""
	for {
		t, err := c.token(ctx, refused)
		if err != nil {
			return err
		}
		err = do(t)
		var said *Failure
		if !errors.As(err, &said) || said.Code != ExitNotSignedIn || refused != "" {
			return err
		}
		refused = t.AccessToken
	}
}

// whoami asks the server whose token it is.
func (c *signIn) whoami(ctx context.Context) (info claims, err error) {
	config, err := clientConfig(ctx, c.account.Server, c.account.ClientID)
	if err != nil {
		return nil, err
	}
	err = c.withToken(ctx, func(t storedToken) (err error) {
		info, err = userInfo(ctx, config.Endpoint, t)
		return err
	})
	return info, err
}

// over is the failure of a sign-in that the server has ended.
func over(server string) error {
	return fail(ExitNotSignedIn, "the sign-in at "+server+" is over", nil, `Sign in again with "countersign login`+serverHint(server)+`"`)
}

func newTokenCommand(env *Env) *cobra.Command {
	var server, format, nonce string
	var p passwordSource
	var proof bool
	cmd := &cobra.Command{
		Use:   "token [--proof METHOD URL]",
		Short: "Print a good access token",
		Long: `Print one access token and a newline. A token with less than a minute left is
refreshed first; two processes that do so at once end with one refresh.

A token that is bound to this machine's key, as those of login are where the
server takes DPoP proofs, is of use with a proof for one request: --proof prints
both headers, for that request and once. Sign in with login --bearer for tools
that send Authorization: Bearer by themselves.`,
		Example: `  countersign token --proof GET "$url" | curl -H @- "$url"
  curl -H "$(countersign token --format header)" https://api.example.org/me
  countersign token --format json`,
		Args: func(_ *cobra.Command, args []string) error {
			if (proof && len(args) != 2) || (!proof && len(args) > 0) {
				return usage("token takes a method and an address with --proof, and nothing without")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			show, known := tokenFormats[format]
			if proof {
				show = func(t storedToken) (string, error) { return proved(t, args[0], args[1], nonce, env.Now()) }
			}
			if !known {
				return usage("--format must be plain, header, env or json")
			}
			c, err := openAccount(cmd.Context(), env, server, p)
			if err != nil {
				return err
			}
			t, err := c.token(cmd.Context(), "")
			if err != nil {
				return err
			}
			text, err := show(t)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(env.Stdout, text)
			return err
		},
	}
	serverFlag(cmd, &server)
	passwordFlag(cmd, &p)
	cmd.Flags().StringVar(&format, "format", "plain", "`word` for how it is printed: plain, header, env or json")
	cmd.Flags().BoolVar(&proof, "proof", false, "print the headers of one request: METHOD URL")
	cmd.Flags().StringVar(&nonce, "nonce", "", "with --proof, the `text` of the DPoP-Nonce header that the server answered with")
	return cmd
}

var tokenFormats = map[string]func(storedToken) (string, error){
	"plain": func(t storedToken) (string, error) { return t.AccessToken, nil },
	"header": func(t storedToken) (string, error) {
		if t.bound() {
			return "", fail(ExitUsage, "the token is bound to this machine's key, so a header alone is of no use", nil,
				"Print it with a proof, --proof METHOD URL; or sign in with login --bearer")
		}
		return "Authorization: Bearer " + t.AccessToken, nil
	},
	"env": func(t storedToken) (string, error) { return "COUNTERSIGN_TOKEN=" + t.AccessToken, nil },
	"json": func(t storedToken) (string, error) {
		answer := map[string]any{"access_token": t.AccessToken, "token_type": cmp.Or(t.Type, "Bearer")}
		if !t.Expiry.IsZero() {
			answer["expires_at"] = t.Expiry.Unix()
		}
		b, err := json.Marshal(answer)
		return string(b), err
	},
}

// proved are the headers of one request with a token: one where it is bound to no key.
func proved(t storedToken, method, address, nonce string, now time.Time) (string, error) {
	if !t.bound() {
		return tokenFormats["header"](t)
	}
	key, err := t.key()
	if err != nil {
		return "", err
	}
	proof, err := key.Sign(dpop.Signing{Method: method, URL: address, AccessToken: t.AccessToken, Nonce: nonce, Time: now})
	if err != nil {
		return "", usage("--proof takes the method and the whole address of a request, like GET https://api.example.org/me")
	}
	return "Authorization: " + dpop.Scheme + " " + t.AccessToken + "\n" + dpop.Header + ": " + proof, nil
}

func newLogoutCommand(env *Env) *cobra.Command {
	var server string
	var p passwordSource
	cmd := &cobra.Command{
		Use:   "logout",
		Short: "Sign this machine out and revoke its tokens",
		Example: `  countersign logout
  countersign logout --server https://id.example.org`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return logout(cmd.Context(), env, server, p) },
	}
	serverFlag(cmd, &server)
	passwordFlag(cmd, &p)
	return cmd
}

// logout revokes first: a token that nobody has any more cannot be.
func logout(ctx context.Context, env *Env, server string, p passwordSource) error {
	c, err := openAccount(ctx, env, server, p)
	if err != nil {
		return err
	}
	unlock, err := c.home.lockAccount(ctx, c.account)
	if err != nil {
		return err
	}
	defer unlock()
	t, err := c.tokens.get(ctx, c.account.key())
	if err != nil && !errors.Is(err, errNoToken) {
		return err // nothing is forgotten that could not be read
	}
	gone := err != nil
	var revoked error
	if !gone {
		revoked = revokeAt(ctx, c.account, t)
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err := c.forget(ctx); err != nil {
		return err
	}
	if revoked != nil {
		return fail(ExitNetwork, "signed out here, but the token could not be revoked at "+c.account.Server, revoked,
			"It ends by itself; at once where you take it back, at "+originOf(c.account.Server)+`/account or, if your identity is here, with "countersign grants revoke"`)
	}
	if gone {
		return fail(ExitFailed, "signed out here, but the token was not where it was kept, so it was not revoked at "+c.account.Server, nil,
			originOf(c.account.Server)+`/account shows what is still allowed, and, if your identity is here, "countersign grants list"`)
	}
	fmt.Fprintf(env.Stderr, "Signed out of %s.\n", c.account.Server)
	if now, err := c.home.find(""); err == nil { // which it was made, or was before
		fmt.Fprintf(env.Stderr, "Now %s.\n", now.describe())
	}
	return nil
}

// forget forgets an account and its token.
func (c *signIn) forget(ctx context.Context) error {
	return c.home.update(ctx, func() error {
		if err := c.tokens.remove(ctx, c.account.key()); err != nil {
			return err
		}
		c.home.remove(c.account.key())
		return nil
	})
}

func revokeAt(ctx context.Context, a account, t storedToken) error {
	config, err := clientConfig(ctx, a.Server, a.ClientID)
	if err != nil {
		return err
	}
	return config.Revoke(ctx, cmp.Or(t.RefreshToken, t.AccessToken))
}

func newAccountsCommand(env *Env) *cobra.Command {
	cmd := &cobra.Command{Use: "accounts", Short: "See and switch between the accounts signed in"}
	list := &cobra.Command{
		Use:   "list",
		Short: "List the accounts signed in on this machine",
		Example: `  countersign accounts list
  countersign accounts list | grep example.org`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			h, err := openHome(env)
			if err != nil {
				return err
			}
			if len(h.Accounts) == 0 {
				env.say(`Nobody is signed in on this machine. Sign in with "countersign login".`)
				return nil
			}
			var rows [][]string
			for _, a := range h.Accounts {
				mark := " "
				if a.key() == h.Current {
					mark = "*"
				}
				rows = append(rows, []string{mark + " " + printable(a.Server), printable(cmp.Or(a.Name, a.Subject)), printable(cmp.Or(a.BAPID, a.Subject))})
			}
			return printList(env, nil, rows)
		},
	}
	change := &cobra.Command{
		Use:   "switch ACCOUNT",
		Short: "Make an account the current one",
		Long: `Make an account the current one. ACCOUNT is a server, a name, a BAP id or a sub,
as long as only one account fits.`,
		Example: `  countersign accounts switch https://id.example.org
  countersign accounts switch satoshi`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return switchAccount(cmd.Context(), env, args[0]) },
	}
	cmd.AddCommand(list, change)
	return cmd
}

func switchAccount(ctx context.Context, env *Env, wanted string) error {
	h, err := openHome(env)
	if err != nil {
		return err
	}
	var found []account
	address, _ := serverAddress(wanted) // or it is none
	for _, a := range h.Accounts {
		_, host, _ := strings.Cut(a.Server, "://")
		if wanted == a.Server || wanted == host || address == a.Server || wanted == a.Name || wanted == a.BAPID || wanted == a.Subject {
			found = append(found, a)
		}
	}
	switch len(found) {
	case 0:
		return fail(ExitNotSignedIn, "no account fits", nil, `"countersign accounts list" shows those there are`)
	case 1:
		err := h.update(ctx, func() error {
			h.Current = found[0].key()
			return nil
		})
		if err != nil {
			return err
		}
		fmt.Fprintf(env.Stderr, "Now %s.\n", found[0].describe())
		return nil
	default:
		var others []string
		for _, a := range found {
			others = append(others, printable(a.Server)+" ("+printable(a.Subject)+")")
		}
		return &Failure{Code: ExitUsage, What: "several accounts fit: " + strings.Join(others, ", "), Next: "Name one by its server, or by what stands behind it"}
	}
}

func newVersionCommand(env *Env) *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Example: `  countersign version
  countersign --version`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprintln(env.Stdout, "countersign", Version())
			return err
		},
	}
}
