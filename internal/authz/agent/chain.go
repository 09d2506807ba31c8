package agent

import (
	"context"
	"errors"
	"slices"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/contract"
	"countersign.dev/receipt"
)

// Chain is what was signed for one of the owner's agents, from what the owner signed on: a file
// that anybody verifies offline (receipt.VerifyChain).
//
//	NotFound: no such agent, somebody else's, or a link was not signed
func (s *Agents) Chain(ctx context.Context, owner authz.Owner, id string) (string, error) {
	g, err := s.get(ctx, owner, id)
	if err != nil {
		return "", err
	}
	links, err := s.links(ctx, g)
	return receipt.EncodeChain(links), err
}

// ChainOfAgent is Chain for the agent itself, by its access token.
//
//	NotFound: it is another's, or a link was not signed
//	as Presenting
func (s *Agents) ChainOfAgent(ctx context.Context, presented authz.Presented, id string) (string, error) {
	g, _, err := s.Presenting(ctx, presented)
	if err != nil {
		return "", err
	}
	if g.ID != id {
		return "", authz.Refuse(authz.NotFound, noSuchAgent)
	}
	links, err := s.links(ctx, g)
	return receipt.EncodeChain(links), err
}

// links are the receipts of a grant's line, the owner's first. What an agent asked for on top
// is signed by the owner too, so nothing above it counts.
//
//	NotFound: one of them was not signed
func (s *Agents) links(ctx context.Context, g authz.Grant) (links []string, err error) {
	line, err := s.store.Line(ctx, g.ID)
	if err != nil {
		return nil, contract.OrNotFound(err, noSuchAgent)
	}
	for _, g := range line {
		text, err := s.store.Receipt(ctx, g.ID)
		if errors.Is(err, contract.ErrNotFound) || err == nil && g.Delegated.Delegation == "" {
			return nil, authz.Refuse(authz.NotFound, "a delegation in the agent's line was not signed, so there is no chain")
		}
		if err != nil {
			return nil, err
		}
		links = append(links, text)
		if g.Delegated.Kind != authz.OfSubAgent {
			slices.Reverse(links)
			return links, nil
		}
	}
	return nil, authz.Refuse(authz.NotFound, noSuchAgent)
}
