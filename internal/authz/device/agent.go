package device

import (
	"context"
	"errors"
	"time"

	"countersign.dev/details"
	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/contract"
	"countersign.dev/internal/authz/proof"
	"countersign.dev/internal/authz/scopes"
)

// AgentSays is what an agent sends besides what every device does.
type AgentSays struct {
	Name string
	// Reason is what it wants to do, in its words.
	Reason string
	// Details are authorization_details (RFC 9396), JSON text; empty: none.
	Details string
	// Lifetime, in seconds, is for how long it asks, Depth how many generations of sub-agents
	// it wants to make; each is nil where it does not say.
	Lifetime, Depth *int64
}

// any reports whether there is something that agents alone send.
func (a AgentSays) any() bool {
	return a.Reason != "" || a.Details != "" || a.Lifetime != nil || a.Depth != nil
}

const (
	// lifetimeAsked is for how long an agent asks that does not say.
	lifetimeAsked = 24 * time.Hour
	// lifetimeUnknown bounds it for agents of clients that nobody registered.
	lifetimeUnknown = 24 * time.Hour
	maxAgentName    = 60
	maxAgentReason  = 200
)

// askedByAgent is what an agent asks, as far as it may ask at all, and the key that it proved,
// to which the device code is bound (requirement P-13). A member key that is known here is no
// agent's (requirement N-12); who is told so has proved to have it.
//
//	UnauthorizedClient: the operator lets no agents of this client ask
//	InvalidRequest, InvalidDetails
//	InvalidProof, UseNonce, InvalidClient: the proof of its key does not hold
func (s *Flow) askedByAgent(ctx context.Context, c authz.Client, ask AuthorizationRequest) (authz.Asked, proof.Possession, error) {
	var a authz.Asked
	if err := s.admitsAgentsOf(c); err != nil {
		return a, proof.Possession{}, err
	}
	name := authz.CleanText(ask.Agent.Name, maxAgentName)
	if name == "" {
		return a, proof.Possession{}, authz.Refuse(authz.InvalidRequest, "agent_name has nothing in it that can be shown")
	}
	a.Reason = authz.CleanText(ask.Agent.Reason, maxAgentReason)
	if ask.Agent.Details != "" {
		list, err := details.Parse([]byte(ask.Agent.Details))
		if err != nil {
			return a, proof.Possession{}, authz.Refuse(authz.InvalidDetails, err.Error())
		}
		if len(list) > 0 {
			a.Details = list.Encode()
		}
	}
	if err := s.cut(&a, c, ask.Agent); err != nil {
		return a, proof.Possession{}, err
	}
	key, err := s.proofs.Possession(ctx, ask.Proofs, proof.Wanted{OfAgent: true})
	if err != nil {
		return a, key, err
	}
	if a.Agent, err = key.AgentKey(); err != nil {
		return a, key, err
	}
	a.Agent.Name = name
	_, err = s.store.Identity(ctx, a.Agent.ID)
	switch {
	case err == nil:
		return a, key, errOwnersKey
	case !errors.Is(err, contract.ErrNotFound):
		return a, key, err
	}
	return a, key, nil
}

var (
	errNoAgents  = authz.Refuse(authz.UnauthorizedClient, "the operator of this server lets no agents of this client ask: register it, or set agents = true for it")
	errOwnersKey = authz.Refuse(authz.InvalidRequest, "this key is a member key that signs in here: an agent needs a key of its own")
	errNoAgent   = authz.Refuse(authz.InvalidRequest, "agent_reason, authorization_details, lifetime and depth are of agents: send agent_name too, and prove the agent's key")
)

// admitsAgentsOf asks the operator's decision.
//
//	UnauthorizedClient
func (s *Flow) admitsAgentsOf(c authz.Client) error {
	switch s.settings.Agents.Clients {
	case authz.AgentsOfRegistered:
		if c.Registered {
			return nil
		}
	case authz.AgentsOfListed:
		if c.Agents {
			return nil
		}
	default:
		return nil
	}
	return errNoAgents
}

// cut sets how long and how deep an agent asks for, which is never more than there may be.
//
//	InvalidRequest: it asks for no time at all
func (s *Flow) cut(a *authz.Asked, c authz.Client, says AgentSays) error {
	a.Lifetime = lifetimeAsked
	if says.Lifetime != nil {
		if *says.Lifetime == 0 {
			return authz.Refuse(authz.InvalidRequest, "lifetime must be a number of seconds above 0")
		}
		a.Lifetime = time.Duration(min(*says.Lifetime, int64(s.settings.Agents.MaxLifetime/time.Second))) * time.Second
	}
	a.Lifetime = min(a.Lifetime, s.settings.Agents.MaxLifetime)
	if !c.Registered {
		a.Lifetime = min(a.Lifetime, lifetimeUnknown)
	}
	if says.Depth != nil {
		a.Depth = int(min(*says.Depth, int64(s.settings.Agents.MaxDepth)))
	}
	return nil
}

// scopeAsked is what a device, or an agent, is asked to be given.
//
//	InvalidScope
func (s *Flow) scopeAsked(c authz.Client, ask AuthorizationRequest) (string, error) {
	if ask.Agent.Name != "" {
		return scopes.RequestedByAgent(c, ask.Scope, s.settings.Agents.AlwaysAsk)
	}
	return scopes.Requested(c, ask.Scope)
}
