package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"countersign.dev/bap"
	"countersign.dev/bitcoinauth"
)

func readAll(r io.Reader, most int64) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, most+1))
	if err == nil && int64(len(b)) > most {
		err = errTooLarge
	}
	return b, err
}

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

func newIdentityImport(env *Env) *cobra.Command {
	var p passwordSource
	var name, choice string
	cmd := &cobra.Command{
		Use:   "import FILE",
		Short: "Import an identity from a backup",
		Long: `Import an identity from a backup of any kind: an encrypted .bep of a Type-42
master, a member or one key, or the same in the clear, or a bare WIF. - reads
standard input. The identity is kept under the backup's password.`,
		Example: `  countersign identity import satoshi.bep
  countersign identity import master.bep --choose bap:1 --name work`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return importIdentity(cmd.Context(), env, args[0], name, choice, p)
		},
	}
	passwordFlag(cmd, &p)
	cmd.Flags().StringVar(&name, "name", "", "`name` to call it by here (default: the one in the backup)")
	cmd.Flags().StringVar(&choice, "choose", "", "which `identity` of a master: its path (bap:1) or BAP id")
	return cmd
}

func importIdentity(ctx context.Context, env *Env, path, name, choice string, p passwordSource) error {
	h, err := openHome(env)
	if err != nil {
		return err
	}
	text, err := readText(ctx, env, path)
	if err != nil {
		return err
	}
	var password string
	var b *bap.Backup
	if bap.IsEncrypted(string(text)) {
		err = p.open(ctx, env, "the backup", bap.ErrWrongPassword, func(given string) (err error) {
			password = given
			b, err = bap.DecryptBackup(string(text), given)
			return err
		})
	} else {
		b, err = bap.ParseBackup(text)
	}
	switch {
	case errors.Is(err, bap.ErrWrongPassword):
		return fail(ExitLocked, "opening the backup", err, "Try again")
	case err != nil:
		return failing(ExitFailed, "reading the backup", err, "")
	}
	i, err := chooseIdentity(b, choice)
	if err != nil {
		return err
	}
	i.Name = cmp.Or(name, i.Name, b.Label, "imported")
	if err := h.free(i.Name, i.BAPID(), "Say with --name what this one is to be called"); err != nil {
		return err
	}
	if tooShort(password) {
		if password, err = p.choose(ctx, env, "identity "+safeName(i.Name), i.Name); err != nil {
			return err
		}
	}
	e, err := h.store(env, i, password)
	if err != nil {
		return err
	}
	fmt.Fprintf(env.Stdout, "%s\n", e.BAPID)
	fmt.Fprintf(env.Stderr, "Imported identity %s.\n", e.Name)
	h.sayHow(env, e)
	return nil
}

func chooseIdentity(b *bap.Backup, choice string) (*bap.Identity, error) {
	if len(b.Identities) == 1 && choice == "" {
		return b.Identities[0], nil
	}
	var there []string
	for _, i := range b.Identities {
		if choice != "" && (i.Path == choice || i.BAPID() == choice) {
			return i, nil
		}
		there = append(there, cmp.Or(i.Path, i.BAPID())+" ("+printable(i.Name)+")")
	}
	if choice == "" {
		return nil, fail(ExitUsage, "the backup holds several identities: "+strings.Join(there, ", "), nil, "Choose one with --choose")
	}
	return nil, fail(ExitUsage, "the backup does not hold that identity", nil, "It holds "+strings.Join(there, ", "))
}

func newIdentityExport(env *Env) *cobra.Command {
	var p passwordSource
	var out string
	cmd := &cobra.Command{
		Use:   "export [NAME]",
		Short: "Write an identity's encrypted backup",
		Example: `  countersign identity export satoshi --out satoshi.bep
  countersign identity export > backup.bep`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			h, e, err := namedIdentity(env, args)
			if err != nil {
				return err
			}
			if _, err := h.unlock(cmd.Context(), env, e, p); err != nil {
				return err // a backup nobody can open is no backup
			}
			text, err := h.readSecretFile(e.file)
			if err != nil {
				return err
			}
			if out == "" {
				_, err = fmt.Fprintln(env.Stdout, string(text))
				return err
			}
			if err := writePrivate(out, text); err != nil {
				return fail(ExitFailed, "writing "+out, err, "Choose another file with --out")
			}
			fmt.Fprintf(env.Stderr, "Wrote %s. It opens with the identity's password.\n", out)
			return nil
		},
	}
	passwordFlag(cmd, &p)
	cmd.Flags().StringVar(&out, "out", "", "`file` to write (default: standard output)")
	return cmd
}

func newIdentitySign(env *Env) *cobra.Command {
	var p passwordSource
	var name, path, data, scheme string
	cmd := &cobra.Command{
		Use:   "sign",
		Short: "Make an X-Auth-Token for one request",
		Long: `Make an X-Auth-Token, which signs one HTTP request: its path with query, the
time, and its body. It is good for five minutes, once. A server wants to be
named in what is signed for it: aud, in the query or in the body.`,
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

// profileBody is what is signed to set a profile.
type profileBody struct {
	Audience    string `json:"aud"`
	BAPID       string `json:"bapId"`
	Name        string `json:"name,omitempty"`
	GivenName   string `json:"given_name,omitempty"`
	FamilyName  string `json:"family_name,omitempty"`
	Picture     string `json:"picture,omitempty"`
	Description string `json:"description,omitempty"`
}

func newIdentityProfile(env *Env) *cobra.Command {
	var o ownerFlags
	var body profileBody
	cmd := &cobra.Command{
		Use:   "profile",
		Short: "Set what a server knows of an identity",
		Long: `Set the profile of an identity at a server: the name, picture and so on that
devices with the profile scope can read. The whole profile is replaced: what is
not given is emptied, and an empty name (--name "") empties all of it.`,
		Example: `  countersign identity profile --name "Satoshi Nakamoto" --given-name Satoshi
  countersign identity profile --identity work --name Ann --description Engineer`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			given := func(flag string) bool { return cmd.Flags().Changed(flag) }
			if !slices.ContainsFunc([]string{"name", "given-name", "family-name", "picture", "description"}, given) {
				return &Failure{
					Code: ExitUsage, What: "nothing is said of the identity, and the whole profile is replaced",
					Next: `Give at least --name; --name "" empties the profile`,
				}
			}
			c, err := o.open(cmd.Context(), env)
			if err != nil {
				return err
			}
			return c.setProfile(cmd.Context(), body)
		},
	}
	o.bind(cmd)
	f := cmd.Flags()
	f.StringVar(&body.Name, "name", "", "the `name` that others see")
	f.StringVar(&body.GivenName, "given-name", "", "given `name`")
	f.StringVar(&body.FamilyName, "family-name", "", "family `name`")
	f.StringVar(&body.Picture, "picture", "", "https `URL` of a picture")
	f.StringVar(&body.Description, "description", "", "a few `words`")
	return cmd
}

func (c *owner) setProfile(ctx context.Context, body profileBody) error {
	body.Audience, body.BAPID = c.server, c.identity.BAPID()
	raw, err := c.send(ctx, "PUT", "/api/bap/profile", body)
	if err != nil {
		return err
	}
	var set struct {
		BAPID string `json:"bapId"`
	}
	if err := decodeInto(raw, &set); err != nil {
		return err
	}
	if set.BAPID != body.BAPID {
		return unexpected("it is about another identity")
	}
	fmt.Fprintf(c.env.Stderr, "Set the profile of %s at %s.\n", c.entry.Name, c.server)
	return c.print(raw)
}

// unixTime prints a time of a server for a person.
func unixTime(seconds int64) string {
	return time.Unix(seconds, 0).Local().Format("2 Jan 2006 15:04")
}
