package kept

import (
	"encoding/json"
	"time"

	"countersign.dev/internal/authz"
)

// agentKey has the members of authz.AgentKey, like client.
type agentKey struct {
	ID         string `json:"id,omitempty"`
	Name       string `json:"name"`
	PublicKey  string `json:"pubkey,omitempty"`
	Thumbprint string `json:"jkt"`
}

// asked has those of authz.Asked.
type asked struct {
	Agent        agentKey      `json:"agent"`
	Reason       string        `json:"reason,omitempty"`
	Counterparty string        `json:"counterparty,omitempty"`
	Details      string        `json:"details,omitempty"`
	Lifetime     time.Duration `json:"lifetime"` // as nanoseconds
	Depth        int           `json:"depth,omitempty"`
	Parent       string        `json:"parent,omitempty"`
	Line         string        `json:"line,omitempty"`
}

// Asked is how it is kept what an agent asks; nothing for what no agent asks.
func Asked(a authz.Asked) string {
	if a == (authz.Asked{}) {
		return ""
	}
	return document(asked{agentKey(a.Agent), a.Reason, a.Counterparty, a.Details, a.Lifetime, a.Depth, a.Parent, a.Line})
}

// AskedOf is what an agent asks of which this is kept.
func AskedOf(kept string) (authz.Asked, error) {
	if kept == "" {
		return authz.Asked{}, nil
	}
	var a asked
	err := json.Unmarshal([]byte(kept), &a)
	return authz.Asked{
		Agent: authz.AgentKey(a.Agent), Reason: a.Reason, Counterparty: a.Counterparty, Details: a.Details,
		Lifetime: a.Lifetime, Depth: a.Depth, Parent: a.Parent, Line: a.Line,
	}, err
}

// delegated has those of authz.Delegated that are no columns of grants.
type delegated struct {
	Agent      agentKey `json:"agent"`
	Details    string   `json:"details,omitempty"`
	Depth      int      `json:"depth,omitempty"`
	Delegation string   `json:"delegation,omitempty"`
}

// Delegated is how the rest is kept of what an agent's grant has besides; nothing for
// others'. Kind, id of the agent, parent, line and pause are columns.
func Delegated(d authz.Delegated) string {
	if !d.ToAgent() {
		return ""
	}
	key := agentKey(d.Agent)
	key.ID = ""
	return document(delegated{key, d.Details, d.Depth, d.Delegation})
}

// DelegatedOf adds the rest of which this is kept to what a grant's columns say.
func DelegatedOf(kept string, d *authz.Delegated) error {
	if kept == "" {
		return nil
	}
	var rest delegated
	err := json.Unmarshal([]byte(kept), &rest)
	rest.Agent.ID = d.Agent.ID
	d.Agent, d.Details, d.Depth, d.Delegation = authz.AgentKey(rest.Agent), rest.Details, rest.Depth, rest.Delegation
	return err
}
