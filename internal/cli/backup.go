package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"countersign.dev/bap"
)

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
