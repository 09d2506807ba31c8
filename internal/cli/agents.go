package cli

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"countersign.dev/bap"
	"countersign.dev/receipt"
)

func newAgentsCommand(env *Env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "agents",
		Short: "Check and stop the agents that act for you",
		Long: `Check and stop the agents that act for you: programs with a key of their own,
which you allowed a part of what you may do.`,
	}
	cmd.AddCommand(newAgentsVerify(env), newAgentsDerive(env), newAgentsKillSwitch(env))
	return cmd
}

func newAgentsVerify(env *Env) *cobra.Command {
	var at string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "verify FILE",
		Short: "Check a delegation, offline",
		Long: `Check a delegation with nothing but the file: a chain, or the receipt of one
agent. Each link was signed by whom the one above names, passes on no more than
it has, and is not over. No server is asked, so nothing is said of what was
revoked; nor of whether who presents it is that agent. - reads standard input.`,
		Example: `  countersign agents verify chain.json
  countersign agents verify chain.json --at 2026-11-29T12:10:00Z --json`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			when, err := timeFlag(at, env.Now())
			if err != nil {
				return err
			}
			text, err := readText(cmd.Context(), env, args[0])
			if err != nil {
				return err
			}
			chain, err := receipt.VerifyChain(asChain(text), when)
			if err != nil {
				return fail(ExitVerification, "the delegation is not good", err, "Do not rely on it: ask its agent, or its owner, for the one that counts now")
			}
			if asJSON {
				writeEvent(env.Stdout, chainEvent(chain, when))
				return nil
			}
			printChain(env.Stdout, chain, when)
			return nil
		},
	}
	cmd.Flags().StringVar(&at, "at", "", "`time` at which it is to be good: RFC 3339, or Unix seconds (default: now)")
	cmd.Flags().BoolVar(&asJSON, "json", false, "one JSON object on standard output")
	return cmd
}

// timeFlag reads a time that a person wrote.
func timeFlag(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return now, nil
	}
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		return at, nil
	}
	seconds, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return time.Time{}, usage("--at is no time: write it like 2026-11-29T12:10:00Z, or in Unix seconds")
	}
	return time.Unix(seconds, 0), nil
}

// asChain is a chain as it is, and a receipt as the chain of one link that it is.
func asChain(text []byte) []byte {
	var is struct {
		Links []string `json:"links"`
		Body  string   `json:"body"`
	}
	if json.Unmarshal(text, &is) == nil && is.Links == nil && is.Body != "" {
		return []byte(receipt.EncodeChain([]string{string(text)}))
	}
	return text
}

// notChecked is what a file cannot tell.
var notChecked = []string{"revocation", "presenter"}

func chainEvent(c *receipt.Chain, at time.Time) map[string]any {
	var links []map[string]any
	for _, l := range c.Links {
		d := l.Delegation
		link := map[string]any{
			"agent": d.Agent, "bap_id": d.BAPID, "scope": d.Scope, "resource": d.Resource, "authorization_details": d.Details, "depth": d.Depth, "not_after": d.NotAfter,
			"checks": l.Passed,
		}
		if !l.SignedAt.IsZero() {
			link["signed_at"] = l.SignedAt.Unix()
		}
		links = append(links, link)
	}
	return map[string]any{
		"event": "verified", "at": at.Unix(), "owner": c.Owner(), "presence": c.Presence(), "iss": c.Last().Issuer, "client_id": c.Last().ClientID,
		"links": links, "not_checked": notChecked,
	}
}

func printChain(w io.Writer, c *receipt.Chain, at time.Time) {
	checks := 0
	for _, l := range c.Links {
		checks += len(l.Passed)
	}
	fmt.Fprintf(w, "The delegation is good at %s: %s, %d checks passed.\n", utcTime(at), linksOf(len(c.Links)), checks)
	fmt.Fprintf(w, "  owner        %s\n  was present  %s\n  at server    %s\n  for client   %s\n", printable(c.Owner()), presenceInWords(c.Presence()),
		printable(c.Last().Issuer), printable(c.Last().ClientID))
	for _, l := range c.Links {
		fmt.Fprintln(w)
		printDelegation(w, l.Delegation)
	}
	fmt.Fprintln(w, "\nIt cannot tell whether any of it was revoked, which the server knows, nor\nwhether who presents it is that agent, which must prove its key.")
}

func linksOf(n int) string {
	if n == 1 {
		return "1 link"
	}
	return strconv.Itoa(n) + " links"
}

func utcTime(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }

// printDelegation prints what an agent was given.
func printDelegation(w io.Writer, d receipt.Delegation) {
	fmt.Fprintf(w, "  agent        %s\n  with id      %s\n  scope        %s\n", printable(d.Agent.Name), printable(d.Agent.ID), printable(d.Scope))
	for _, r := range d.Resource {
		fmt.Fprintf(w, "  at           %s\n", printable(r))
	}
	list, err := d.AuthorizationDetails()
	if err != nil {
		return // it was verified
	}
	for _, detail := range list {
		what, limits := detailInWords(detail)
		fmt.Fprintf(w, "  may          %s\n", printable(what))
		for _, limit := range limits {
			fmt.Fprintf(w, "               %s\n", printable(limit))
		}
	}
	fmt.Fprintf(w, "  until        %s\n  sub-agents   %s\n", utcTime(time.Unix(d.NotAfter, 0)), generations(d.Depth))
}

func generations(depth int) string {
	switch depth {
	case 0:
		return "none"
	case 1:
		return "one generation"
	default:
		return strconv.Itoa(depth) + " generations"
	}
}

// presenceInWords says how present an owner was, and who says so.
func presenceInWords(presence string) string {
	return map[string]string{
		receipt.PresenceKey:         "a key at hand signed (key)",
		receipt.PresencePassword:    "their tool says that they typed the password (password)",
		receipt.PresencePerson:      "a passkey verified them (presence)",
		receipt.PresenceOtherDevice: "a passkey verified them, on another device (other-device)",
	}[presence]
}

func newAgentsDerive(env *Env) *cobra.Command {
	var o struct {
		identity, out         string
		password, newPassword passwordSource
	}
	cmd := &cobra.Command{
		Use:   "derive NAME",
		Short: "Make a key for an agent, which you can make again",
		Long: `Make a key for an agent from your identity's key and a name: the same identity
and name give the same key. It is written as an encrypted backup of one member
(.bep), under a password of its own: the agent is given that file, never your
identity.`,
		Example: `  countersign agents derive backup-tool
  countersign agents derive backup-tool --new-password-file agent.password`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			h, err := openHome(env)
			if err != nil {
				return err
			}
			e, err := h.identity(o.identity, "")
			if err != nil {
				return err
			}
			if o.out == "" {
				o.out = args[0] + ".bep"
			}
			if !bap.IsAgentName(args[0]) { // before anything is asked
				return fail(ExitUsage, "deriving the key", bap.ErrAgentName, "Choose another name")
			}
			i, err := h.unlock(cmd.Context(), env, e, o.password)
			if err != nil {
				return err
			}
			return deriveAgent(cmd.Context(), env, i, args[0], o.out, o.newPassword)
		},
	}
	identityFlag(cmd, &o.identity)
	passwordFlag(cmd, &o.password)
	cmd.Flags().StringVar(&o.newPassword.file, "new-password-file", "", "`file` with the password for the agent's key (default: a prompt)")
	cmd.Flags().StringVar(&o.out, "out", "", "`file` to write (default: NAME.bep)")
	return cmd
}

func deriveAgent(ctx context.Context, env *Env, owner *bap.Identity, name, out string, p passwordSource) error {
	key, err := bap.AgentKey(owner.MemberKey(), name)
	if err != nil {
		return err
	}
	agent, err := bap.NewIdentity(name, key)
	if err != nil {
		return err
	}
	password, err := p.chooseApart(ctx, env, "agent "+name, name)
	if err != nil {
		return err
	}
	b, err := bap.NewMemberBackup(agent, env.Now())
	if err != nil {
		return err
	}
	text, err := b.Encrypt(env.Rand, password, bap.Iterations)
	if err != nil {
		return err
	}
	if err := writeNew(out, []byte(text)); err != nil {
		return err
	}
	fmt.Fprintf(env.Stdout, "%s\n", agent.BAPID())
	env.say("Wrote " + out + ". Give it to the agent, with its password; the same command makes the same key again.")
	return nil
}

// writeNew writes a file that only its owner can read, and overwrites none.
func writeNew(path string, content []byte) error {
	err := placePrivate(path, content, os.Link)
	if errors.Is(err, fs.ErrExist) {
		return fail(ExitFailed, "writing "+path, errors.New("there is a file of that name"), "Choose another, or move it away")
	}
	return failing(ExitFailed, "writing "+path, err, "Choose another file")
}

func newAgentsKillSwitch(env *Env) *cobra.Command {
	var o ownerFlags
	cmd := &cobra.Command{
		Use:   "kill-switch FILE",
		Short: "Keep something that ends everything, for a bad day",
		Long: `Write a kill switch, signed by your identity for one server. Whoever sends that
file to the server ends everything that your account allowed there: every grant,
agent, request and session, at any later time, once, and needs nothing else for
it. So keep it offline, where you find it without this machine.`,
		Example: `  countersign agents kill-switch kill.json --server https://id.example.org
  curl --json @kill.json https://id.example.org/api/kill`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := o.open(cmd.Context(), env)
			if err != nil {
				return err
			}
			nonce := make([]byte, 16)
			if _, err := io.ReadFull(env.Rand, nonce); err != nil {
				return err
			}
			text, err := receipt.SignKillSwitch(c.identity.MemberKey(), c.server, hex.EncodeToString(nonce), env.Now())
			if err != nil {
				return err
			}
			if err := writeNew(args[0], []byte(text)); err != nil {
				return err
			}
			env.say("Wrote " + args[0] + ". Whoever sends it to " + originOf(c.server) + receipt.KillPath + " ends everything that identity " + c.entry.Name +
				" allowed at " + c.server + ". Keep it offline.")
			return nil
		},
	}
	o.bind(cmd)
	return cmd
}
