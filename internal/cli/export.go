package cli

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"countersign.dev/receipt"
)

func newReceiptExport(env *Env) *cobra.Command {
	var o ownerFlags
	var asJWS bool
	cmd := &cobra.Command{
		Use:   "export GRANT",
		Short: "Fetch the facts of a receipt as a JWS that the server signs",
		Long: `Fetch the facts of a receipt as a JWS, for who knows no BRC-77. The server signs
it, and it says so; the owner's own signature is in the receipt that is in it,
which is checked here.`,
		Example: `  countersign receipt export mzxw6ytboi4dcmzvgq2tgobzgu --jws
  countersign receipt export mzxw6ytboi4dcmzvgq2tgobzgu --jws > receipt.jws`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !asJWS {
				return usage("say in which form: --jws is the one there is")
			}
			c, err := o.openForGrants(cmd.Context(), env)
			if err != nil {
				return err
			}
			return c.exportReceipt(cmd.Context(), args[0])
		},
	}
	o.bind(cmd)
	cmd.Flags().BoolVar(&asJWS, "jws", false, "as a JWS (RFC 7515), signed by the server")
	return cmd
}

func (c *owner) exportReceipt(ctx context.Context, grant string) error {
	raw, err := c.send(ctx, "GET", "/api/grants/"+url.PathEscape(grant)+"/receipt?format=jws", nil)
	if err != nil {
		return err
	}
	var says struct {
		Receipt string `json:"receipt"`
		Hash    string `json:"receipt_hash"`
	}
	parts := strings.Split(string(raw), ".")
	if len(parts) != 3 {
		return unexpected("it is no JWS")
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil || json.Unmarshal(payload, &says) != nil || says.Hash != receipt.Hash(says.Receipt) {
		return unexpected("it is not the export of a receipt")
	}
	if err := c.checkReceipt([]byte(says.Receipt), grant); err != nil {
		return err
	}
	fmt.Fprintln(c.env.Stdout, string(raw))
	return nil
}
