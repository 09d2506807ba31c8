package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
)

func newDenyCommand(env *Env) *cobra.Command {
	var o ownerFlags
	var report bool
	cmd := &cobra.Command{
		Use:   "deny CODE",
		Short: "Deny what a device asks",
		Example: `  countersign deny BCDF-GHJK
  countersign deny BCDF-GHJK --report`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := wholeCode(args[0]); err != nil {
				return err
			}
			c, err := o.open(cmd.Context(), env)
			if err != nil {
				return err
			}
			return c.deny(cmd.Context(), args[0], report)
		},
	}
	o.bind(cmd)
	cmd.Flags().BoolVar(&report, "report", false, "you did not start this: tell the operator")
	return cmd
}

func (c *owner) deny(ctx context.Context, code string, report bool) error {
	body := map[string]any{"userCode": code, "aud": c.server}
	if report {
		body["report"] = true
	}
	if err := c.carryOut(ctx, "/api/auth/device/deny", body); err != nil {
		return err
	}
	fmt.Fprintln(c.env.Stderr, "Denied. The device gets nothing."+toldOperator(report))
	return nil
}

// toldOperator says that a report arrived.
func toldOperator(report bool) string {
	if !report {
		return ""
	}
	return " The operator was told."
}
