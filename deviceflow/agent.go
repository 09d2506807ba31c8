package deviceflow

import (
	"encoding/json"
	"net/url"
	"strconv"
	"time"

	"golang.org/x/oauth2"

	"countersign.dev/details"
	"countersign.dev/dpop"
)

// Agent is what a program says that asks as an agent: it acts for its owner with a key of its
// own, Config.Key, and by its name. Its tokens are of use to that key alone, and are renewed
// until what was allowed is over; there is no ID token. The zero Agent is no agent.
type Agent struct {
	// Name is what its owner reads, and nothing that anybody has checked.
	Name string
	// Reason is what it wants to do, in its own words.
	Reason string
	// Details are what it wants to be allowed besides the scopes (RFC 9396).
	Details details.List
	// Lifetime is for how long it asks; zero is for the server to say, which also cuts it.
	Lifetime time.Duration
	// Depth is how many generations of sub-agents it wants to make.
	Depth int
}

// WithAgent has the program ask as an agent of this name, which has this key: dpop.NewKey
// makes one, dpop.Secp256k1Key takes a member key. Keep it as Config.Key is kept.
func (c *Config) WithAgent(name string, key *dpop.Key) *Config {
	c.Agent.Name, c.Key = name, key
	return c
}

// WithAuthorizationDetails has the agent ask for these besides the scopes (RFC 9396).
func (c *Config) WithAuthorizationDetails(list details.List) *Config {
	c.Agent.Details = list
	return c
}

// addTo adds to a form what an agent asks.
func (a Agent) addTo(form url.Values) {
	if a.Name == "" {
		return
	}
	form.Set("agent_name", a.Name)
	if a.Reason != "" {
		form.Set("agent_reason", a.Reason)
	}
	if len(a.Details) > 0 {
		form.Set("authorization_details", a.Details.Encode())
	}
	if a.Lifetime > 0 {
		form.Set("lifetime", strconv.FormatInt(int64(a.Lifetime/time.Second), 10))
	}
	if a.Depth > 0 {
		form.Set("depth", strconv.Itoa(a.Depth))
	}
}

// AgentOf is whom an agent's token names, and what it may besides the scope; an empty id is of
// a token that is no agent's. An owner may have narrowed what was asked.
//
//	*details.Error: the server gave details that this package does not know
func AgentOf(t *oauth2.Token) (id string, may details.List, err error) {
	id, _ = t.Extra("agent_id").(string)
	given := t.Extra("authorization_details")
	if given == nil {
		return id, nil, nil
	}
	text, err := json.Marshal(given)
	if err != nil {
		return id, nil, err
	}
	may, err = details.Parse(text)
	return id, may, err
}
