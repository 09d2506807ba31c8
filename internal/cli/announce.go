package cli

import (
	"fmt"
	"log/slog"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"countersign.dev/internal/config"
)

// announce says in six lines, or one for machines, what now runs.
func (run *running) announce(env *Env) {
	s := run.settings
	if !env.StderrTerminal || s.LogFormat == "json" {
		where := slog.String("data", s.Data)
		if s.Database != "" {
			where = slog.String("database", s.Database.Place())
		}
		run.log.Info("serving", "listen", addressesOf(run.listening), "issuer", s.Issuer, where, "unregistered_clients", s.UnregisteredClients,
			"agents", s.Agents.Clients, "agents_presence", agentPresence(s.Agents))
		return
	}
	data := s.Data
	if s.Database != "" {
		data = "PostgreSQL " + printable(s.Database.Place())
	}
	fmt.Fprintf(env.Stderr, "Countersign %s listens on %s\n  issuer   %s\n  data     %s\n  clients  %s\n  agents   %s\n  try      countersign login --server %s\n",
		Version(), strings.Join(addressesOf(run.listening), " and "), s.Issuer, data, clientsInWords(s.UnregisteredClients), agentsInWords(s.Agents), shellWord(s.Issuer))
}

// warn says what leaves a door open that the operator may not have meant to open.
func (run *running) warn() {
	issuer, err := url.Parse(run.settings.Issuer)
	beyond := slices.DeleteFunc(addressesOf(run.listening), func(address string) bool {
		at, err := netip.ParseAddrPort(address)
		return err == nil && at.Addr().IsLoopback()
	})
	if err == nil && config.IsLoopback(issuer.Hostname()) && len(beyond) > 0 && run.settings.UnregisteredClients == "open" {
		run.log.Warn("whoever reaches this machine can use this server, as any client and without https: set issuer to its public https address, or listen on localhost only",
			"listen", beyond)
	}
	if run.settings.Agents.Unattended() {
		run.log.Warn("agents-unattended-approval is true: whatever program can use an owner's key approves agents, an agent itself among them")
	}
}

func clientsInWords(unregistered string) string {
	if unregistered == "open" {
		return "registered ones, and any other as not verified"
	}
	return "registered ones only"
}

func agentsInWords(a config.Agents) string {
	whose := map[string]string{"any": "of any client that may ask", "registered": "of registered clients", "listed": "of clients that are listed for it"}[a.Clients]
	least := map[string]string{
		"key": "approved by any signature, no person needed", "password": "approved with a password typed for it",
		"presence": "approved with a passkey", "other-device": "approved with a passkey on another device",
	}[agentPresence(a)]
	return whose + ", " + least
}

// agentPresence is the least that an approval of an agent needs.
func agentPresence(a config.Agents) string {
	if a.Unattended() {
		return "key"
	}
	return a.Presence
}
