package scopes

import (
	"cmp"
	"slices"
	"strings"

	"countersign.dev/internal/authz"
)

// Text says what a scope allows, in words for an owner.
type Text struct {
	Scope string
	Text  string
	// Weight is one word: reads, acts or spends.
	Weight string
	// Optional scopes may be taken out by the owner.
	Optional bool
	// Named: this server knows no more of the scope than its name.
	Named bool
}

// How much a scope lets a client do.
const (
	WeightReads  = "reads"
	WeightActs   = "acts"
	WeightSpends = "spends"
)

// texts are the scopes this server knows, in the order they are shown.
var texts = []Text{
	{Scope: "openid", Text: "Know that it is you: your account's number on this server", Weight: WeightReads},
	{Scope: "profile", Text: "See your identity: name, picture, BAP id and public key", Weight: WeightReads, Optional: true},
	{Scope: "email", Text: "See your e-mail address, if this server knows it", Weight: WeightReads, Optional: true},
	{Scope: "offline_access", Text: "Stay signed in: renew its access by itself until you take it back", Weight: WeightActs, Optional: true},
	{Scope: Grants, Text: "See what you have allowed on this server, with the receipts, and take it back", Weight: WeightActs, Optional: true},
}

// notByDevice are scopes too sensitive for a grant that a person approves from
// afar (requirement K-04). None is yet.
var notByDevice = map[string]bool{}

const (
	// Basic is what a client may ask for that is registered without a scope,
	// and all that an unregistered one gets.
	Basic = "openid profile email"
	// defaultScope is what a client gets that asks for nothing and has no
	// registered scope.
	defaultScope = "openid profile"
	// OfflineAccess is for a refresh token (OpenID Connect Core §11).
	OfflineAccess = "offline_access"
	// Grants is for what shows its owner their own grants, and takes them back.
	Grants = "grants"
	// maxScope bounds a scope parameter in bytes.
	maxScope = 1024
)

// Supported are the scopes this server knows.
func Supported() []string {
	names := make([]string, len(texts))
	for i, s := range texts {
		names[i] = s.Scope
	}
	return names
}

// Describe says in words what a scope value allows: first the scopes this
// server knows, in its order, then those that only the client's resource server
// knows, by their names.
func Describe(scope string) []Text {
	var described []Text
	for _, t := range texts {
		if Has(scope, t.Scope) {
			described = append(described, t)
		}
	}
	for _, name := range strings.Fields(scope) {
		if t := describe(name); t.Named {
			described = append(described, t)
		}
	}
	return described
}

// describe says in words what one scope allows. What is not known is taken to act.
func describe(scope string) Text {
	i := slices.IndexFunc(texts, func(t Text) bool { return t.Scope == scope })
	if i >= 0 {
		return texts[i]
	}
	return Text{Scope: scope, Text: "Use “" + scope + "”, of which only the client's own server knows what it allows", Weight: WeightActs, Optional: true, Named: true}
}

// Has reports whether a space-separated scope value holds a scope.
func Has(scope, wanted string) bool {
	for s := range strings.SplitSeq(scope, " ") {
		if s == wanted {
			return true
		}
	}
	return false
}

// Registered is what the client may ask for.
func Registered(c authz.Client) string {
	switch {
	case !c.Registered:
		return Basic
	case c.Scope != "":
		return c.Scope
	case c.Allows(authz.GrantRefresh):
		return Basic + " " + OfflineAccess
	default:
		return Basic
	}
}

// MayHave is what of a scope the client, or its agent, may have as it is registered now: each
// grant is held to it wherever it is used (attack B-13).
func MayHave(c authz.Client, scope string, agent bool) string {
	return Both(scope, open(Registered(c), agent))
}

// Requested decides what a device request asks for (RFC 6749 §3.3, requirement
// D-09, and section 6 of the contract): nothing asked means the registered scope; a
// registered client that asks for what it may not have is refused; an
// unregistered one is narrowed. Whatever order they were asked in, they are in the one
// in which an owner reads them, and signs them. What goes to agents alone is refused to others
// by name (requirement K-15).
//
//	InvalidScope
func Requested(c authz.Client, asked string) (string, error) {
	if slices.ContainsFunc(strings.Fields(asked), ForAgents) {
		return "", errForAgents
	}
	return requested(c, asked, open(Registered(c), false))
}

// RequestedByAgent is Requested for an agent's first sign-in, whose grant has nothing of what
// is always asked for.
//
//	InvalidScope
func RequestedByAgent(c authz.Client, asked string, always []string) (string, error) {
	for _, scope := range strings.Fields(asked) {
		if slices.Contains(always, scope) {
			return "", authz.Refuse(authz.InvalidScope, "a scope was asked for that this server gives for one access token at a time: sign in without it, and ask for it with the agent's token when it is needed")
		}
	}
	return requested(c, asked, Without(open(Registered(c), true), strings.Join(always, " ")))
}

func requested(c authz.Client, asked, allowed string) (string, error) {
	if len(asked) > maxScope {
		return "", authz.Refuse(authz.InvalidScope, "scope is too long")
	}
	wanted := strings.Fields(asked)
	switch {
	case len(wanted) > 0:
	case c.Registered && c.Scope != "":
		wanted = strings.Fields(allowed)
	default:
		return defaultScope, nil
	}
	var granted []string
	for _, scope := range wanted {
		ok := Has(allowed, scope)
		if !ok && c.Registered {
			return "", authz.Refuse(authz.InvalidScope, "a scope was asked for that this client may not have; it may ask for: "+allowed)
		}
		if ok && !slices.Contains(granted, scope) {
			granted = append(granted, scope)
		}
	}
	if len(granted) == 0 {
		return "", authz.Refuse(authz.InvalidScope, "none of the scopes asked for is open to this client; it may ask for: "+allowed)
	}
	for i, shown := range Describe(strings.Join(granted, " ")) {
		granted[i] = shown.Scope
	}
	return strings.Join(granted, " "), nil
}

// ForItself is what a client may have without a person (RFC 6749 §4.4): of what it is
// registered for, all that this server does not know itself, for what it knows is about
// people.
func ForItself(c authz.Client) string {
	return strings.Join(slices.DeleteFunc(strings.Fields(open(c.Scope, false)), func(s string) bool { return !describe(s).Named }), " ")
}

// RequestedForItself decides what a client gets that asks for a token of its own: nothing
// asked means all that it may have.
//
//	InvalidScope
func RequestedForItself(c authz.Client, asked string) (string, error) {
	if slices.ContainsFunc(strings.Fields(asked), ForAgents) {
		return "", errForAgents
	}
	allowed := ForItself(c)
	if strings.TrimSpace(asked) == "" {
		return allowed, nil
	}
	if len(asked) > maxScope {
		return "", authz.Refuse(authz.InvalidScope, "scope is too long")
	}
	granted, err := Subset(allowed, asked)
	if err != nil {
		return "", authz.Refuse(authz.InvalidScope, "a scope was asked for that this client may not have for itself, without a person; it may ask for: "+cmp.Or(allowed, "none, until its operator registers some"))
	}
	return granted, nil
}

// ByExchange is what of a scope a client may have for a token that others gave it (RFC 8693): of
// what it is registered for neither what acts for the owner here nor what renews itself, nor
// what goes to agents alone.
func ByExchange(c authz.Client, scope string) string {
	return strings.Join(slices.DeleteFunc(strings.Fields(MayHave(c, scope, false)), func(s string) bool { return s == Grants || s == OfflineAccess }), " ")
}

// open takes out what no grant has, or none but an agent's.
func open(scope string, agent bool) string {
	return strings.Join(slices.DeleteFunc(strings.Fields(scope), func(s string) bool { return notByDevice[s] || !agent && ForAgents(s) }), " ")
}

// ForAgents reports whether a scope goes to agents alone, whose owners are asked for more than
// a session (requirement K-15).
func ForAgents(scope string) bool {
	return scope == authz.ScopeSpend || scope == authz.ScopeDelegate || strings.HasPrefix(scope, "keys:") || strings.HasPrefix(scope, "export:")
}

var errForAgents = authz.Refuse(authz.InvalidScope, "spend, delegate, keys:* and export:* go to agents alone: ask with agent_name, and prove the agent's key")

// Narrowed decides what an owner's choice leaves of a requested scope, in the
// order requested. No choice leaves everything; scopes that are not optional
// stay.
//
//	InvalidScope: the choice holds something that was not requested
func Narrowed(requested, chosen string) (string, error) {
	if strings.TrimSpace(chosen) == "" {
		return requested, nil
	}
	return Chosen(requested, chosen)
}

// Chosen is Narrowed for a form on which every optional scope has a box:
// there no choice is a choice.
//
//	InvalidScope: as Narrowed, or nothing is left
func Chosen(requested, chosen string) (string, error) {
	if strings.TrimSpace(chosen) == "" {
		chosen = requiredScope(requested)
	}
	if strings.TrimSpace(chosen) == "" {
		return "", authz.Refuse(authz.InvalidScope, "nothing is left of what was asked for: choose something, or deny")
	}
	if _, err := Subset(requested, chosen); err != nil {
		return "", authz.Refuse(authz.InvalidScope, "more was chosen than the device asked for")
	}
	var kept []string
	for _, scope := range strings.Fields(requested) {
		if !describe(scope).Optional || Has(chosen, scope) {
			kept = append(kept, scope)
		}
	}
	return strings.Join(kept, " "), nil
}

// requiredScope is what of a scope the owner cannot take out.
func requiredScope(requested string) string {
	var kept []string
	for _, scope := range strings.Fields(requested) {
		if !describe(scope).Optional {
			kept = append(kept, scope)
		}
	}
	return strings.Join(kept, " ")
}

// Without is what of a scope is not in another.
func Without(a, b string) string {
	return strings.Join(slices.DeleteFunc(strings.Fields(a), func(s string) bool { return Has(b, s) }), " ")
}

// Both is what two scopes have in common, in the order of the first.
func Both(a, b string) string {
	return strings.Join(slices.DeleteFunc(strings.Fields(a), func(s string) bool { return !Has(b, s) }), " ")
}

// Subset returns what was asked, in the order granted.
//
//	InvalidScope: more was asked for than granted, or nothing
func Subset(granted, asked string) (string, error) {
	wanted := strings.Fields(asked)
	for _, scope := range wanted {
		if !Has(granted, scope) {
			return "", authz.Refuse(authz.InvalidScope, "more was asked for than there is")
		}
	}
	var kept []string
	for _, scope := range strings.Fields(granted) {
		if slices.Contains(wanted, scope) {
			kept = append(kept, scope)
		}
	}
	if len(kept) == 0 {
		return "", authz.Refuse(authz.InvalidScope, "no scope is left")
	}
	return strings.Join(kept, " "), nil
}
