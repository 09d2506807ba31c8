package authz

import (
	"slices"
	"strings"
)

// ScopeText says what a scope allows, in words for an owner.
type ScopeText struct {
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

// scopeTexts are the scopes this server knows, in the order they are shown.
var scopeTexts = []ScopeText{
	{Scope: "openid", Text: "Know that it is you: your account's number on this server", Weight: WeightReads},
	{Scope: "profile", Text: "See your identity: name, picture, BAP id and public key", Weight: WeightReads, Optional: true},
	{Scope: "email", Text: "See your e-mail address, if this server knows it", Weight: WeightReads, Optional: true},
	{Scope: "offline_access", Text: "Stay signed in: renew its access by itself until you take it back", Weight: WeightActs, Optional: true},
	{Scope: GrantsScope, Text: "See what you have allowed on this server, with the receipts, and take it back", Weight: WeightActs, Optional: true},
}

// notByDevice are scopes too sensitive for a grant that a person approves from
// afar (requirement K-04). None is yet.
var notByDevice = map[string]bool{}

const (
	// BasicScope is what a client may ask for that is registered without a scope,
	// and all that an unregistered one gets.
	BasicScope = "openid profile email"
	// defaultScope is what a client gets that asks for nothing and has no
	// registered scope.
	defaultScope  = "openid profile"
	OfflineAccess = "offline_access"
	// GrantsScope is for what shows its owner their own grants, and takes them back.
	GrantsScope = "grants"
	// maxScope bounds a scope parameter in bytes.
	maxScope = 1024
)

// ScopesSupported are the scopes this server knows.
func ScopesSupported() []string {
	names := make([]string, len(scopeTexts))
	for i, s := range scopeTexts {
		names[i] = s.Scope
	}
	return names
}

// DescribeScopes says in words what a scope value allows: first the scopes this
// server knows, in its order, then those that only the client's resource server
// knows, by their names.
func DescribeScopes(scope string) []ScopeText {
	var texts []ScopeText
	for _, t := range scopeTexts {
		if HasScope(scope, t.Scope) {
			texts = append(texts, t)
		}
	}
	for _, name := range strings.Fields(scope) {
		if t := describe(name); t.Named {
			texts = append(texts, t)
		}
	}
	return texts
}

// describe says in words what one scope allows. What is not known is taken to act.
func describe(scope string) ScopeText {
	i := slices.IndexFunc(scopeTexts, func(t ScopeText) bool { return t.Scope == scope })
	if i >= 0 {
		return scopeTexts[i]
	}
	return ScopeText{Scope: scope, Text: "Use “" + scope + "”, of which only the client's own server knows what it allows", Weight: WeightActs, Optional: true, Named: true}
}

// HasScope reports whether a space-separated scope value holds a scope.
func HasScope(scope, wanted string) bool {
	for s := range strings.SplitSeq(scope, " ") {
		if s == wanted {
			return true
		}
	}
	return false
}

// allowedScope is what the client may ask for.
func (c Client) allowedScope() string {
	switch {
	case !c.Registered:
		return BasicScope
	case c.Scope != "":
		return c.Scope
	case c.Allows(GrantRefresh):
		return BasicScope + " " + OfflineAccess
	default:
		return BasicScope
	}
}

// MayHave is what of a scope the client may have as it is registered now.
func (c Client) MayHave(scope string) string {
	allowed := withoutBarred(c.allowedScope())
	return strings.Join(slices.DeleteFunc(strings.Fields(scope), func(s string) bool { return !HasScope(allowed, s) }), " ")
}

// RequestedScope decides what a device request asks for (RFC 6749 §3.3, requirement
// D-09, and section 6 of the contract): nothing asked means the registered scope; a
// registered client that asks for what it may not have is refused; an
// unregistered one is narrowed.
//
//	InvalidScope
func RequestedScope(c Client, asked string) (string, error) {
	if len(asked) > maxScope {
		return "", Refuse(InvalidScope, "scope is too long")
	}
	wanted := strings.Fields(asked)
	allowed := withoutBarred(c.allowedScope())
	switch {
	case len(wanted) > 0:
	case c.Registered && c.Scope != "":
		wanted = strings.Fields(allowed)
	default:
		return defaultScope, nil
	}
	var granted []string
	for _, scope := range wanted {
		ok := HasScope(allowed, scope)
		if !ok && c.Registered {
			return "", Refuse(InvalidScope, "a scope was asked for that this client may not have; it may ask for: "+allowed)
		}
		if ok && !slices.Contains(granted, scope) {
			granted = append(granted, scope)
		}
	}
	if len(granted) == 0 {
		return "", Refuse(InvalidScope, "none of the scopes asked for is open to this client; it may ask for: "+allowed)
	}
	return strings.Join(granted, " "), nil
}

// withoutBarred takes out what the device grant never gives.
func withoutBarred(scope string) string {
	return strings.Join(slices.DeleteFunc(strings.Fields(scope), func(s string) bool { return notByDevice[s] }), " ")
}

// NarrowScope decides what an owner's choice leaves of a requested scope, in the
// order requested. No choice leaves everything; scopes that are not optional
// stay.
//
//	InvalidScope: the choice holds something that was not requested
func NarrowScope(requested, chosen string) (string, error) {
	if strings.TrimSpace(chosen) == "" {
		return requested, nil
	}
	return ChosenScope(requested, chosen)
}

// ChosenScope is NarrowScope for a form on which every optional scope has a box:
// there no choice is a choice.
//
//	InvalidScope: as NarrowScope, or nothing is left
func ChosenScope(requested, chosen string) (string, error) {
	if strings.TrimSpace(chosen) == "" {
		chosen = requiredScope(requested)
	}
	if strings.TrimSpace(chosen) == "" {
		return "", Refuse(InvalidScope, "nothing is left of what was asked for: choose something, or deny")
	}
	if _, err := SubsetScope(requested, chosen); err != nil {
		return "", Refuse(InvalidScope, "more was chosen than the device asked for")
	}
	var kept []string
	for _, scope := range strings.Fields(requested) {
		if !describe(scope).Optional || HasScope(chosen, scope) {
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

// SubsetScope returns what was asked, in the order granted.
//
//	InvalidScope: more was asked for than granted, or nothing
func SubsetScope(granted, asked string) (string, error) {
	wanted := strings.Fields(asked)
	for _, scope := range wanted {
		if !HasScope(granted, scope) {
			return "", Refuse(InvalidScope, "more was asked for than there is")
		}
	}
	var kept []string
	for _, scope := range strings.Fields(granted) {
		if slices.Contains(wanted, scope) {
			kept = append(kept, scope)
		}
	}
	if len(kept) == 0 {
		return "", Refuse(InvalidScope, "no scope is left")
	}
	return strings.Join(kept, " "), nil
}
