package receipt

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	"countersign.dev/details"
)

// The checks of a link of a chain that a receipt by itself does not go through. A link goes
// through format, signature, statement, identity and time first; statement takes in code.
const (
	CheckLink     Check = "link"     // it hangs on the one above, and is what its place needs
	CheckNarrower Check = "narrower" // it passes on nothing that the one above does not have
	CheckDepth    Check = "depth"    // there is a generation left for it
	CheckAlive    Check = "alive"    // it has begun, and is not over
)

const (
	kindChain = "delegation-chain"
	maxChain  = 1 << 20
	maxLinks  = 16
)

// Chain is a delegation from its owner to an agent, however many agents it went through.
type Chain struct {
	// Links are what was signed, the owner's first.
	Links []*Verified
}

// Owner is the identity that delegated.
func (c *Chain) Owner() string { return c.Links[0].Delegation.BAPID }

// Last is the last link: what its agent was given in the end.
func (c *Chain) Last() Delegation { return c.Links[len(c.Links)-1].Delegation }

// Presence is how present the owner was.
func (c *Chain) Presence() string { return c.Links[0].Delegation.Presence }

// ChainError says which link of a chain is not good, from 1 on, and why. Link is 0 where the
// text is no chain.
type ChainError struct {
	Link  int
	Check Check
	Err   error
}

// Error names the link and the check, and says what it found.
func (e *ChainError) Error() string {
	if e.Link == 0 {
		return fmt.Sprintf("check %q failed: %v", e.Check, e.Err)
	}
	return fmt.Sprintf("link %d, check %q failed: %v", e.Link, e.Check, e.Err)
}

// Unwrap returns what it found.
func (e *ChainError) Unwrap() error { return e.Err }

// chainFile is a chain as it is written.
type chainFile struct {
	Version int      `json:"v"`
	Kind    string   `json:"kind"`
	Links   []string `json:"links"`
}

// EncodeChain writes a chain of receipts, the owner's first, in its one encoding: one line of
// JSON and a newline.
func EncodeChain(links []string) string {
	return encode(chainFile{DelegationVersion, kindChain, links}) + "\n"
}

// ErrNoChain says that a text is no chain in its one encoding, of 1 to 16 receipts.
var ErrNoChain = errors.New("not a chain as it is written: it was changed, or saved by a program that reformats")

// ParseChain reads the receipts of a chain. The text must be exactly what EncodeChain writes;
// the receipts are not read.
//
//	ErrNoChain
func ParseChain(text []byte) ([]string, error) {
	var f chainFile
	if len(text) > maxChain || decodeStrictly(text, &f) != nil || EncodeChain(f.Links) != string(text) ||
		len(f.Links) == 0 || len(f.Links) > maxLinks {
		return nil, ErrNoChain
	}
	return f.Links, nil
}

// VerifyChain checks a chain with nothing but the chain and a time: that each link was signed
// by whom the one above names, passes on no more, and is not over at that time. It cannot
// tell whether any of it was revoked, which its server knows, nor whether who presents it is
// the agent that the last link names, which a proof of that agent's key shows.
//
//	*ChainError: the first check of the first link that failed
func VerifyChain(text []byte, at time.Time) (*Chain, error) {
	receipts, err := ParseChain(text)
	if err != nil {
		return nil, &ChainError{0, CheckFormat, err}
	}
	c := &Chain{}
	for i, receipt := range receipts {
		l := link{}
		if i > 0 {
			l.above, l.parent = &c.Links[i-1].Delegation, Hash(receipts[i-1])
		}
		if failed := l.verify([]byte(receipt), at); failed != nil {
			return nil, &ChainError{i + 1, failed.Check, failed.Err}
		}
		c.Links = append(c.Links, &l.v)
	}
	return c, nil
}

// link is a receipt in its place.
type link struct {
	reading
	above  *Delegation // none of the owner's
	parent string      // the hash of the receipt above
}

func (l *link) verify(text []byte, at time.Time) *CheckError {
	for _, step := range []step{
		{CheckFormat, func() error { return l.format(text) }},
		{CheckSignature, l.signature},
		{CheckStatement, func() error { return cmp.Or(l.statement(), l.code()) }},
		{CheckIdentity, l.identity},
		{CheckTime, l.time},
		{CheckLink, l.place},
		{CheckNarrower, l.narrower},
		{CheckDepth, l.depth},
		{CheckAlive, func() error { return l.alive(at) }},
	} {
		if err := step.run(); err != nil && !errors.Is(err, errNothingToCheck) {
			return &CheckError{step.check, err}
		}
		l.v.Passed = append(l.v.Passed, step.check)
	}
	return nil
}

// identity: the owner's link is signed like any receipt, each other by the key of the agent
// above, which its statement has bound to its id.
func (l *link) identity() error {
	switch {
	case l.above == nil:
		return l.reading.identity()
	case l.above.Agent.PublicKey == "":
		return errors.New("the agent above has no key that signs delegations")
	case l.v.PublicKey != l.above.Agent.PublicKey:
		return errors.New("it is not signed by the key that the link above names")
	case l.BAPID != l.above.Agent.ID || l.v.Delegation.BAPID != l.above.Agent.ID:
		return errors.New("it names another as who delegates than the link above")
	}
	return nil
}

// place: an owner's delegation comes first, and then sub-delegations, each of the one above.
func (l *link) place() error {
	purpose := PurposeDelegation
	if l.above != nil {
		purpose = PurposeSubdelegation
	}
	d := l.v.Delegation
	switch {
	case l.Kind != purpose || d.Purpose != purpose || l.Path != kinds[purpose].path:
		return errors.New("it is not what its place needs: the owner's approval comes first, and then sub-delegations")
	case l.above == nil:
		return nil
	case d.Parent != l.parent:
		return errors.New("it hangs on another receipt than the one above")
	case d.Issuer != l.above.Issuer || d.ClientID != l.above.ClientID:
		return errors.New("it is of another server or client than the one above")
	case d.IssuedAt < l.above.IssuedAt:
		return errors.New("it is older than the one above")
	}
	return nil
}

func (l *link) narrower() error {
	if l.above == nil {
		return nil
	}
	if !among(l.v.Delegation.Scope, l.above.Scope) {
		return errors.New("scope has more than the one above")
	}
	return l.v.Delegation.within(*l.above, details.NarrowerForSubAgent)
}

func (l *link) depth() error {
	if l.above != nil && l.v.Delegation.Depth >= l.above.Depth {
		return errors.New("the one above has no generation left for it")
	}
	return nil
}

func (l *link) alive(at time.Time) error {
	switch {
	case at.Before(time.Unix(l.v.Delegation.IssuedAt, 0).Add(-clockSkew)):
		return errors.New("it has not begun")
	case !at.Before(time.Unix(l.v.Delegation.NotAfter, 0)):
		return errors.New("it is over")
	}
	return nil
}
