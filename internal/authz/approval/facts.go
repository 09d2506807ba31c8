package approval

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"sync"
	"time"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/client"
	"countersign.dev/internal/authz/consent"
	"countersign.dev/internal/authz/contract"
	"countersign.dev/internal/authz/guard"
	"countersign.dev/internal/authz/scopes"
	"countersign.dev/internal/authz/statement"
	"countersign.dev/internal/authz/usercode"
)

// NetworkDistance says how far the device is from its owner, as far as addresses
// tell.
type NetworkDistance string

// The distances told apart; more is never guessed.
const (
	NetworkSame    NetworkDistance = "same"
	NetworkOther   NetworkDistance = "other"
	NetworkUnknown NetworkDistance = "unknown"
)

// Facts are everything an owner is shown before deciding.
type Facts struct {
	Request authz.DeviceRequest
	// UserCode is the code as it is shown.
	UserCode string
	Client   authz.Client
	// Scope is what will be granted: the requested scope, or what the owner left of it.
	Scope string
	// Resources are whose APIs that is for; none: this server alone.
	Resources []consent.Resource
	Identity  authz.Identity
	Network   NetworkDistance
	// Reports warn of the client and of the network the device asked from,
	// Imitates of a client that could be taken for another.
	Reports  guard.Reports
	Imitates client.Imitation
	Match    MatchKind
	// Numbers are the choices of MatchNumber.
	Numbers []string
	// Age is how long ago the device asked, Left how long its code still lives.
	Age, Left time.Duration
	// Lasts is how long the permission lasts from the decision on, and no token of it
	// lasts longer; Renewed is whether the device renews its tokens by itself meanwhile.
	Lasts   time.Duration
	Renewed bool
	// Before is what of the scope the owner allowed this client before, where the rest is new.
	Before string
	// Remembered is for how long the client will be let in again without asking; zero: not at all.
	Remembered time.Duration
	// Agent is of an agent's request; nil for others.
	Agent *statement.Agent
	// letIn is the grant that gave the consent by which nobody is asked, or empty.
	letIn string
}

// offer is what the owner may sign of the facts.
func (f Facts) offer() statement.Offer {
	return statement.Offer{Request: f.Request, UserCode: f.UserCode, Scope: f.Scope, BAPID: f.Identity.BAPID}
}

// Statement is the text for the owner to sign (requirement N-11); of an agent's request the
// widest one.
func (s *Approvals) Statement(f Facts) string {
	if f.Agent != nil {
		return s.statements.OfAgent(f.offer()).Encode()
	}
	return s.statements.OfDevice(f.offer())
}

// shownFacts are facts with what only somebody who reads them needs: to compare
// a client with all others takes a list of them.
func (s *Approvals) shownFacts(ctx context.Context, owner authz.Owner, asker authz.Asker, code string, r authz.DeviceRequest, scope string) (Facts, error) {
	f, err := s.facts(ctx, owner, asker, code, r, scope)
	if err != nil {
		return Facts{}, err
	}
	f.Imitates, err = s.clients.Imitated(ctx, f.Client, f.Request.Asked.Agent.Name)
	return f, err
}

// asOfNow is a pending request as its client may ask for it now, and that client:
// registrations change and end while a code lives. What the client may have no
// longer is cut, as it is cut for an unregistered client when it asks.
//
//	NotFound: the client is gone, may not ask like this any more, or nothing is left
func (s *Approvals) asOfNow(ctx context.Context, r authz.DeviceRequest) (authz.DeviceRequest, authz.Client, error) {
	c, err := s.clients.Find(ctx, r.ClientID)
	if err != nil {
		return r, c, contract.OrNotFound(err, "the client that asks is no longer admitted here")
	}
	if r.ByRedirect() && !client.LeadsTo(c.RedirectURIs, r.Redirect.URI) {
		return r, c, authz.Refuse(authz.NotFound, "the address that the answer would go to is no longer registered")
	}
	if r.Scope = scopes.MayHave(c, r.Scope, r.Asked.ByAgent()); r.Scope == "" || !c.Allows(r.GrantType()) {
		return r, c, authz.Refuse(authz.NotFound, "the client that asks may have nothing of what it asked for any more: start again on the device")
	}
	r.SignatureRequired = r.SignatureRequired || s.clients.NeedsSignature(c)
	return r, c, nil
}

func (s *Approvals) facts(ctx context.Context, owner authz.Owner, asker authz.Asker, code string, r authz.DeviceRequest, scope string) (Facts, error) {
	r, c, err := s.asOfNow(ctx, r)
	if err != nil {
		return Facts{}, err
	}
	granted, err := scopes.Narrowed(r.Scope, scope)
	if err != nil {
		return Facts{}, err
	}
	f := Facts{
		Request: r, UserCode: code, Client: c, Scope: granted,
		Network: s.distance(asker, r), Age: s.now().Sub(r.CreatedAt), Left: r.ExpiresAt.Sub(s.now()),
	}
	// Both are asked at once, which is one way to a database elsewhere instead of two.
	var asking sync.WaitGroup
	var unreported error
	asking.Go(func() { f.Reports, unreported = s.guard.ReportsOf(ctx, r) })
	f.Identity, err = s.store.Identity(ctx, owner.BAPID)
	asking.Wait()
	if err := errors.Join(err, unreported); err != nil {
		return Facts{}, err
	}
	if f.Resources, err = s.consents.Resources(ctx, r.Resources); err != nil {
		return Facts{}, err
	}
	if f.Before, err = s.consents.AllowedBefore(ctx, owner, c, r); err != nil {
		return Facts{}, err
	}
	if consent.Remembers(owner, c, r) {
		f.Remembered = consent.Lasts
	}
	f.Match = matchKind(r, c, granted, f.Network, f.Reports)
	if f.Match == MatchNumber {
		f.Numbers = usercode.Numbers(r.MatchNumber, s.secrets.NumberMatch(r.ID))
	}
	f.Lasts, f.Renewed = s.grants.Lasts(c, granted)
	if r.Asked.ByAgent() {
		return s.ofAgent(ctx, owner, f)
	}
	return f, nil
}

// distance compares the network the device asked from with the owner's (requirement
// K-02).
func (s *Approvals) distance(a authz.Asker, r authz.DeviceRequest) NetworkDistance {
	mine := s.guard.NetworkOf(a.From)
	switch {
	case mine == "" || r.Seen.Network == "":
		return NetworkUnknown
	case mine == r.Seen.Network:
		return NetworkSame
	default:
		return NetworkOther
	}
}

// digest binds a decision to what was shown: if the client is renamed or its
// registration changes in between, the decision does not count (attack B-03).
func (f Facts) digest() (authz.Hash, error) {
	shown, err := json.Marshal(struct {
		ID, UserCode, ClientID, ClientName, Scope, Before, BAPID string
		Registered, Proved                                       bool
		Match                                                    MatchKind
		Resources                                                []consent.Resource
		Remembered                                               time.Duration
		Agent                                                    *statement.Agent
	}{f.Request.ID, f.UserCode, f.Client.ID, f.Client.DisplayName(), f.Request.Scope, f.Before, f.Identity.BAPID, f.Client.Registered, f.Request.ClientProved, f.Match, f.Resources, f.Remembered, f.Agent})
	return sha256.Sum256(shown), err
}
