package authz

// What one account may keep, and how often networks may do what costs a row or
// work. docs/security/bounds.md has every table's bound; docs/operations.md tells
// operators of these.
const (
	// refreshesPerMinute is how often one grant's tokens are refreshed: they live an
	// hour, and processes that share a grant refresh at once, but not every second.
	refreshesPerMinute = 60
)
