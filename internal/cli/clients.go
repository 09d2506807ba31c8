package cli

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"countersign.dev/bap"
	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/client"
	"countersign.dev/internal/authz/contract"
	"countersign.dev/internal/authz/scopes"
	"countersign.dev/internal/config"
)

func newClientsCommand(env *Env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "clients",
		Short: "Register the clients that may ask",
		Long: `Register clients in the server's database. It works while the server runs; the
server notices within a second. Clients of the configuration file are not shown
here.`,
	}
	config.Bind(cmd.PersistentFlags(), "data", "database")
	cmd.AddCommand(newClientsAdd(env), newClientsList(env), newClientsShow(env), newClientsRemove(env))
	return cmd
}

// withStore runs fn on the database of the settings in force.
func withStore(cmd *cobra.Command, env *Env, fn func(ctx context.Context, store contract.Store) error) error {
	settings, err := storeSettings(cmd, env)
	if err != nil {
		return err
	}
	return useStore(cmd.Context(), env, settings, fn)
}

// useStore runs fn on the database of some settings.
func useStore(ctx context.Context, env *Env, settings *config.Settings, fn func(ctx context.Context, store contract.Store) error) (err error) {
	if settings.Database == "" {
		if err := haveDatabase(settings); err != nil {
			return err
		}
	}
	db, err := openDatabase(ctx, settings, newLogger(env, settings))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.close()) }()
	return fn(ctx, db.store)
}

func newClientsAdd(env *Env) *cobra.Command {
	var c client.Registration
	var with clientAuthentication
	cmd := &cobra.Command{
		Use:   "add CLIENT_ID",
		Short: "Register a client",
		Long: `Register a client. One way of authenticating is enough: --confidential draws a
secret, --member-key a key for apps with the Sigma plugin, and --jwks names the
public keys of a client that has a key pair. Without, it is a public client.`,
		Example: `  countersign clients add my-tv --name "My television" --scope "openid profile"
  countersign clients add my-site --name "My site" --confidential \
    --redirect-uri https://app.example/callback
  countersign clients add my-app --member-key \
    --redirect-uri http://localhost:3000/auth/sigma/callback
  countersign clients add nightly --confidential --grant-type client_credentials
  countersign clients add my-api --confidential --resource https://api.example
  countersign clients add my-api --confidential --resource https://api.example \
    --exchange-for https://calendar.example --scope calendar:read`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c.ID = args[0]
			return addClient(cmd, env, c, with)
		},
	}
	f := cmd.Flags()
	f.StringVar(&c.Name, "name", "", "the `name` that owners are shown")
	f.StringVar(&c.Scope, "scope", "", "the `scopes` it may ask for, space-separated (default: openid profile email offline_access)")
	f.StringSliceVar(&c.GrantTypes, "grant-type", nil,
		"a grant `type` it may use (default: the device grant and refresh_token, authorization_code with --redirect-uri, and token exchange with --exchange-for)")
	f.StringArrayVar(&c.RedirectURIs, "redirect-uri", nil, "`URI` to which an authorization code may be sent")
	f.StringArrayVar(&c.PostLogoutRedirectURIs, "post-logout-redirect-uri", nil, "`URI` to which a browser may be sent that was signed out")
	f.StringVar(&c.ApplicationType, "application-type", "", "the `kind`: native, which runs on its user's machine, or web, whose URIs are https (default: either)")
	f.StringArrayVar(&c.Resources, "resource", nil, "`URI` of an API that it serves, for which others may ask for access tokens")
	f.StringArrayVar(&c.ExchangeFor, "exchange-for", nil, "`URI` of an API for which it may exchange the tokens that it is sent, to call it for their owner")
	f.StringArrayVar(&c.ExchangeActors, "exchange-actor", nil, "`id` of another client that it may say acts for the owner, when it exchanges a token")
	f.BoolVar(&c.MayCharge, "may-charge", false, "let it charge agents for the APIs that it serves, and ask about tokens for these")
	f.BoolVar(&c.Agents, "agents", false, "let its agents ask where the server admits those of listed clients only")
	f.StringVar(&c.MemberPubkey, "member-pubkey", "", "the `key`, compressed in hex, whose X-Auth-Token authenticates it")
	f.StringVar(&with.memberKey, "member-key", "", "as --member-pubkey; without a `key`, make one, and print it once, with all that .env.local needs")
	f.Lookup("member-key").NoOptDefVal = newMemberKey
	f.StringVar(&c.OwnerBAPID, "owner-bap-id", "", "the BAP `id` of the identity that owns it")
	f.StringVar(&with.keyFile, "jwks", "", "a `file` with its public keys as a JWK set, or -, for private_key_jwt")
	f.StringVar(&c.IDTokenAlg, "id-token-alg", "", "the `algorithm` of its ID tokens: ES256 (default), RS256 or EdDSA")
	f.StringVar(&c.Approval, "require-approval", "", "`signature`: a session alone may not approve what it asks")
	f.BoolVar(&c.DPoPBound, "dpop-bound", false, "give it no access token that is good without its key (DPoP)")
	f.BoolVar(&with.confidential, "confidential", false, "draw a client secret, and print it once")
	f.StringVar(&with.secretFile, "client-secret-file", "", "a `file` with a secret that it has already, or -; one that is drawn is better")
	cmd.MarkFlagsMutuallyExclusive("member-key", "member-pubkey")
	cmd.MarkFlagsMutuallyExclusive("confidential", "client-secret-file")
	return cmd
}

// newMemberKey is what --member-key says where it has no value.
const newMemberKey = "new"

// clientAuthentication is what a client is given to authenticate with, or has.
type clientAuthentication struct {
	confidential bool
	secretFile   string
	memberKey    string
	keyFile      string
}

// addTo makes what is to be made, and returns what is to be printed of it, once, and
// under which words.
func (a clientAuthentication) addTo(ctx context.Context, env *Env, c *client.Registration, origin string) (words, secret string, err error) {
	switch a.memberKey {
	case "":
	case newMemberKey:
		key, err := bap.NewKey(env.Rand)
		if err != nil {
			return "", "", err
		}
		c.MemberPubkey = bap.FormatPublicKey(key.PubKey())
		words = "For its .env.local, with its member key, which is not shown again:"
		secret = "NEXT_PUBLIC_SIGMA_CLIENT_ID=" + c.ID + "\nNEXT_PUBLIC_SIGMA_AUTH_URL=" + origin + "\nSIGMA_MEMBER_PRIVATE_KEY=" + key.Wif()
	default:
		c.MemberPubkey = a.memberKey
	}
	if a.confidential {
		b := make([]byte, 32)
		if _, err := io.ReadFull(env.Rand, b); err != nil {
			return "", "", err
		}
		words = "Its secret, which is not shown again:"
		secret = base64.RawURLEncoding.EncodeToString(b)
		c.Secret, c.TokenEndpointAuthMethod = secret, authz.AuthBasic
	}
	if a.secretFile != "" {
		text, err := fileOrInput(ctx, env, a.secretFile)
		if err != nil {
			return "", "", fail(settingCode(err), "reading the secret of "+c.ID, err, "Name a file with nothing else in it: --client-secret-file FILE")
		}
		c.Secret, c.TokenEndpointAuthMethod = strings.TrimRight(text, "\r\n"), authz.AuthBasic
	}
	if a.keyFile != "" {
		if c.JWKS, err = fileOrInput(ctx, env, a.keyFile); err != nil {
			return "", "", fail(settingCode(err), "reading the keys of "+c.ID, err, "Name a file with a JWK set: --jwks FILE")
		}
	}
	return words, secret, nil
}

// fileOrInput reads what a file holds, or, where that is -, the standard input.
func fileOrInput(ctx context.Context, env *Env, path string) (string, error) {
	const most = 64 << 10
	if path == "-" {
		text, err := env.input().all(ctx, most)
		return string(text), err
	}
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	text, err := readAll(f, most)
	return string(text), errors.Join(err, f.Close())
}

func addClient(cmd *cobra.Command, env *Env, c client.Registration, with clientAuthentication) error {
	settings, err := storeSettings(cmd, env)
	if err != nil {
		return err
	}
	words, secret, err := with.addTo(cmd.Context(), env, &c, originOf(cmp.Or(settings.Issuer, defaultServer)))
	if err != nil {
		return err
	}
	if member, err := c.Check(); err != nil {
		return usage("%s %v", member, err)
	}
	var registered authz.Client
	if with.confidential {
		registered = c.ClientWithMade(authz.Secret(secret))
	} else if registered, err = c.Client(env.Rand); err != nil {
		return err
	}
	return useStore(cmd.Context(), env, settings, func(ctx context.Context, store contract.Store) error {
		if client.Reserved(c.ID) {
			return fail(ExitFailed, "adding "+c.ID, contract.ErrExists, "This client is always there; choose another id")
		}
		err := store.AddClient(ctx, registered)
		if errors.Is(err, contract.ErrExists) {
			return fail(ExitFailed, "adding "+c.ID, err, "Choose another id, or remove the client first")
		}
		if err != nil {
			return fail(ExitFailed, "adding "+c.ID, err, "")
		}
		fmt.Fprintf(env.Stderr, "Registered %s.\n", printable(c.ID))
		if secret != "" {
			fmt.Fprintln(env.Stderr, words)
			fmt.Fprintln(env.Stdout, secret)
		}
		return nil
	})
}

func newClientsList(env *Env) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the clients in the database",
		Example: `  countersign clients list
  countersign clients list --data /var/lib/countersign`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withStore(cmd, env, func(ctx context.Context, store contract.Store) error {
				stored, err := store.Clients(ctx)
				if err != nil {
					return fail(ExitFailed, "listing clients", err, "")
				}
				var rows [][]string
				for _, c := range append([]authz.Client{client.CLI()}, stored...) {
					rows = append(rows, []string{printable(c.ID), printable(c.Name), clientType(c), scopes.Registered(c)})
				}
				return printList(env, []string{"CLIENT ID", "NAME", "TYPE", "SCOPE"}, rows)
			})
		},
	}
}

func clientType(c authz.Client) string {
	switch {
	case c.MemberKey != "":
		return "member key"
	case c.Keys != "":
		return "private key"
	case c.Confidential():
		return "confidential"
	default:
		return "public"
	}
}

func newClientsShow(env *Env) *cobra.Command {
	return &cobra.Command{
		Use:   "show CLIENT_ID",
		Short: "Show a client's metadata",
		Example: `  countersign clients show my-tv
  countersign clients show countersign-cli`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withStore(cmd, env, func(ctx context.Context, store contract.Store) error {
				c := client.CLI()
				if args[0] != c.ID {
					var err error
					if c, err = store.Client(ctx, args[0]); err != nil {
						return clientFailure("showing", args[0], err)
					}
				}
				for _, row := range [][2]string{
					{"client_id", c.ID},
					{"client_name", c.Name},
					{"type", clientType(c)},
					{"scope", scopes.Registered(c)},
					{"grant_types", strings.Join(c.GrantTypes, " ")},
					{"redirect_uris", strings.Join(c.RedirectURIs, " ")},
					{"post_logout_redirect_uris", strings.Join(c.PostLogoutRedirectURIs, " ")},
					{"application_type", c.ApplicationType},
					{"resources", strings.Join(c.Resources, " ")},
					{"exchange_for", strings.Join(c.ExchangeFor, " ")},
					{"exchange_actors", strings.Join(c.ExchangeActors, " ")},
					{"token_endpoint_auth_method", c.AuthMethod},
					{"jwks", c.Keys},
					{"member_pubkey", c.MemberKey},
					{"owner_bap_id", c.OwnerBAPID},
					{"id_token_signed_response_alg", c.IDTokenAlg},
					{"approval", c.Approval},
					{"dpop_bound_access_tokens", map[bool]string{true: "true"}[c.DPoPBound]},
					{"agents", map[bool]string{true: "true"}[c.Agents]},
					{"may_charge", map[bool]string{true: "true"}[c.MayCharge]},
				} {
					if row[1] != "" {
						fmt.Fprintf(env.Stdout, "%-30s%s\n", row[0], printable(row[1]))
					}
				}
				return nil
			})
		},
	}
}

func clientFailure(doing, id string, err error) error {
	if errors.Is(err, contract.ErrNotFound) {
		return fail(ExitFailed, doing+" "+id, errors.New("there is no such client"), `"countersign clients list" shows those there are`)
	}
	return fail(ExitFailed, doing+" "+id, err, "")
}

func newClientsRemove(env *Env) *cobra.Command {
	return &cobra.Command{
		Use:   "remove CLIENT_ID",
		Short: "Remove a client and end its grants",
		Example: `  countersign clients remove my-tv
  countersign clients remove nightly --data /var/lib/countersign`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withStore(cmd, env, func(ctx context.Context, store contract.Store) error {
				if err := store.RemoveClient(ctx, args[0], env.Now()); err != nil {
					return clientFailure("removing", args[0], err)
				}
				fmt.Fprintf(env.Stderr, "Removed %s and ended its grants.\n", printable(args[0]))
				return nil
			})
		},
	}
}

// checkClient is what a client of the configuration file is held to, as any other.
func checkClient(c config.Client) (member string, err error) { return client.Registration(c).Check() }
