package cli

import (
	"errors"
	"fmt"
	"net/url"
	"text/tabwriter"

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
			c, err := o.open(env)
			if err != nil {
				return err
			}
			path := "/api/grants"
			if cursor != "" {
				path += "?cursor=" + url.QueryEscape(cursor)
			}
			raw, err := c.send(cmd.Context(), "GET", path, nil)
			if err != nil {
				return err
			}
			if asJSON {
				_, err := fmt.Fprintln(env.Stdout, string(raw))
				return err
			}
			return listGrants(env, raw)
		},
	}
	o.bind(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "the server's answer as it is")
	cmd.Flags().StringVar(&cursor, "cursor", "", "the older part of a long list, as the part before it names it")
	return cmd
}

func listGrants(env *Env, raw []byte) error {
	var answer struct {
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
	if err := decodeInto(raw, &answer); err != nil {
		return err
	}
	w := tabwriter.NewWriter(env.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "GRANT\tCLIENT\tSCOPE\tALLOWED\tUNTIL")
	for _, g := range answer.Grants {
		until := unixTime(g.ExpiresAt)
		switch now := env.Now().Unix(); {
		case g.RevokedAt != 0:
			until = "taken back"
		case g.ExpiresAt <= now:
			until = "over"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", printable(g.ID), printable(g.ClientName), printable(g.Scope), unixTime(g.CreatedAt), until)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if answer.Next != "" {
		fmt.Fprintf(env.Stderr, "There are older ones: countersign grants list --cursor %s\n", printable(answer.Next))
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
			c, err := o.open(env)
			if err != nil {
				return err
			}
			path := "/api/grants/" + url.PathEscape(args[0]) + "/revoke"
			if _, err := c.send(cmd.Context(), "POST", path, map[string]any{"aud": c.server, "report": report}); err != nil {
				return err
			}
			fmt.Fprintln(env.Stderr, "Taken back. Its tokens are refused from now on.")
			return nil
		},
	}
	cmd.Flags().BoolVar(&report, "report", false, "it was not you who allowed it: tell the operator")
	o.bind(cmd)
	return cmd
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
		Short: "Fetch the receipt of a signed approval",
		Example: `  countersign receipt show mzxw6ytboi4dcmzvgq2tgobzgu --out receipt.json
  countersign receipt show mzxw6ytboi4dcmzvgq2tgobzgu | countersign receipt verify -`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := o.open(env)
			if err != nil {
				return err
			}
			raw, err := c.send(cmd.Context(), "GET", "/api/grants/"+url.PathEscape(args[0])+"/receipt", nil)
			if err != nil {
				return err
			}
			if out == "" {
				_, err = env.Stdout.Write(raw)
				return err
			}
			if err := writePrivate(out, raw); err != nil {
				return fail(ExitFailed, "writing "+out, err, "")
			}
			return nil
		},
	}
	o.bind(cmd)
	cmd.Flags().StringVar(&out, "out", "", "`file` to write (default: standard output)")
	return cmd
}

func newReceiptVerify(env *Env) *cobra.Command {
	return &cobra.Command{
		Use:   "verify FILE",
		Short: "Check a receipt, offline",
		Long: `Check a receipt with nothing but the receipt: that its owner's key signed
exactly this approval. No server is asked. - reads standard input.`,
		Example: `  countersign receipt verify receipt.json
  countersign receipt show GRANT | countersign receipt verify -`,
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			text, err := readInput(env, args[0])
			if err != nil {
				return err
			}
			v, err := receipt.Verify(text)
			var failed *receipt.CheckError
			if errors.As(err, &failed) {
				return fail(ExitVerification, "the receipt is not good", failed, "")
			}
			if err != nil {
				return err
			}
			s := v.Statement
			fmt.Fprintf(env.Stdout, "The receipt is good: %d checks passed.\n", len(v.Passed))
			fmt.Fprintf(env.Stdout, "  approved by  %s\n  with key     %s\n  for client   %s\n  scope        %s\n  at server    %s\n  signed       %s\n  grant        %s\n",
				printable(s.BAPID), v.PublicKey, printable(s.ClientID), printable(s.Scope), printable(s.Issuer), v.SignedAt.UTC().Format("2006-01-02 15:04:05 UTC"), printable(s.Nonce))
			return nil
		},
	}
}
