package config

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Agents is what the operator decides about agents: in the file the table [agents].
type Agents struct {
	Clients             string // "any", "registered" or "listed"
	MaxLifetime         time.Duration
	AccessTokenLifetime time.Duration
	MaxDepth            int
	MaxPerOwner         int
	AlwaysAsk           []string
	Presence            string // "password", "presence" or "other-device"
	UnattendedApproval  string // "false" or "true"
}

// Unattended reports whether programs may approve agents with a key that is at hand.
func (a Agents) Unattended() bool { return a.UnattendedApproval == "true" }

// agentsTable is the table of the file that these settings are in. Their flags and
// variables begin with its name.
const agentsTable = "agents"

// agentSettings are the rows of the table. How many generations there may be is bounded by
// what an access token has room for: each is named in it.
var agentSettings = []setting{
	choiceSetting("agents-clients", "any", []string{"any", "registered", "listed"},
		"whose agents may ask: any client's that may ask at all, registered ones', or of those only the ones with agents = true",
		func(s *Settings) *string { return &s.Agents.Clients }, ""),
	durationSetting("agents-max-lifetime", "720h", time.Minute, 8760*time.Hour,
		"how long an agent may act without being asked about again", func(s *Settings) *time.Duration { return &s.Agents.MaxLifetime }),
	durationSetting("agents-access-token-lifetime", "15m", time.Second, 24*time.Hour,
		"how long agents' access tokens are good: so long an API that verifies by itself may not hear of a pause", func(s *Settings) *time.Duration { return &s.Agents.AccessTokenLifetime }),
	numberSetting("agents-max-depth", "3", "generations", 0, 8,
		"how many generations of sub-agents an agent may have; 0 for none", func(s *Settings) *int { return &s.Agents.MaxDepth }),
	numberSetting("agents-max-per-owner", "100", "agents", 2, 10_000,
		"how many agents of one owner may be alive; half of them below one agent", func(s *Settings) *int { return &s.Agents.MaxPerOwner }),
	{
		name: "agents-always-ask", fallbackText: "none", unit: "scopes", word: "list", list: true,
		help: "scopes that no agent has from its first sign-in, but asks for each time, for one access token",
		set: func(s *Settings, text string) error {
			s.Agents.AlwaysAsk = nil
			for scope := range strings.SplitSeq(text, ",") {
				if scope = strings.TrimSpace(scope); strings.ContainsFunc(scope, func(r rune) bool { return r <= ' ' || r == '"' || r == '\\' || r > '~' }) {
					return errors.New("must be scopes with commas between, like pay,keys:export")
				}
				if scope != "" {
					s.Agents.AlwaysAsk = append(s.Agents.AlwaysAsk, scope)
				}
			}
			return nil
		},
	},
	choiceSetting("agents-presence", "password", []string{"password", "presence", "other-device"},
		"what the approval of an agent needs at least: a password typed for it, a passkey, or that on another device than the agent's",
		func(s *Settings) *string { return &s.Agents.Presence }, ""),
	choiceSetting("agents-unattended-approval", "false", []string{"false", "true"},
		"whether programs may approve agents, with a key that lies at hand: an agent that can use such a key approves itself",
		func(s *Settings) *string { return &s.Agents.UnattendedApproval }, ""),
}

// checkAgents refuses what contradicts itself.
func (s *Settings) checkAgents() error {
	if s.Agents.Unattended() && s.Agents.Presence != "password" {
		return errors.New("asks for less than a password, and agents-presence for more: leave one of them out")
	}
	return nil
}

func numberSetting(name, fallback, unit string, least, most int, help string, field func(*Settings) *int) setting {
	return setting{
		name: name, fallback: fallback, unit: unit, word: "n", help: help,
		set: func(s *Settings, text string) error {
			n, err := strconv.Atoi(text)
			if err != nil || n < least || n > most {
				return fmt.Errorf("must be a whole number from %d to %d, like %s", least, most, fallback)
			}
			*field(s) = n
			return nil
		},
	}
}
