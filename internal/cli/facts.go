package cli

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"countersign.dev/bitcoinauth"
	"countersign.dev/receipt"
)

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
	Resources []struct {
		Resource string `json:"resource"`
		Name     string `json:"name"`
		Host     string `json:"host"`
	} `json:"resources"`
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

	// Of an agent's request alone; what else is said of it is in the statement.
	Agent    *agentFacts    `json:"agent"`
	Presence string         `json:"presence"`
	Replaces *replacedFacts `json:"replaces"`

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

func (f facts) resources() (uris []string) {
	for _, r := range f.Resources {
		uris = append(uris, r.Resource)
	}
	return uris
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
	case !slices.Equal(s.Resource, f.resources()) || strings.ContainsFunc(strings.Join(s.Resource, ""), hidden):
		return mismatch("resource", strings.Join(f.resources(), " "), strings.Join(s.Resource, " "))
	case s.Agent != nil:
		return fail(ExitVerification, "checking what is to be signed", errors.New("the statement names an agent, which was not shown"),
			"Do not approve this; tell the operator of the server")
	case s.ExpiresAt <= now.Unix():
		return fail(ExitExpired, "checking what is to be signed", errExpired, "Start again on the device, and check this machine's clock")
	case s.ExpiresAt > now.Add(2*bitcoinauth.DefaultWindow).Unix():
		return fail(ExitVerification, "checking what is to be signed", errTooLong,
			"Check this machine's clock; if it is right, do not approve this")
	}
	return nil
}

// sayer prints a label and what belongs to it.
type sayer func(label, format string, a ...any)

func (env *Env) sayer() sayer {
	width, _ := size(env.Stderr, env.StderrTerminal)
	return func(label, format string, a ...any) {
		fmt.Fprintln(env.Stderr, strings.Join(folded(width, label, fmt.Sprintf(format, a...)), "\n"))
	}
}

// show prints what the page shows, in the page's order.
func (f facts) show(env *Env, c *owner) {
	say := env.sayer()
	say("", "%q wants to act as %s at %s", printable(f.Client.Name), c.entry.Name, c.server)
	say("  client   ", "%s (%s)", printable(f.Client.ID), f.verified())
	say("  code     ", "%s  (is this what your device shows?)", printable(f.UserCode))
	say("  It may:", "")
	for _, s := range f.Scopes {
		say("    - ", "%s (%s, %s)", printable(s.Text), printable(s.Scope), printable(s.Weight))
	}
	for _, r := range f.Resources {
		say("  To use:  ", "%q at %s (%s)", printable(r.Name), printable(r.Host), printable(r.Resource))
	}
	f.showSeen(env, say)
	say("  It says of itself:", "")
	for _, claim := range f.claims() {
		if claim.text != "" {
			say("    - ", "%s: %q", claim.what, printable(claim.text))
		}
	}
	say("  Lasts:   ", "%s", f.lasts())
}

// verified says whether the client is the one that its id names.
func (f facts) verified() string {
	switch {
	case f.Client.Verified:
		return "registered, and it has proved that it is the one"
	case f.Client.Registered:
		return "a registered name: anyone can use its id"
	default:
		return "not verified: anyone can use this name"
	}
}

// showSeen says what the server saw.
func (f facts) showSeen(env *Env, say sayer) {
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
}

// claim is something that whoever asks says of itself.
type claim struct{ what, text string }

func (f facts) claims() []claim {
	return []claim{{"name", f.Device.Name}, {"platform", f.Device.Platform}, {"program", f.Device.UserAgent}, {"started from the web page", f.Device.Origin}}
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
