package agent

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/audit"
	"countersign.dev/internal/authz/client"
	"countersign.dev/internal/authz/contract"
	"countersign.dev/internal/authz/grant"
	"countersign.dev/internal/authz/guard"
	"countersign.dev/internal/authz/proof"
	"countersign.dev/internal/authz/secret"
	"countersign.dev/internal/authz/token"
)

// Agents are the grants of agents, and what their owners do with them.
type Agents struct {
	store    contract.Store
	settings authz.Settings
	now      func() time.Time
	log      *slog.Logger
	secrets  secret.Secrets
	trail    audit.Trail
	guard    *guard.Guard
	clients  *client.Registry
	tokens   *token.Signer
	proofs   *proof.Verifier
	grants   *grant.Grants
	// proved bounds how often one agent comes with a proof, kills how often a network sends a
	// kill switch.
	proved, kills *guard.Allowance
	refused       audit.Sparing // kill switches
}

// provedPerMinute is how often one agent comes to its own endpoints: a proof is remembered for
// minutes.
const provedPerMinute = 600

// New makes the leash of a server.
func New(store contract.Store, settings authz.Settings, trail audit.Trail, bounds *guard.Guard, clients *client.Registry, tokens *token.Signer, proofs *proof.Verifier, grants *grant.Grants) *Agents {
	return &Agents{
		store: store, settings: settings, now: trail.Now, log: trail.Log, secrets: trail.Secrets, trail: trail, guard: bounds, clients: clients, tokens: tokens, proofs: proofs, grants: grants,
		proved: guard.NewAllowance(provedPerMinute), kills: guard.NewAllowance(killsPerMinute),
	}
}

// State is what an agent's grant is, with all above it.
type State string

// The states, of which the later ones go before.
const (
	Active  State = "active"
	Paused  State = "paused"
	Expired State = "expired"
	Revoked State = "revoked"
)

// Standing is an agent's grant and what it is now.
type Standing struct {
	authz.Grant
	State State
}

// List returns a page of the owner's agents, newest first, dead or alive, and the cursor of the
// next page, empty where there is none. What is alive has the scope that its tokens carry now.
//
//	InvalidRequest: the cursor is not one of this list
func (s *Agents) List(ctx context.Context, owner authz.Owner, cursor string, limit int) (list []Standing, next string, err error) {
	page, next, err := secret.Page(s.secrets, owner, "agents", cursor, limit, func(after contract.Position, limit int) ([]authz.Grant, error) {
		return s.store.Grants(ctx, owner.AccountID, contract.GrantList{Agents: true, After: after, Limit: limit})
	}, func(g authz.Grant) contract.Position { return contract.Position{At: g.CreatedAt, ID: g.ID} })
	if err != nil {
		return nil, "", err
	}
	list, err = s.standing(ctx, page)
	return list, next, err
}

// Show returns one of the owner's agents, and a page of those right below it, of which some
// may be over.
//
//	NotFound: there is none with this id, or it is somebody else's
func (s *Agents) Show(ctx context.Context, owner authz.Owner, id string, limit int) (Standing, []Standing, error) {
	g, err := s.get(ctx, owner, id)
	if err != nil {
		return Standing{}, nil, err
	}
	children, err := s.store.Grants(ctx, owner.AccountID, contract.GrantList{Agents: true, Parent: id, Limit: limit})
	if err != nil {
		return Standing{}, nil, err
	}
	all, err := s.standing(ctx, append([]authz.Grant{g}, children...))
	if err != nil {
		return Standing{}, nil, err
	}
	return all[0], all[1:], nil
}

// get is one of the owner's agents, dead or alive.
//
//	NotFound
func (s *Agents) get(ctx context.Context, owner authz.Owner, id string) (authz.Grant, error) {
	g, err := s.store.Grant(ctx, id)
	if err == nil && (g.AccountID != owner.AccountID || !g.Delegated.ToAgent()) {
		err = contract.ErrNotFound
	}
	return g, contract.OrNotFound(err, noSuchAgent)
}

const noSuchAgent = "you have no such agent"

// standing says of grants what they are now. Those above them are read once each.
func (s *Agents) standing(ctx context.Context, list []authz.Grant) (all []Standing, err error) {
	known := map[string]authz.Grant{}
	for _, g := range list {
		known[g.ID] = g
	}
	now := s.now()
	for _, g := range list {
		state := stateOf(g, now)
		for above := g; above.Delegated.Parent != "" && state != Revoked; {
			id := above.Delegated.Parent
			var there bool
			if above, there = known[id]; !there {
				above, err = s.store.Grant(ctx, id)
				if errors.Is(err, contract.ErrNotFound) { // which is forgotten when it was over for long
					state = Revoked
					break
				}
				if err != nil {
					return nil, err
				}
				known[id] = above
			}
			state = state.with(stateOf(above, now))
		}
		if g, err = s.grants.AsItIs(ctx, g, now); err != nil {
			return nil, err
		}
		all = append(all, Standing{g, state})
	}
	return all, nil
}

// stateOf is what a grant is by itself.
func stateOf(g authz.Grant, now time.Time) State {
	switch {
	case !g.RevokedAt.IsZero():
		return Revoked
	case !g.AliveAt(now):
		return Expired
	case !g.Delegated.PausedAt.IsZero():
		return Paused
	default:
		return Active
	}
}

var weight = map[State]int{Active: 0, Paused: 1, Expired: 2, Revoked: 3}

// with is the state of a grant below one that has a state.
func (s State) with(above State) State {
	if weight[above] > weight[s] {
		return above
	}
	return s
}

// Presenting returns the grant of the agent that presents its own access token, and what the
// token says. Here every token of ours is taken, whomever it is for; who has exchanged one acts
// for the agent elsewhere, and has not its key.
//
//	InvalidToken, UnprovenToken, NonceForToken
//	AgentPausedHere
//	Unavailable: it comes too often
func (s *Agents) Presenting(ctx context.Context, presented authz.Presented) (authz.Grant, token.Claims, error) {
	claims, err := s.tokens.Verify(ctx, presented.Token)
	if err != nil {
		return authz.Grant{}, claims, err
	}
	has, err := s.grants.Possession(ctx, presented, claims)
	if err != nil {
		return authz.Grant{}, claims, err
	}
	g, err := s.store.GrantAlive(ctx, claims.GrantID, s.now())
	if err == nil && (!g.Delegated.ToAgent() || has.Thumbprint != g.Delegated.Agent.Thumbprint) {
		return authz.Grant{}, claims, errNoAgents
	}
	if err == nil {
		_, err = s.clients.Find(ctx, g.ClientID)
	}
	switch {
	case errors.Is(err, contract.ErrPaused):
		return authz.Grant{}, claims, errPausedHere
	case errors.Is(err, contract.ErrNotFound):
		return authz.Grant{}, claims, token.ErrInvalid
	case err != nil:
		return authz.Grant{}, claims, err
	case !s.proved.AllowName(g.ID, s.now()):
		return authz.Grant{}, claims, errProved
	}
	return g, claims, s.proofs.UseUpProof(ctx, has)
}

var (
	errNoAgents   = authz.Refuse(authz.InvalidToken, "the access token is no agent's own: an agent asks for one with agent_name and a proof of its key")
	errPausedHere = authz.Refuse(authz.AgentPausedHere, "the agent's owner has paused it, or one above it: wait, or ask the owner to resume it")
	errProved     = authz.Refuse(authz.Unavailable, "this agent comes with a proof of its key more than ten times a second: send fewer requests, and try again in a minute")
)
