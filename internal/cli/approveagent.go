package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"countersign.dev/bitcoinauth"
	"countersign.dev/details"
	"countersign.dev/receipt"
)

// agentFacts is what a server says of an agent's request besides what its statement says.
type agentFacts struct {
	Reason       string `json:"reason"`
	Counterparty string `json:"counterparty"`
}

// replacedFacts is a living grant of the agent that an approval ends; times in Unix seconds.
type replacedFacts struct {
	ID        string       `json:"id"`
	Scope     string       `json:"scope"`
	Resource  []string     `json:"resource"`
	Details   details.List `json:"authorization_details"`
	Depth     int          `json:"depth"`
	ExpiresAt int64        `json:"expires_at"`
}

// approveAgent shows what an agent asks, has its owner narrow it, and signs what is left. What
// is shown is read from what is signed.
func (c *owner) approveAgent(ctx context.Context, code string, f facts, o approveOptions) error {
	env := c.env
	offered, err := f.offered(c, code, env.Now())
	if err != nil {
		return err
	}
	for _, said := range o.narrowed() {
		if err := offered.narrow(said, env.Now()); err != nil {
			return err
		}
	}
	f.showAgent(env, c, offered)
	if err := f.expect(o, offered.left.Scope); err != nil {
		return err
	}
	if err := offered.expect(o); err != nil {
		return err
	}
	if env.StdinTerminal && !o.yes {
		if err := f.askNarrower(ctx, c, offered); err != nil {
			return err
		}
	}
	if offered.left.Presence, err = f.provePresence(ctx, c, o); err != nil {
		return err
	}
	f.Statement = offered.left.Encode()
	for {
		match, err := f.askMatch(ctx, env, o)
		if err != nil {
			return err
		}
		if err = f.sign(ctx, env, c, match); !mistyped(err) || o.match != "" || o.yes {
			return err
		}
		fmt.Fprintln(env.Stderr, "No agent shows that. Look at yours again.")
	}
}

// offered makes sure that what is to be signed is about this request, this identity and this
// server.
func (f facts) offered(c *owner, typed string, now time.Time) (*offer, error) {
	const checking = "checking what is to be signed"
	o, err := newOffer(f.Statement)
	if err != nil {
		return nil, fail(ExitVerification, checking, err, "Do not approve this; tell the operator of the server")
	}
	s, code := o.widest, codeLetters(f.UserCode)
	switch {
	case s.Issuer != c.server:
		return nil, mismatch("server", c.server, s.Issuer)
	case s.ClientID != f.Client.ID:
		return nil, mismatch("client", printable(f.Client.ID), s.ClientID)
	case s.BAPID != c.identity.BAPID():
		return nil, mismatch("identity", c.identity.BAPID(), s.BAPID)
	case code == "" || code != plainCode(typed) || s.UserCodeHash != receipt.UserCodeHash(code):
		return nil, mismatch("code", typed, f.UserCode)
	case strings.ContainsFunc(f.Statement, hidden):
		return nil, fail(ExitVerification, checking, nil, "There is something in it that cannot be shown: do not approve this")
	case s.ExpiresAt <= now.Unix():
		return nil, fail(ExitExpired, checking, errExpired, "Start again with the agent, and check this machine's clock")
	case s.ExpiresAt > now.Add(2*bitcoinauth.DefaultWindow).Unix():
		return nil, fail(ExitVerification, checking, errTooLong, "Check this machine's clock; if it is right, do not approve this")
	}
	return o, nil
}

// showAgent prints what the page shows, in the page's order.
func (f facts) showAgent(env *Env, c *owner, o *offer) {
	say := env.sayer()
	say("", "The agent %q of %q wants to act as %s at %s", o.left.Agent.Name, printable(f.Client.Name), c.entry.Name, c.server)
	say("  agent    ", "%s", o.left.Agent.ID)
	say("  client   ", "%s (%s)", printable(f.Client.ID), f.verified())
	say("  code     ", "%s  (is this what your agent shows?)", printable(f.UserCode))
	f.showLeft(say, o)
	f.showSeen(env, say)
	say("  It says of itself:", "")
	for _, claim := range append([]claim{{"it wants", f.Agent.Reason}, {"with", f.Agent.Counterparty}}, f.claims()...) {
		if claim.text != "" {
			say("    - ", "%s: %q", claim.what, printable(claim.text))
		}
	}
	f.showReplaced(say, o)
}

// showLeft says what may be signed: what it may do, with which limits, until when, and whether
// with sub-agents.
func (f facts) showLeft(say sayer, o *offer) {
	say("  It may:", "")
	for _, scope := range strings.Fields(o.left.Scope) {
		text := "Use what is called so"
		for _, known := range f.Scopes {
			if known.Scope == scope {
				text = printable(known.Text)
			}
		}
		say("    - ", "%s (%s)", text, scope)
	}
	for n, d := range o.details {
		if o.out[n] {
			continue
		}
		what, limits := detailInWords(d)
		say(fmt.Sprintf("    %d. ", n+1), "%s", what)
		for _, limit := range limits {
			say("         ", "%s", limit)
		}
	}
	for _, r := range o.left.Resource {
		say("  To use:  ", "%s", r)
	}
	say("  Until:   ", "%s", unixTime(o.left.NotAfter))
	if o.left.Depth == 0 {
		say("  Alone:   ", "it may have no sub-agents")
	} else {
		say("  Not alone: ", "it may have sub-agents, %d deep, each with less than it has", o.left.Depth)
	}
}

// showReplaced says what ends of a living grant of this agent, and what changes.
func (f facts) showReplaced(say sayer, o *offer) {
	r := f.Replaces
	if r == nil {
		return
	}
	say("  Ends:    ", "what this agent has now (%s, until %s), and all its sub-agents with it", printable(r.ID), unixTime(r.ExpiresAt))
	if r.Scope != o.left.Scope {
		say("    - ", "its scope was %s", printable(r.Scope))
	}
	if !slices.Equal(r.Resource, o.left.Resource) {
		say("    - ", "it was to use %s", printable(listed(r.Resource)))
	}
	if left, err := details.Parse(o.left.Details); err == nil && !r.Details.Equal(left) {
		for _, d := range r.Details {
			what, limits := detailInWords(d)
			say("    - ", "it could: %s", printable(listed(append([]string{what}, limits...))))
		}
	}
	if r.Depth != o.left.Depth {
		say("    - ", "its sub-agents could be %d deep", r.Depth)
	}
}

// askNarrower has the owner narrow an offer, until they say nothing more.
func (f facts) askNarrower(ctx context.Context, c *owner, o *offer) error {
	c.env.say(`To allow less, type for example: ` + narrowings)
	for {
		said, err := ask(ctx, c.env, "Less, or Enter to go on: ")
		if err != nil || said == "" {
			return err
		}
		if err := o.narrow(said, c.env.Now()); err != nil {
			c.env.say(sentence(err.Error()) + ".")
			continue
		}
		f.showLeft(c.env.sayer(), o)
	}
}

// provePresence has the owner do what this server wants of a person, and returns what was
// done. A password is asked for at the terminal itself: one that lies in the environment, a
// file or a pipe is at hand for the agent, too.
func (f facts) provePresence(ctx context.Context, c *owner, o approveOptions) (string, error) {
	env := c.env
	switch f.Presence {
	case receipt.PresenceKey:
		if o.yes {
			return receipt.PresenceKey, nil
		}
		yes, err := confirm(ctx, env, "Approve as "+c.entry.Name+"?")
		if err == nil && !yes {
			err = fail(ExitCancelled, "not approved", nil, "To refuse it for good: countersign deny "+f.UserCode)
		}
		return receipt.PresenceKey, err
	case receipt.PresencePassword:
		env.say("Whoever knows the password of " + c.entry.Name + " approves this with it.")
		_, err := c.home.unlock(ctx, env, c.entry, passwordSource{typed: env.AskTerminal})
		if errors.Is(err, errNoTerminal) {
			return "", noTerminal(c)
		}
		return receipt.PresencePassword, err
	default:
		return "", fail(ExitRefused, "not approved", errWantsPasskey, "Approve it in your browser: "+originOf(c.server)+"/device")
	}
}

var (
	errExpired      = errors.New("it has expired")
	errTooLong      = errors.New("it could be used for longer than five minutes")
	errNobodyThere  = errors.New("an agent is approved with your password, typed for it at a terminal, and there is none here")
	errWantsPasskey = errors.New("this server wants an agent approved with a passkey, and only a browser has one")
)

func noTerminal(c *owner) error {
	return fail(ExitRefused, "not approved", errNobodyThere,
		"Run this in a terminal of your own, or approve it in your browser: "+originOf(c.server)+"/device")
}

// narrowed are the flags of the command that narrow what an agent asks.
func (o approveOptions) narrowed() (said []string) {
	for _, n := range o.without {
		said = append(said, fmt.Sprintf("without %d", n))
	}
	for _, limit := range o.limits {
		said = append(said, "limit "+limit)
	}
	if o.until != "" {
		said = append(said, "until "+o.until)
	}
	if o.noSubagents {
		said = append(said, "no-subagents")
	}
	return said
}

// expect refuses whatever is not exactly what was expected of an agent.
func (o *offer) expect(expected approveOptions) error {
	if expected.yes && expected.expectAgent == "" {
		return usage("an agent asks: --yes needs --expect-agent, and --expect-details where it is to have authorization details, so that nothing else can be approved")
	}
	if expected.expectAgent != "" && expected.expectAgent != o.left.Agent.ID {
		return fail(ExitVerification, "not approved", fmt.Errorf("the agent is %s, not %s", o.left.Agent.ID, expected.expectAgent), ifNotExpected)
	}
	if !expected.yes && expected.expectDetails == "" {
		return nil
	}
	want, err := details.Parse([]byte(cmp.Or(expected.expectDetails, "[]")))
	if err != nil {
		return usage("--expect-details: %s", err)
	}
	if left, err := details.Parse(o.left.Details); err != nil || !left.Equal(want) {
		return fail(ExitVerification, "not approved", errors.New("the authorization details are not the ones that were expected"), ifNotExpected)
	}
	return nil
}
