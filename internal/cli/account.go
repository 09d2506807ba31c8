package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"
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
			a, t, err := currentToken(cmd.Context(), env, server, p)
			if err != nil {
				return err
			}
			config, err := clientConfig(cmd.Context(), a.Server, a.ClientID)
			if err != nil {
				return err
			}
			info, err := userInfo(cmd.Context(), config.Endpoint, t.AccessToken)
			if err != nil {
				return err
			}
			if asJSON {
				writeEvent(env.Stdout, info)
				return nil
			}
			fmt.Fprintln(env.Stdout, a.describe())
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

// currentToken returns the account a command is about, with a good token.
func currentToken(ctx context.Context, env *Env, server string, p passwordSource) (account, storedToken, error) {
	h, err := openHome(env)
	if err != nil {
		return account{}, storedToken{}, err
	}
	named, err := namedServer(env, server)
	if err != nil {
		return account{}, storedToken{}, err
	}
	a, err := h.find(named)
	if err != nil {
		return a, storedToken{}, err
	}
	t, err := freshToken(ctx, env, h, openTokens(env, h, p), a)
	return a, t, err
}

func newTokenCommand(env *Env) *cobra.Command {
	var server, format string
	var p passwordSource
	cmd := &cobra.Command{
		Use:   "token",
		Short: "Print a good access token",
		Long: `Print one access token and a newline. A token with less than a minute left is
refreshed first; two processes that do so at once end with one refresh.`,
		Example: `  curl -H "$(countersign token --format header)" http://localhost:8628/api/auth/oauth2/userinfo
  countersign token --format json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if _, ok := tokenFormats[format]; !ok {
				return usage("--format must be plain, header, env or json")
			}
			_, t, err := currentToken(cmd.Context(), env, server, p)
			if err != nil {
				return err
			}
			text, err := tokenFormats[format](t)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(env.Stdout, text)
			return err
		},
	}
	serverFlag(cmd, &server)
	passwordFlag(cmd, &p)
	cmd.Flags().StringVar(&format, "format", "plain", "plain, header, env or json")
	return cmd
}

var tokenFormats = map[string]func(storedToken) (string, error){
	"plain":  func(t storedToken) (string, error) { return t.AccessToken, nil },
	"header": func(t storedToken) (string, error) { return "Authorization: Bearer " + t.AccessToken, nil },
	"env":    func(t storedToken) (string, error) { return "COUNTERSIGN_TOKEN=" + t.AccessToken, nil },
	"json": func(t storedToken) (string, error) {
		answer := map[string]any{"access_token": t.AccessToken, "token_type": "Bearer"}
		if !t.Expiry.IsZero() {
			answer["expires_at"] = t.Expiry.Unix()
		}
		b, err := json.Marshal(answer)
		return string(b), err
	},
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

func logout(ctx context.Context, env *Env, server string, p passwordSource) error {
	h, err := openHome(env)
	if err != nil {
		return err
	}
	named, err := namedServer(env, server)
	if err != nil {
		return err
	}
	a, err := h.find(named)
	if err != nil {
		return err
	}
	unlock, err := h.lock()
	if err != nil {
		return fail(ExitFailed, "locking the tokens", err, "")
	}
	defer unlock()
	tokens := openTokens(env, h, p)
	t, err := tokens.get(ctx, a.key())
	if err != nil && !errors.Is(err, errNoToken) {
		return err // nothing is forgotten that could not be read
	}
	var revoked error
	if err == nil {
		revoked = revokeAt(ctx, a, t)
		if err := tokens.remove(ctx, a.key()); err != nil {
			return fail(ExitFailed, "forgetting the token", err, "")
		}
	}
	h.remove(a.key())
	if err := h.save(); err != nil {
		return err
	}
	if revoked != nil {
		return fail(ExitNetwork, "signed out here, but the token could not be revoked at "+a.Server, revoked,
			`It ends by itself; "countersign grants revoke" ends it at once`)
	}
	fmt.Fprintf(env.Stderr, "Signed out of %s.\n", a.Server)
	return nil
}

func revokeAt(ctx context.Context, a account, t storedToken) error {
	config, err := clientConfig(ctx, a.Server, a.ClientID)
	if err != nil {
		return err
	}
	return config.Revoke(ctx, firstText(t.RefreshToken, t.AccessToken))
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
			w := tabwriter.NewWriter(env.Stdout, 0, 0, 2, ' ', 0)
			for _, a := range h.Accounts {
				mark := " "
				if a.key() == h.Current {
					mark = "*"
				}
				fmt.Fprintf(w, "%s %s\t%s\t%s\n", mark, printable(a.Server), printable(firstText(a.Name, a.Subject)), printable(firstText(a.BAPID, a.Subject)))
			}
			return w.Flush()
		},
	}
	change := &cobra.Command{
		Use:   "switch ACCOUNT",
		Short: "Make an account the current one",
		Long:  "Make an account the current one. ACCOUNT is a server, a name, a BAP id or a sub, as long as only one account fits.",
		Example: `  countersign accounts switch https://id.example.org
  countersign accounts switch satoshi`,
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error { return switchAccount(env, args[0]) },
	}
	cmd.AddCommand(list, change)
	return cmd
}

func switchAccount(env *Env, wanted string) error {
	h, err := openHome(env)
	if err != nil {
		return err
	}
	var found []account
	address, _ := serverAddress(wanted) // or it is none
	for _, a := range h.Accounts {
		if wanted == a.Server || address == a.Server || wanted == a.Name || wanted == a.BAPID || wanted == a.Subject {
			found = append(found, a)
		}
	}
	switch len(found) {
	case 0:
		return fail(ExitNotSignedIn, "no account fits", nil, `"countersign accounts list" shows those there are`)
	case 1:
		h.Current = found[0].key()
		if err := h.save(); err != nil {
			return err
		}
		fmt.Fprintf(env.Stderr, "Now %s.\n", found[0].describe())
		return nil
	default:
		return usage("several accounts fit: name one by its BAP id or sub")
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
