package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
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
	cmd.AddCommand(newReceiptShow(env), newReceiptVerify(env), newReceiptExport(env))
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
	return raw, c.checkReceipt(raw, grant)
}

// checkReceipt makes sure that a receipt is good, and a grant's.
func (c *owner) checkReceipt(raw []byte, grant string) error {
	v, err := receipt.Verify(raw)
	if err != nil && !errors.Is(err, receipt.ErrUnvouched) { // which is no fault of the server's
		return fail(ExitVerification, "the server's receipt is not good", err, "Tell the operator of the server")
	}
	if issuer, nonce := about(v); nonce != grant || issuer != c.server {
		return fail(ExitVerification, "the server's receipt is another grant's", nil, "Tell the operator of the server")
	}
	return nil
}

func newReceiptVerify(env *Env) *cobra.Command {
	return &cobra.Command{
		Use:   "verify FILE",
		Short: "Check a receipt, offline",
		Long: `Check a receipt with nothing but the receipt: that its owner's key, or a passkey
that the key vouched for, signed exactly this approval. No server is asked, so
nothing is said of whether it was granted: receipt show fetches the receipts of
grants alone. - reads standard input.`,
		Example: `  countersign receipt verify receipt.json
  countersign receipt show GRANT | countersign receipt verify -`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			text, err := readText(cmd.Context(), env, args[0])
			if err != nil {
				return err
			}
			v, err := receipt.Verify(text)
			if errors.Is(err, receipt.ErrUnvouched) {
				printReceipt(env.Stdout, v)
				return fail(ExitVerification, "the rest is good, but not who signed", err, "Ask the server, which knows the passkey")
			}
			if failed, ok := errors.AsType[*receipt.CheckError](err); ok {
				return fail(ExitVerification, "the receipt is not good", failed,
					`Do not rely on it: its owner can fetch it anew with "countersign receipt show GRANT"`)
			}
			if err != nil {
				return err
			}
			fmt.Fprintf(env.Stdout, "The receipt is good: %d checks passed.\n", len(v.Passed))
			printReceipt(env.Stdout, v)
			printLimits(env.Stdout, v)
			return nil
		},
	}
}

// about is which grant of which server a receipt is of.
func about(v *receipt.Verified) (issuer, nonce string) {
	switch v.Kind {
	case receipt.PurposeDeviceApproval:
		return v.Statement.Issuer, v.Statement.Nonce
	case receipt.PurposeKill:
		return v.KillSwitch.Issuer, v.KillSwitch.Nonce
	default:
		return v.Delegation.Issuer, v.Delegation.Nonce
	}
}

// printReceipt prints what was signed.
func printReceipt(w io.Writer, v *receipt.Verified) {
	issuer, nonce := about(v)
	say := func(label, text string) {
		if text != "" {
			fmt.Fprintf(w, "  %-12s %s\n", label, printable(text))
		}
	}
	say("signed by", v.Statement.BAPID+v.Delegation.BAPID+v.KillSwitch.BAPID) // one of them
	say("with key", v.PublicKey)
	say("with passkey", v.Passkey)
	say("for client", v.Statement.ClientID+v.Delegation.ClientID)
	if v.Kind == receipt.PurposeDeviceApproval {
		say("scope", v.Statement.Scope)
	}
	if v.Delegation.Version != 0 {
		printDelegation(w, v.Delegation)
		say("was present", presenceInWords(v.Delegation.Presence))
	}
	say("at server", issuer)
	if !v.SignedAt.IsZero() {
		say("signed", utcTime(v.SignedAt))
	}
	if v.Kind == receipt.PurposeDeviceApproval || v.Kind == receipt.PurposeDelegation {
		say("grant", nonce)
	}
}

// printLimits says what a receipt does not show.
func printLimits(w io.Writer, v *receipt.Verified) {
	issuer, nonce := about(v)
	switch v.Kind {
	case receipt.PurposeKill:
		fmt.Fprintln(w, "Whoever sends it to the server ends everything that its signer allowed there.")
		return
	case receipt.PurposeSubdelegation:
		fmt.Fprintln(w, "It shows what an agent passed on. Whether it had that, its chain says: countersign agents verify")
		return
	}
	fmt.Fprint(w, "It shows what was signed. Whether that was granted, the server says")
	if anID.MatchString(nonce) {
		fmt.Fprintf(w, ": countersign receipt show %s", nonce)
		if server, err := serverAddress(issuer); err == nil {
			fmt.Fprint(w, serverHint(server))
		}
	}
	fmt.Fprintln(w)
}

// unixTime prints a time of a server for a person.
func unixTime(seconds int64) string {
	return time.Unix(seconds, 0).Local().Format("2 Jan 2006 15:04")
}
