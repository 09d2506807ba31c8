package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/spf13/cobra"

	"countersign.dev/bitcoinauth"
	"countersign.dev/receipt"
)

type approveOptions struct {
	ownerFlags
	scope, match              string
	yes                       bool
	expectClient, expectScope string
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
    --expect-scope "openid profile" --match 47`,
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
	f.StringVar(&o.expectScope, "expect-scope", "", "the `scopes` that must be the ones allowed, all and no other")
	return cmd
}

// facts is what a server says of a device request; see the page for the same.
type facts struct {
	UserCode string `json:"user_code"`
	Client   struct {
		ID         string `json:"client_id"`
		Name       string `json:"client_name"`
		Registered bool   `json:"registered"`
		Verified   bool   `json:"verified"`
	} `json:"client"`
	Scopes []struct {
		Scope  string `json:"scope"`
		Text   string `json:"text"`
		Weight string `json:"weight"`
	} `json:"scopes"`
	RequestedAt int64 `json:"requested_at"`
	Seen        struct {
		Network string `json:"network"`
	} `json:"seen"`
	Device struct {
		Name      string `json:"name"`
		Platform  string `json:"platform"`
		UserAgent string `json:"user_agent"`
		Origin    string `json:"origin"`
	} `json:"device"`
	Match struct {
		Kind    string   `json:"kind"`
		Numbers []string `json:"numbers"`
	} `json:"match"`
	Reports struct {
		Client  int `json:"client"`
		Network int `json:"network"`
	} `json:"reports"`
	Imitates       string `json:"imitates"`
	ImitatesServer bool   `json:"imitates_server"`

	Lasts     int64  `json:"lasts"` // seconds
	Renewed   bool   `json:"renewed"`
	Statement string `json:"statement"`
}

func (f facts) scope() string {
	var names []string
	for _, s := range f.Scopes {
		names = append(names, s.Scope)
	}
	return strings.Join(names, " ")
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
	if err := f.checkStatement(c, code, env.Now()); err != nil {
		return err
	}
	f.show(env, c)
	if err := f.expect(o); err != nil {
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
	var refused *Failure
	return errors.As(err, &refused) && refused.OAuth == "match_mistyped"
}

// checkStatement makes sure that what is to be signed is what was shown: the
// server is not trusted with that.
func (f facts) checkStatement(c *owner, typed string, now time.Time) error {
	s, err := receipt.ParseStatement(f.Statement)
	if err != nil {
		return fail(ExitVerification, "checking what is to be signed", err, "Do not approve this; tell the operator of the server")
	}
	code := codeLetters(f.UserCode)
	switch {
	case s.Issuer != c.server:
		return mismatch("server", c.server, s.Issuer)
	case s.ClientID != f.Client.ID || s.ClientID != printable(s.ClientID): // or it was not shown as it is
		return mismatch("client", printable(f.Client.ID), s.ClientID)
	case s.Scope != f.scope() || strings.ContainsFunc(s.Scope, hidden):
		return mismatch("scope", f.scope(), s.Scope)
	case s.BAPID != c.identity.BAPID():
		return mismatch("identity", c.identity.BAPID(), s.BAPID)
	case code == "" || code != plainCode(typed) || s.UserCodeHash != receipt.UserCodeHash(code):
		return mismatch("code", typed, f.UserCode)
	case s.Resource != nil || s.Agent != nil:
		return fail(ExitVerification, "checking what is to be signed", errors.New("the statement names a resource or an agent, which was not shown"),
			"Do not approve this; tell the operator of the server")
	case s.ExpiresAt <= now.Unix():
		return fail(ExitExpired, "checking what is to be signed", errors.New("it has expired"), "Start again on the device, and check this machine's clock")
	case s.ExpiresAt > now.Add(2*bitcoinauth.DefaultWindow).Unix():
		return fail(ExitVerification, "checking what is to be signed", errors.New("it could be used for longer than five minutes"),
			"Check this machine's clock; if it is right, do not approve this")
	}
	return nil
}

// wholeCode refuses what cannot be a code, before it is sent: to the server it would be
// a wrong guess, of which it hears only so many.
func wholeCode(typed string) error {
	if code := codeLetters(plainCode(typed)); code == "" || strings.ContainsAny(code, "AEIOUY") { // RFC 8628 §6.1: consonants
		return &Failure{Code: ExitUsage, What: "that is no whole code", Next: "Give the eight to ten letters that your device shows, like BCDF-GHJK"}
	}
	return nil
}

// codeLetters are the letters of a user code as a server shows it; none for what is
// no whole code.
func codeLetters(shown string) string {
	const shortest, longest = 8, 10
	letters := strings.ReplaceAll(shown, "-", "")
	if len(letters) < shortest || len(letters) > longest || strings.Trim(letters, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" {
		return ""
	}
	return letters
}

// plainCode is the code that was typed, or pasted as a link, without what stands between
// and around its letters.
func plainCode(typed string) string {
	if _, query, isLink := strings.Cut(typed, "?"); isLink {
		query, _, _ = strings.Cut(query, "#")
		values, err := url.ParseQuery(query)
		if found := cmp.Or(values.Get("code"), values.Get("user_code")); err == nil && found != "" {
			typed = found
		}
	}
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z':
			return r - 'a' + 'A'
		case r >= 'A' && r <= 'Z':
			return r
		case r >= 'Ａ' && r <= 'Ｚ': // full-width letters
			return r - 'Ａ' + 'A'
		case r >= 'ａ' && r <= 'ｚ':
			return r - 'ａ' + 'A'
		case r != 'ー' && (unicode.IsLetter(r) || unicode.IsNumber(r)): // a Japanese keyboard has that in its dash's place
			return r
		default:
			return -1
		}
	}, typed)
}

// show prints what the page shows, in the page's order.
func (f facts) show(env *Env, c *owner) {
	width, _ := size(env.Stderr, env.StderrTerminal)
	say := func(label, format string, a ...any) {
		fmt.Fprintln(env.Stderr, strings.Join(folded(width, label, fmt.Sprintf(format, a...)), "\n"))
	}
	verified := "not verified: anyone can use this name"
	switch {
	case f.Client.Verified:
		verified = "registered, and it has proved that it is the one"
	case f.Client.Registered:
		verified = "a registered name: anyone can use its id"
	}
	say("", "%q wants to act as %s at %s", printable(f.Client.Name), c.entry.Name, c.server)
	say("  client   ", "%s (%s)", printable(f.Client.ID), verified)
	say("  code     ", "%s  (is this what your device shows?)", printable(f.UserCode))
	say("  It may:", "")
	for _, s := range f.Scopes {
		say("    - ", "%s (%s, %s)", printable(s.Text), printable(s.Scope), printable(s.Weight))
	}
	say("  We saw:  ", "asked %s ago, from %s", max(0, env.Now().Sub(time.Unix(f.RequestedAt, 0))).Round(time.Second), networkInWords(f.Seen.Network))
	if f.Imitates != "" {
		say("  Warning: ", "this is not %q, which is registered there; it only looks like it", printable(f.Imitates))
	}
	if f.ImitatesServer {
		say("  Warning: ", "this name poses as a part of the server; it is not")
	}
	if n := f.Reports.Client; n > 0 {
		say("  Warning: ", "today %d accounts reported requests in this client's name: they had not started them", n)
	}
	if n := f.Reports.Network; n > 0 {
		say("  Warning: ", "today %d accounts reported what devices of that network asked", n)
	}
	say("  It says of itself:", "")
	for _, claim := range []struct{ what, text string }{
		{"name", f.Device.Name}, {"platform", f.Device.Platform}, {"program", f.Device.UserAgent}, {"started from the web page", f.Device.Origin},
	} {
		if claim.text != "" {
			say("    - ", "%s: %q", claim.what, printable(claim.text))
		}
	}
	say("  Lasts:   ", "%s", f.lasts())
}

// lasts says how long the permission lasts.
func (f facts) lasts() string {
	words := durationInWords(time.Duration(f.Lasts) * time.Second)
	if f.Renewed {
		return "until you take it back, " + words + " at most"
	}
	return words + ", then it has to ask again"
}

// durationInWords says a length of time to the second, in the largest unit that says it in a
// whole number, as the page does.
func durationInWords(d time.Duration) string {
	for _, unit := range []struct {
		length time.Duration
		name   string
	}{{24 * time.Hour, "day"}, {time.Hour, "hour"}, {time.Minute, "minute"}, {time.Second, "second"}} {
		switch n := d / unit.length; {
		case n < 1 || d%unit.length != 0:
		case n == 1:
			return "1 " + unit.name
		default:
			return fmt.Sprintf("%d %ss", n, unit.name)
		}
	}
	return d.String()
}

func networkInWords(network string) string {
	switch network {
	case "same":
		return "the same network as you"
	case "other":
		return "another network than yours"
	default:
		return "an unknown network"
	}
}

// expect refuses whatever is not exactly what was expected.
func (f facts) expect(o approveOptions) error {
	if o.expectClient != "" && o.expectClient != f.Client.ID {
		return fail(ExitVerification, "not approved", fmt.Errorf("the client is %s, not %s", printable(f.Client.ID), o.expectClient), ifNotExpected)
	}
	if o.expectScope != "" {
		want, got := strings.Fields(o.expectScope), strings.Fields(f.scope())
		slices.Sort(want)
		slices.Sort(got)
		if !slices.Equal(want, got) {
			return fail(ExitVerification, "not approved", fmt.Errorf("the scope is %q, not %q", printable(f.scope()), o.expectScope), ifNotExpected)
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
	if s, err := receipt.ParseStatement(f.Statement); err != nil || done.GrantID != s.Nonce {
		return unexpected("it does not say that this was approved")
	}
	fmt.Fprintln(env.Stderr, "Approved. Go back to your device.")
	if anID.MatchString(done.GrantID) {
		fmt.Fprintf(env.Stderr, "To take it back: countersign grants revoke %s%s\n", done.GrantID, c.again())
	}
	return nil
}

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
