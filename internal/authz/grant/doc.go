// Package grant is what was allowed and lives: grants are listed, revoked and reported, their
// tokens refreshed (RFC 6749 §6), revoked (RFC 7009) and used, their receipts given out.
//
// How a grant comes to be is the rule of what makes it: package approval, and device for the
// first tokens.
//
// Start reading at Grants in grant.go, then refresh.go.
package grant
