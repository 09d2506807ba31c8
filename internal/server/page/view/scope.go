package view

import "countersign.dev/internal/authz/scopes"

// Scope is a scope in words: messages of the catalogue.
type Scope struct {
	Scope         string
	Message       string
	Short         string
	Weight        string
	WeightMessage string
	// Optional scopes can be unticked. All are ticked: what does more than read only
	// clients may ask for that the operator has looked at.
	Optional bool
}

// Scopes are the scopes of a space-separated list, in words.
func Scopes(scope string) []Scope {
	var views []Scope
	for _, t := range scopes.Describe(scope) {
		v := Scope{
			Scope: t.Scope, Message: "scope." + t.Scope + ".text", Short: "scope." + t.Scope + ".short",
			Weight: t.Weight, WeightMessage: "weight." + t.Weight, Optional: t.Optional,
		}
		if t.Named {
			v.Message, v.Short = "scope.named.text", "scope.named.short"
		}
		views = append(views, v)
	}
	return views
}
