package cli

import (
	"context"
	"fmt"
	"math"
	"strings"

	"github.com/spf13/cobra"

	"countersign.dev/bap"
	"countersign.dev/bitcoinauth"
	"countersign.dev/receipt"
)

func newIdentityCommand(env *Env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "identity",
		Short: "Make and keep Bitcoin identities",
		Long: `Make and keep the BAP identities you sign with. Each is one encrypted backup
file (.bep) in the configuration directory. Whoever loses the file or its
password loses the identity: keep a copy.`,
	}
	cmd.AddCommand(newIdentityCreate(env), newIdentityList(env), newIdentityUse(env), newIdentityShow(env), newIdentityImport(env),
		newIdentityExport(env), newIdentitySign(env), newIdentityProfile(env))
	return cmd
}

func newIdentityCreate(env *Env) *cobra.Command {
	var p passwordSource
	cmd := &cobra.Command{
		Use:   "create [NAME]",
		Short: "Make a new identity",
		Example: `  countersign identity create satoshi
  countersign identity create build-server --password-file /run/secrets/identity`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			name := strings.Join(args, "")
			if name == "" {
				var err error
				if name, err = ask(cmd.Context(), env, "What shall it be called? "); err != nil {
					return err
				}
			}
			return createIdentity(cmd.Context(), env, name, p)
		},
	}
	passwordFlag(cmd, &p)
	return cmd
}

func createIdentity(ctx context.Context, env *Env, name string, p passwordSource) error {
	h, err := openHome(env)
	if err != nil {
		return err
	}
	if err := h.usable(ctx); err != nil {
		return err
	}
	if err := h.free(name, "", "Choose another name"); err != nil {
		return err
	}
	password, err := p.choose(ctx, env, "identity "+safeName(name), name)
	if err != nil {
		return err
	}
	key, err := bap.NewKey(env.Rand)
	if err != nil {
		return err
	}
	i, err := bap.NewIdentity(name, key)
	if err != nil {
		return err
	}
	e, err := h.store(env, i, password)
	if err != nil {
		return err
	}
	fmt.Fprintf(env.Stdout, "%s\n", e.BAPID)
	env.say("Made identity " + e.Name + ".")
	env.say("It is in " + h.path(e.file) + ": keep a copy of that file, and the password. Nobody can bring either back.")
	h.sayHow(env, e)
	return nil
}

// sayHow says how commands act as an identity, where it is not the only one.
func (h *home) sayHow(env *Env, e identityEntry) {
	if all, err := h.identities(); err == nil && len(all) > 1 {
		fmt.Fprintf(env.Stderr, "Commands act as it with --identity %s\n", shellWord(e.Name))
	}
}

func newIdentityList(env *Env) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the identities on this machine",
		Example: `  countersign identity list
  countersign identity list --json`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			h, err := openHome(env)
			if err != nil {
				return err
			}
			all, err := h.identities()
			if err != nil {
				return err
			}
			if len(all) == 0 && !asJSON {
				env.say("There is no identity on this machine. " + firstIdentity + ".")
				return nil
			}
			var rows [][]string
			for _, e := range all {
				chosen := e.called(h.Identity)
				switch {
				case asJSON:
					writeEvent(env.Stdout, map[string]any{"name": e.Name, "bap_id": e.BAPID, "default": chosen})
				case chosen:
					rows = append(rows, []string{e.Name, e.BAPID + "  default"})
				default:
					rows = append(rows, []string{e.Name, e.BAPID})
				}
			}
			return printList(env, nil, rows)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "one JSON object a line")
	return cmd
}

func newIdentityUse(env *Env) *cobra.Command {
	return &cobra.Command{
		Use:   "use [NAME]",
		Short: "Choose the identity that commands act as",
		Long: `Choose the identity that commands act as where --identity names none. Without
NAME it is again the one that is signed in at the server, or the only one.`,
		Example: `  countersign identity use work
  countersign identity use`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return useIdentity(cmd.Context(), env, strings.Join(args, ""))
		},
	}
}

func useIdentity(ctx context.Context, env *Env, name string) error {
	h, err := openHome(env)
	if err != nil {
		return err
	}
	var e identityEntry
	if name != "" {
		if e, err = h.identity(name, ""); err != nil {
			return err
		}
	}
	err = h.update(ctx, func() error {
		h.Identity = e.BAPID // a name may come to be another's
		return nil
	})
	switch {
	case err != nil:
		return err
	case name == "":
		fmt.Fprintln(env.Stderr, "Commands act as who is signed in at the server.")
	default:
		fmt.Fprintf(env.Stderr, "Commands act as %s now.\n", e.Name)
	}
	return nil
}

func newIdentityShow(env *Env) *cobra.Command {
	var p passwordSource
	var qr bool
	cmd := &cobra.Command{
		Use:   "show [NAME]",
		Short: "Show an identity's id, member key and address",
		Example: `  countersign identity show satoshi
  countersign identity show --qr`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			h, e, err := namedIdentity(env, args)
			if err != nil {
				return err
			}
			i, err := h.unlock(cmd.Context(), env, e, p)
			if err != nil {
				return err
			}
			address, err := i.RootAddress()
			if err != nil {
				return err
			}
			fmt.Fprintf(env.Stdout, "name        %s\nbap_id      %s\nmember key  %s\naddress     %s\n", e.Name, e.BAPID, i.MemberPublicKey(), address)
			for _, a := range h.Accounts {
				if a.BAPID == e.BAPID {
					fmt.Fprintf(env.Stdout, "used at     %s\n", printable(a.Server))
				}
			}
			if qr {
				width, _ := size(env.Stdout, env.StdoutTerminal)
				code := qrCode(e.BAPID, width, math.MaxInt)
				if code == nil {
					return fail(ExitFailed, "the QR code is wider than the terminal", nil, "Make it wider")
				}
				fmt.Fprintln(env.Stdout, strings.Join(code, "\n"))
			}
			return nil
		},
	}
	passwordFlag(cmd, &p)
	cmd.Flags().BoolVar(&qr, "qr", false, "show the BAP id as a QR code")
	return cmd
}

func namedIdentity(env *Env, args []string) (*home, identityEntry, error) {
	h, err := openHome(env)
	if err != nil {
		return nil, identityEntry{}, err
	}
	e, err := h.identity(strings.Join(args, ""), "")
	return h, e, err
}

func newIdentitySign(env *Env) *cobra.Command {
	var p passwordSource
	var name, path, data, scheme string
	cmd := &cobra.Command{
		Use:   "sign",
		Short: "Make an X-Auth-Token for one request",
		Long: `Make an X-Auth-Token, which signs one HTTP request: its path with query, the
time, and its body. It is good for five minutes, once. A server wants to be
named in what is signed for it: aud, in the query or in the body. What approves,
delegates or ends everything is signed by the commands for it alone.`,
		Example: `  what=/api/grants?aud=http://localhost:8628
  curl -H "X-Auth-Token: $(countersign identity sign --path $what)" \
    http://localhost:8628$what
  countersign identity sign --path /api/auth/sign-in/sigma --data @login.json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			h, err := openHome(env)
			if err != nil {
				return err
			}
			e, err := h.identity(name, "")
			if err != nil {
				return err
			}
			if err := ordinary(path); err != nil {
				return err
			}
			body := []byte(data)
			if file, ok := strings.CutPrefix(data, "@"); ok {
				if body, err = readInput(cmd.Context(), env, file); err != nil {
					return err
				}
			}
			i, err := h.unlock(cmd.Context(), env, e, p)
			if err != nil {
				return err
			}
			token, err := bitcoinauth.Sign(i.MemberKey(), bitcoinauth.Signing{Path: path, Body: body, Time: env.Now(), Scheme: bitcoinauth.Scheme(scheme)})
			if err != nil {
				return fail(ExitUsage, "signing", err, "")
			}
			_, err = fmt.Fprintln(env.Stdout, token)
			return err
		},
	}
	identityFlag(cmd, &name)
	passwordFlag(cmd, &p)
	f := cmd.Flags()
	f.StringVar(&path, "path", "", "the request's `path`, with its query and without the origin")
	f.StringVar(&data, "data", "", "the exact `body`, or @FILE")
	f.StringVar(&scheme, "scheme", "brc77", "`word` for how it is signed: brc77 or bsm")
	_ = cmd.MarkFlagRequired("path")
	return cmd
}

// ordinary refuses to sign as a request what is more than one: a signature over these paths
// is an approval, a delegation, or ends everything.
func ordinary(path string) error {
	target, _, _ := strings.Cut(path, "?")
	switch target {
	case receipt.ApprovalPath:
		return fail(ExitUsage, "a signature over this path is an approval", nil, `See "countersign approve --help"`)
	case receipt.SubdelegationPath:
		return fail(ExitUsage, "a signature over this path passes on what an agent was given", nil, "An agent signs that itself")
	case receipt.KillPath:
		return fail(ExitUsage, "a signature over this path ends everything", nil, `See "countersign agents kill-switch --help"`)
	}
	return nil
}
