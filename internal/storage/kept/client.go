package kept

import (
	"encoding/json"

	"countersign.dev/internal/authz"
)

// client has the members of authz.Client, or the conversions below do not compile. A
// member may be renamed; what its tag says is in databases and stays. What came after
// the first ones is left out where it is empty, as it is of clients from before.
type client struct {
	ID                     string     `json:"ID"`
	Name                   string     `json:"Name"`
	Secret                 authz.Hash `json:"Secret"` // as an array of numbers
	ChosenSecret           string     `json:"ChosenSecret,omitempty"`
	Keys                   string     `json:"Keys,omitempty"`
	RedirectURIs           []string   `json:"RedirectURIs"`
	PostLogoutRedirectURIs []string   `json:"PostLogoutRedirectURIs,omitempty"`
	ApplicationType        string     `json:"ApplicationType,omitempty"`
	GrantTypes             []string   `json:"GrantTypes"`
	Scope                  string     `json:"Scope"`
	AuthMethod             string     `json:"AuthMethod"`
	MemberKey              string     `json:"MemberKey"`
	OwnerBAPID             string     `json:"OwnerBAPID"`
	IDTokenAlg             string     `json:"IDTokenAlg"`
	Approval               string     `json:"Approval"`
	DPoPBound              bool       `json:"DPoPBound,omitempty"`
	Resources              []string   `json:"Resources,omitempty"`
	ExchangeFor            []string   `json:"ExchangeFor,omitempty"`
	ExchangeActors         []string   `json:"ExchangeActors,omitempty"`
	Agents                 bool       `json:"Agents,omitempty"`
	MayCharge              bool       `json:"MayCharge,omitempty"`
	Registered             bool       `json:"Registered"`
	Proved                 bool       `json:"-"` // of a request, not of the client; false was written once
}

// Client is how a client is kept.
func Client(c authz.Client) string { return document(client(c)) }

// ClientOf is the client that is kept as a text.
func ClientOf(kept string) (authz.Client, error) {
	var c client
	err := json.Unmarshal([]byte(kept), &c)
	return authz.Client(c), err
}
