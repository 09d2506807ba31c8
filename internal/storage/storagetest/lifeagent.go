package storagetest

import (
	"context"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/contract"
)

// agent is the next thing that happens to agents.
func (l *Life) agent(ctx context.Context) error {
	p, there := pick(l, l.people)
	if !there {
		return nil
	}
	switch above, there := pick(l, l.agents); {
	case l.random.IntN(4) == 0:
		return l.f.store.Kill(ctx, contract.Kill{BAPID: p.BAPID, Nonce: l.awkwardText("nonce"), At: at(0), Event: l.f.event("")})
	case there && l.random.IntN(3) == 0:
		r := l.f.onTop(above)
		r.Asked.Reason = l.awkwardText("reason")
		if err := l.f.store.AskOnTop(ctx, r, openDoor); err != nil {
			return err
		}
		q := l.f.question(r, at(20))
		q.Question = l.awkwardText("question")
		return l.f.store.AskQuestion(ctx, r.AccountID, q, 1)
	case there && l.random.IntN(2) == 0:
		d := l.f.delegation(above, l.f.agentKey())
		d.Grant.Delegated.Details = l.awkwardText("details")
		l.agents = append(l.agents, d.Grant)
		if err := l.f.store.Delegate(ctx, d); err != nil {
			return err
		}
		n := l.f.spending(1, many, d.Grant)
		n.Spend.Reason = l.awkwardText("reason")
		_, err := l.f.store.Spend(ctx, n)
		return err
	case there && l.random.IntN(3) == 0:
		_, err := l.f.store.PauseAgents(ctx, l.f.pausing(above, at(20)))
		return err
	}
	key := l.f.agentKey()
	key.Name = l.awkwardText("name")
	r := l.f.agentRequest(key)
	if err := l.f.store.CreateDeviceRequest(ctx, r); err != nil {
		return err
	}
	a := l.f.approval(r, p)
	a.Event, a.Agents, a.Grant.Presence = l.f.event(p.AccountID), roomy, authz.PresenceKey
	a.Grant.Delegated = authz.Delegated{Kind: authz.OfAgent, Agent: key, Line: r.ID, Details: l.awkwardText("details")}
	l.agents = append(l.agents, a.Grant)
	return l.f.store.ApproveDeviceRequest(ctx, a)
}
