package api

import (
	"cmp"
	"encoding/json"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/statement"
	"countersign.dev/receipt"
)

// agentFacts are what an owner may sign of an agent's request at most, and may narrow; times
// in Unix seconds.
type agentFacts struct {
	Agent struct {
		receipt.Delegate
		// Reason and Counterparty are the agent's own words.
		Reason       string `json:"reason,omitempty"`
		Counterparty string `json:"counterparty,omitempty"`
	} `json:"agent"`
	Resource []string        `json:"resource"`
	Details  json.RawMessage `json:"authorization_details"`
	Depth    int             `json:"depth"`
	NotAfter int64           `json:"not_after"`
	// Presence is the least that counts. OtherDevice: a passkey from here would count as one.
	Presence    authz.Presence `json:"presence"`
	OtherDevice bool           `json:"other_device"`
	// Replaces is the grant of the same agent that ends.
	Replaces *replacedFact `json:"replaces,omitempty"`
}

// replacedFact is a grant of an agent that an approval ends.
type replacedFact struct {
	ID        string          `json:"id"`
	Scope     string          `json:"scope"`
	Resource  []string        `json:"resource"`
	Details   json.RawMessage `json:"authorization_details"`
	Depth     int             `json:"depth"`
	CreatedAt int64           `json:"created_at"`
	ExpiresAt int64           `json:"expires_at"`
}

func newAgentFacts(a statement.Agent, statement string) (*agentFacts, error) {
	widest, err := receipt.ParseDelegation(statement)
	if err != nil { // nothing that could be signed
		return nil, err
	}
	out := agentFacts{
		Resource: widest.Resource, Details: widest.Details, Depth: widest.Depth, NotAfter: widest.NotAfter, Presence: a.Presence, OtherDevice: a.Elsewhere,
	}
	out.Agent.Delegate, out.Agent.Reason, out.Agent.Counterparty = widest.Agent, a.Asked.Reason, a.Asked.Counterparty
	if g := a.Replaces; g != nil {
		out.Replaces = &replacedFact{
			g.ID, g.Scope, append([]string{}, g.Resources...), json.RawMessage(cmp.Or(g.Delegated.Details, "[]")), g.Delegated.Depth, g.CreatedAt.Unix(), g.ExpiresAt.Unix(),
		}
	}
	return &out, nil
}
