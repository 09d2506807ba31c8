package cli

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/spf13/cobra"

	"countersign.dev/receipt"
)

func newGrantsCommand(env *Env) *cobra.Command {
	cmd := &cobra.Command{Use: "grants", Short: "See and take back what you allowed"}
	cmd.AddCommand(newGrantsList(env), newGrantsRevoke(env))
	return cmd
}

func newGrantsList(env *Env) *cobra.Command {
	var o ownerFlags
	var asJSON bool
	var cursor string
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List what you allowed",
		Example: `  countersign grants list
  countersign grants list --server https://id.example.org --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := o.openForGrants(cmd.Context(), env)
			if err != nil {
				return err
			}
			return c.listGrants(cmd.Context(), cursor, asJSON)
		},
	}
	o.bind(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "the server's answer as it is")
	cmd.Flags().StringVar(&cursor, "cursor", "", "the older part of a long list, as the part before it names it")
	return cmd
}

// grantsAnswer is what a server says of what its owner allowed; times in Unix seconds.
type grantsAnswer struct {
	Grants []struct {
		ID         string `json:"id"`
		ClientName string `json:"client_name"`
		Scope      string `json:"scope"`
		CreatedAt  int64  `json:"created_at"`
		ExpiresAt  int64  `json:"expires_at"`
		RevokedAt  int64  `json:"revoked_at"`
	} `json:"grants"`
	Next string `json:"next"`
}

func (c *owner) listGrants(ctx context.Context, cursor string, asJSON bool) error {
	path := "/api/grants"
	if cursor != "" {
		path += "?cursor=" + url.QueryEscape(cursor)
	}
	raw, err := c.send(ctx, "GET", path, nil)
	if err != nil {
		return err
	}
	var answer grantsAnswer
	if err := decodeInto(raw, &answer); err != nil {
		return err
	}
	if answer.Grants == nil {
		return unexpected("it lists no grants, not even none")
	}
	if asJSON {
		return c.print(raw)
	}
	env := c.env
	if len(answer.Grants) == 0 {
		env.say("You have allowed nothing at " + c.server + " yet.")
		return nil
	}
	var rows [][]string
	for _, g := range answer.Grants {
		until := unixTime(g.ExpiresAt)
		switch now := env.Now().Unix(); {
		case g.RevokedAt != 0:
			until = "taken back"
		case g.ExpiresAt <= now:
			until = "over"
		}
		rows = append(rows, []string{printable(g.ID), printable(g.ClientName), printable(g.Scope), unixTime(g.CreatedAt), until})
	}
	if err := printList(env, []string{"GRANT", "CLIENT", "SCOPE", "ALLOWED", "UNTIL"}, rows); err != nil {
		return err
	}
	if answer.Next != "" {
		fmt.Fprintf(env.Stderr, "There are older ones: countersign grants list%s --cursor %s\n", c.again(), shellWord(answer.Next))
	}
	return nil
}

func newGrantsRevoke(env *Env) *cobra.Command {
	var o ownerFlags
	var report bool
	cmd := &cobra.Command{
		Use:   "revoke GRANT",
		Short: "Take back what you allowed",
		Example: `  countersign grants revoke mzxw6ytboi4dcmzvgq2tgobzgu
  countersign grants revoke mzxw6ytboi4dcmzvgq2tgobzgu --report`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := o.openForGrants(cmd.Context(), env)
			if err != nil {
				return err
			}
			return c.revokeGrant(cmd.Context(), args[0], report)
		},
	}
	cmd.Flags().BoolVar(&report, "report", false, "it was not you who allowed it: tell the operator")
	o.bind(cmd)
	return cmd
}

func (c *owner) revokeGrant(ctx context.Context, grant string, report bool) error {
	if report && c.otherwise != nil {
		if err := c.signs(ctx); err != nil {
			return err
		}
	}
	if report && c.signedIn != nil {
		return fail(ExitFailed, "a report is signed, and your identity is not on this machine", nil,
			"Report it at "+originOf(c.server)+`/account; or import the backup that your browser saved, with "countersign identity import FILE"`)
	}
	if err := c.carryOut(ctx, "/api/grants/"+url.PathEscape(grant)+"/revoke", map[string]any{"aud": c.server, "report": report}); err != nil {
		return err
	}
	fmt.Fprintln(c.env.Stderr, "Taken back. Its tokens are refused from now on."+toldOperator(report))
	return nil
}

func newReceiptCommand(env *Env) *cobra.Command {
	cmd := &cobra.Command{Use: "receipt", Short: "Fetch and check the receipts of your approvals"}
	cmd.AddCommand(newReceiptShow(env), newReceiptVerify(env))
	return cmd
}

func newReceiptShow(env *Env) *cobra.Command {
	var o ownerFlags
	var out string
	cmd := &cobra.Command{
		Use:   "show GRANT",
		Short: "Fetch the receipt of a signed approval, and check it",
		Example: `  countersign receipt show mzxw6ytboi4dcmzvgq2tgobzgu --out receipt.json
  countersign receipt show mzxw6ytboi4dcmzvgq2tgobzgu > receipt.json`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := o.openForGrants(cmd.Context(), env)
			if err != nil {
				return err
			}
			raw, err := c.receipt(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if out == "" {
				_, err = env.Stdout.Write(raw)
				return err
			}
			if err := writePrivate(out, raw); err != nil {
				return fail(ExitFailed, "writing "+out, err, "Choose another file with --out")
			}
			return nil
		},
	}
	o.bind(cmd)
	cmd.Flags().StringVar(&out, "out", "", "`file` to write (default: standard output)")
	return cmd
}

// receipt is the receipt of a grant, checked: a server could answer anything.
func (c *owner) receipt(ctx context.Context, grant string) ([]byte, error) {
	raw, err := c.send(ctx, "GET", "/api/grants/"+url.PathEscape(grant)+"/receipt", nil)
	if err != nil {
		return nil, err
	}
	v, err := receipt.Verify(raw)
	if err != nil {
		return nil, fail(ExitVerification, "the server's receipt is not good", err, "Tell the operator of the server")
	}
	if v.Statement.Nonce != grant || v.Statement.Issuer != c.server {
		return nil, fail(ExitVerification, "the server's receipt is another grant's", nil, "Tell the operator of the server")
	}
	return raw, nil
}

func newReceiptVerify(env *Env) *cobra.Command {
	return &cobra.Command{
		Use:   "verify FILE",
		Short: "Check a receipt, offline",
		Long: `Check a receipt with nothing but the receipt: that its owner's key signed
exactly this approval. No server is asked, so nothing is said of whether it was
granted: receipt show fetches the receipts of grants alone. - reads standard
input.`,
		Example: `  countersign receipt verify receipt.json
  countersign receipt show GRANT | countersign receipt verify -`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			text, err := readText(cmd.Context(), env, args[0])
			if err != nil {
				return err
			}
			v, err := receipt.Verify(text)
			if failed, ok := errors.AsType[*receipt.CheckError](err); ok {
				return fail(ExitVerification, "the receipt is not good", failed,
					`Do not rely on it: its owner can fetch it anew with "countersign receipt show GRANT"`)
			}
			if err != nil {
				return err
			}
			s := v.Statement
			fmt.Fprintf(env.Stdout, "The receipt is good: %d checks passed.\n", len(v.Passed))
			fmt.Fprintf(env.Stdout, "  signed by    %s\n  with key     %s\n  for client   %s\n  scope        %s\n  at server    %s\n  signed       %s\n  grant        %s\n",
				printable(s.BAPID), v.PublicKey, printable(s.ClientID), printable(s.Scope), printable(s.Issuer), v.SignedAt.UTC().Format("2006-01-02 15:04:05 UTC"), printable(s.Nonce))
			fmt.Fprint(env.Stdout, "It shows what was signed. Whether that was granted, the server says")
			if anID.MatchString(s.Nonce) {
				fmt.Fprintf(env.Stdout, ": countersign receipt show %s", s.Nonce)
				if server, err := serverAddress(s.Issuer); err == nil {
					fmt.Fprint(env.Stdout, serverHint(server))
				}
			}
			fmt.Fprintln(env.Stdout)
			return nil
		},
	}
}

// unixTime prints a time of a server for a person.
func unixTime(seconds int64) string {
	return time.Unix(seconds, 0).Local().Format("2 Jan 2006 15:04")
}
