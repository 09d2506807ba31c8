package statement

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"time"

	"countersign.dev/details"
	"countersign.dev/internal/authz"
	"countersign.dev/receipt"
)

// Agent is what an owner is shown of an agent's request besides what is shown of every one.
type Agent struct {
	Asked authz.Asked
	// Details are what Asked.Details says.
	Details details.List
	// Presence is the least that an approval needs. Elsewhere is whether the owner asks from
	// another network and browser than the agent, so that a passkey counts as another device.
	Presence  authz.Presence
	Elsewhere bool
	// Replaces is the living grant of this agent that an approval ends; nil for none.
	Replaces *authz.Grant
}

// Agent is what to show of what an agent asked.
func (s *Statements) Agent(asked authz.Asked, elsewhere bool) (*Agent, error) {
	list, err := details.Parse([]byte(cmp.Or(asked.Details, "[]")))
	return &Agent{Asked: asked, Details: list, Presence: s.Least(), Elsewhere: elsewhere}, err
}

// OfAgent is the widest statement for the owner to sign of what an agent asks, with the least
// presence that counts. The owner's tool may narrow it.
func (s *Statements) OfAgent(o Offer) receipt.Delegation {
	issued, expires := s.times(o)
	return s.widest(o, issued, expires)
}

func (s *Statements) widest(o Offer, issued, expires int64) receipt.Delegation {
	asked := o.Request.Asked
	return receipt.Delegation{
		Version: receipt.DelegationVersion, Issuer: s.settings.Issuer, Purpose: receipt.PurposeDelegation,
		Agent:        DelegateOf(asked.Agent),
		UserCodeHash: receipt.UserCodeHash(o.UserCode), ClientID: o.Request.ClientID, Scope: o.Scope, Resource: o.Request.Resources,
		Details: json.RawMessage(cmp.Or(asked.Details, "[]")), Depth: asked.Depth, BAPID: o.BAPID, Nonce: o.Request.ID,
		IssuedAt: issued, ExpiresAt: expires, NotAfter: issued + int64(asked.Lifetime/time.Second), Presence: string(s.Least()),
	}
}

// DelegateOf is an agent in the words of its statement.
func DelegateOf(k authz.AgentKey) receipt.Delegate {
	return receipt.Delegate{ID: k.ID, JKT: k.Thumbprint, Name: k.Name, PublicKey: k.PublicKey}
}

// Answer is what a passkey answered over a statement, with the request that it came in.
type Answer struct {
	Statement string
	// Assertion is the JSON of the PublicKeyCredential (WebAuthn §5.1).
	Assertion string
	// Path and Body are the request's, as it was received.
	Path string
	Body []byte
}

// Delegated is what an owner delegated to an agent, by a statement with a signature.
type Delegated struct {
	Statement receipt.Delegation
	// Receipt is what is left of it.
	Receipt string
	// Presence is how present the owner was.
	Presence authz.Presence
	// Passkey is the one that signed; zero where a key did.
	Passkey authz.Passkey
}

// Delegate verifies what an owner signed of an agent's offer: by the key that signed the
// request, or by a passkey. It is the widest statement or a narrower one, it leaves a receipt
// that verifies as anybody will verify it (requirement N-11), and the owner was as present as it says (K-16). elsewhere:
// the owner asks from another network and browser than the agent.
//
//	InvalidRequest: it leaves no receipt that verifies
//	Forbidden: it is another's, wider, too late, or claims more presence than was seen
//	InvalidScope: it leaves no scope
//	TooLittlePresence: it needs more of a person, or came with a session alone
func (s *Statements) Delegate(ctx context.Context, owner authz.Owner, o Offer, elsewhere bool, a *Answer) (Delegated, error) {
	var d Delegated
	var err error
	seen := authz.PresencePassword // the owner's tool's word
	switch {
	case owner.Signed():
		d.Receipt = receipt.Receipt{Kind: receipt.PurposeDelegation, BAPID: owner.BAPID, Path: owner.Request.Path, Body: string(owner.Request.Body), Token: owner.Request.Token}.Encode()
	case a == nil:
		return d, s.tooLittle()
	default:
		if d.Passkey, err = s.passkeys.Confirmed(ctx, owner, a.Statement, a.Assertion); err != nil {
			return d, err
		}
		if seen = authz.PresencePerson; elsewhere {
			seen = authz.PresenceOtherDevice
		}
		d.Receipt = receipt.Receipt{Kind: receipt.PurposeDelegation, BAPID: owner.BAPID, Path: a.Path, Body: string(a.Body), Assertion: a.Assertion, Vouch: vouchOf(d.Passkey)}.Encode()
	}
	v, err := receipt.Verify([]byte(d.Receipt))
	if err != nil && !errors.Is(err, receipt.ErrUnvouched) { // the passkey's key is known here all the same
		return d, unverified(err)
	}
	d.Statement, d.Presence = v.Delegation, authz.Presence(v.Delegation.Presence)
	if err := s.fits(o, d.Statement); err != nil {
		return d, err
	}
	return d, s.enough(d.Presence, seen)
}

// Grant is a grant as an owner delegated it: what was signed is what is granted.
func (d Delegated) Grant(g authz.Grant, asked authz.Asked) authz.Grant {
	says := d.Statement
	g.ACR, g.Presence, g.Scope, g.Resources, g.ExpiresAt = authz.ACRSignature, d.Presence, says.Scope, says.Resource, time.Unix(says.NotAfter, 0)
	if d.Passkey.ID != "" { // who was there now
		g.Passkey, g.AuthTime = d.Passkey.ID, g.CreatedAt
	}
	g.Delegated = authz.Delegated{
		Kind: authz.OfAgent, Agent: asked.Agent, Line: g.ID, Details: string(says.Details), Depth: says.Depth, Delegation: receipt.Hash(d.Receipt),
	}
	if asked.OnTop() {
		g.Delegated.Kind, g.Delegated.Parent, g.Delegated.Line = authz.OnTop, asked.Parent, asked.Line
	}
	return g
}

// fits verifies that a statement is the one of an offer, or narrower.
//
//	Forbidden
//	InvalidScope: it leaves no scope
func (s *Statements) fits(o Offer, given receipt.Delegation) error {
	if err := s.timely(given.IssuedAt, given.ExpiresAt); err != nil {
		return err
	}
	if err := given.NarrowerThan(s.widest(o, given.IssuedAt, given.ExpiresAt)); err != nil {
		return authz.RefuseBecause(authz.Forbidden, "the signed statement is wider than what the agent asked for, or is not about its request: narrow the one that this server gave, and sign that", err)
	}
	if given.Scope == "" {
		return authz.Refuse(authz.InvalidScope, "the signed statement leaves no scope: leave one, or deny")
	}
	if given.NotAfter <= s.now().Unix() {
		return authz.Refuse(authz.Forbidden, "the signed statement delegates nothing: its not_after has passed")
	}
	return nil
}

// vouchOf is the request that added a passkey; nil where it was not kept.
func vouchOf(p authz.Passkey) *receipt.Vouch {
	if p.Vouch.Token == "" {
		return nil
	}
	return &receipt.Vouch{Path: p.Vouch.Path, Body: p.Vouch.Body, Token: p.Vouch.Token}
}
