// Package grant is what was allowed, alive or over: grants are listed, revoked and reported, their
// tokens refreshed (RFC 6749 §6), revoked (RFC 7009), used and told of (RFC 7662), their receipts
// given out. What a client gets without anybody's grant (RFC 6749 §4.4) is here too, and what an API gets
// for a token that it was sent (RFC 8693).
//
// Package approval makes grants, and package device gives their first tokens.
//
// Start reading at Grants in grant.go, then refresh.go; whether a presented token may be used
// is in use.go.
package grant
