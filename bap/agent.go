package bap

import (
	"errors"
	"regexp"

	ec "github.com/bsv-blockchain/go-sdk/primitives/ec"
)

// agentInvoice derives the keys of agents; a name follows it.
const agentInvoice = "1-countersign-agent-"

// agentName is what an agent's key may be derived under: one spelling for each name.
var agentName = regexp.MustCompile(`^[a-z0-9-]{1,60}$`)

// ErrAgentName says that an agent's key cannot be derived under a name.
var ErrAgentName = errors.New("an agent's name here is 1 to 60 lower-case letters, digits and hyphens")

// IsAgentName reports whether an agent's key can be derived under a name.
func IsAgentName(name string) bool { return agentName.MatchString(name) }

// AgentKey derives the key of an agent from its owner's member key: the Type-42 (BRC-42)
// child of the member key with itself. The same member key and name give the same key, so
// that an owner can make it again; that it is the owner's shows to who has the member key
// alone.
//
//	ErrAgentName
func AgentKey(member *ec.PrivateKey, name string) (*ec.PrivateKey, error) {
	if !IsAgentName(name) {
		return nil, ErrAgentName
	}
	return Child(member, agentInvoice+name)
}
