package cli

import (
	"context"
	"fmt"
	"slices"

	"github.com/spf13/cobra"
)

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
