package cli

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"countersign.dev/receipt"
)

type approveOptions struct {
	ownerFlags
	scope, match              string
	yes                       bool
	expectClient, expectScope string
	// Of an agent's request alone.
	without                    []int
	limits                     []string
	until                      string
	noSubagents                bool
	expectAgent, expectDetails string
}

func newApproveCommand(env *Env) *cobra.Command {
	var o approveOptions
	cmd := &cobra.Command{
		Use:   "approve CODE",
		Short: "Approve what a device asks, with your signature",
		Long: `Show what a device asks, ask you, and sign the approval with your identity's
key. The signature is kept as a receipt that anyone can check.

--yes answers for you, and only together with --expect-client and
--expect-scope: if anything else would be allowed, it refuses. Where the device
shows a number to match, --match says it. With --scope, what is expected is what
is left then.`,
		Example: `  countersign approve BCDF-GHJK
  countersign approve BCDF-GHJK --yes --expect-client my-app \
    --expect-scope "openid profile" --match 47
  countersign approve BCDF-GHJK --limit USD:per_day=5.00 --until 2h`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := wholeCode(args[0]); err != nil {
				return err
			}
			return approve(cmd.Context(), env, args[0], o)
		},
	}
	o.bind(cmd)
	f := cmd.Flags()
	f.StringVar(&o.scope, "scope", "", "allow only these `scopes` of those asked for")
	f.StringVar(&o.match, "match", "", "the `number`, or the last four letters, that the device shows")
	f.BoolVarP(&o.yes, "yes", "y", false, "do not ask; needs --expect-client and --expect-scope")
	f.StringVar(&o.expectClient, "expect-client", "", "the client `id` that must be the one asking")
	f.IntSliceVar(&o.without, "without", nil, "of an agent's request: leave out the details with these `numbers`")
	f.StringSliceVar(&o.limits, "limit", nil, "of an agent's request: a lower `limit`, like USD:per_day=5.00")
	f.StringVar(&o.until, "until", "", "of an agent's request: a `time` to end it sooner, like 2h, 7d or 2026-12-24")
	f.BoolVar(&o.noSubagents, "no-subagents", false, "of an agent's request: it may have no sub-agents")
	f.StringVar(&o.expectAgent, "expect-agent", "", "the agent's `id` that must be the one asking")
	f.StringVar(&o.expectDetails, "expect-details", "", "the authorization details, `JSON`, that must be the ones allowed (default with --yes: none)")
	f.StringVar(&o.expectScope, "expect-scope", "", "the `scopes` that must be the ones allowed, all and no other")
	return cmd
}

func approve(ctx context.Context, env *Env, code string, o approveOptions) error {
	if o.yes && (o.expectClient == "" || o.expectScope == "") {
		return usage("--yes needs --expect-client and --expect-scope, so that nothing else can be approved")
	}
	c, err := o.open(ctx, env)
	if err != nil {
		return err
	}
	return c.approve(ctx, code, o)
}

func (c *owner) approve(ctx context.Context, code string, o approveOptions) error {
	env, query := c.env, url.Values{"user_code": {code}}
	if o.scope != "" {
		query.Set("scope", o.scope)
	}
	raw, err := c.send(ctx, "GET", "/api/auth/device/approval?"+query.Encode(), nil)
	if err != nil {
		return err
	}
	var f facts
	if err := decodeInto(raw, &f); err != nil {
		return err
	}
	if f.Agent != nil {
		return c.approveAgent(ctx, code, f, o)
	}
	if len(o.narrowed()) > 0 || o.expectAgent != "" || o.expectDetails != "" {
		return usage("this is no agent's request: only --scope narrows it")
	}
	if err := f.checkStatement(c, code, env.Now()); err != nil {
		return err
	}
	f.show(env, c)
	if err := f.expect(o, f.scope()); err != nil {
		return err
	}
	for { // the server calls it a slip only so often
		match, err := f.askMatch(ctx, env, o)
		if err != nil {
			return err
		}
		if !o.yes {
			yes, err := confirm(ctx, env, "Approve as "+c.entry.Name+"?")
			if err != nil {
				return err
			}
			if !yes {
				return fail(ExitCancelled, "not approved", nil, "To refuse it for good: countersign deny "+f.UserCode)
			}
		}
		err = f.sign(ctx, env, c, match)
		if !mistyped(err) || o.match != "" || o.yes {
			return err
		}
		fmt.Fprintln(env.Stderr, "No device shows that. Look at yours again.")
	}
}

// mistyped reports that the server took what was entered for a slip.
func mistyped(err error) bool {
	refused, ok := errors.AsType[*Failure](err)
	return ok && refused.OAuth == "match_mistyped"
}

// expect refuses whatever is not exactly what was expected.
func (f facts) expect(o approveOptions, scope string) error {
	if o.expectClient != "" && o.expectClient != f.Client.ID {
		return fail(ExitVerification, "not approved", fmt.Errorf("the client is %s, not %s", printable(f.Client.ID), o.expectClient), ifNotExpected)
	}
	if o.expectScope != "" {
		want, got := strings.Fields(o.expectScope), strings.Fields(scope)
		slices.Sort(want)
		slices.Sort(got)
		if !slices.Equal(want, got) {
			return fail(ExitVerification, "not approved", fmt.Errorf("the scope is %q, not %q", printable(scope), o.expectScope), ifNotExpected)
		}
	}
	if o.yes && f.Match.Kind == "number" && o.match == "" {
		return usage("the device shows a number to match, and --yes asks nobody: give it with --match")
	}
	return nil
}

const ifNotExpected = "If this device is not yours, deny it with --report"

// askMatch has the owner show that the device is in front of them.
func (f facts) askMatch(ctx context.Context, env *Env, o approveOptions) (string, error) {
	switch {
	case f.Match.Kind == "none":
		return "", nil
	case o.match != "" && f.Match.Kind == "number" && !slices.Contains(f.Match.Numbers, o.match):
		return "", usage("the device shows none such: --match is one of %s", printable(strings.Join(f.Match.Numbers, ", ")))
	case o.match != "":
		return o.match, nil
	case o.yes && f.Match.Kind == "letters":
		code := codeLetters(f.UserCode)
		return code[len(code)-4:], nil // the whole code was given
	case f.Match.Kind == "number":
		for {
			number, err := ask(ctx, env, fmt.Sprintf("Which number does your device show: %s? ", printable(strings.Join(f.Match.Numbers, ", "))))
			if err != nil || slices.Contains(f.Match.Numbers, number) {
				return number, err
			}
			fmt.Fprintln(env.Stderr, "It is one of these. Look at your device again.")
		}
	default:
		return ask(ctx, env, "The last four letters of the code, as your device shows it: ")
	}
}

func (f facts) sign(ctx context.Context, env *Env, c *owner, match string) error {
	body := map[string]string{"userCode": f.UserCode, "statement": f.Statement}
	if match != "" {
		body["match"] = match
	}
	raw, err := c.send(ctx, "POST", "/api/auth/device/approve", body)
	if err != nil {
		return err
	}
	var done struct {
		GrantID string `json:"grant_id"`
	}
	if err := decodeInto(raw, &done); err != nil {
		return err
	}
	if nonce := nonceOf(f.Statement); nonce == "" || done.GrantID != nonce {
		return unexpected("it does not say that this was approved")
	}
	fmt.Fprintln(env.Stderr, "Approved. Go back to your device.")
	if anID.MatchString(done.GrantID) {
		fmt.Fprintf(env.Stderr, "To take it back: countersign grants revoke %s%s\n", done.GrantID, c.again())
	}
	return nil
}

// nonceOf is the id of the grant that a statement is about; empty for what is none.
func nonceOf(statement string) string {
	if s, err := receipt.ParseStatement(statement); err == nil {
		return s.Nonce
	}
	s, err := receipt.ParseDelegation(statement)
	if err != nil {
		return ""
	}
	return s.Nonce
}
