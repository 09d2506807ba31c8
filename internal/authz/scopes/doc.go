// Package scopes is what scopes mean: what this server knows of each, which ones a client may
// ask for (RFC 6749 §3.3), and what an owner's choice leaves of them.
//
// It is pure. Who has been granted a scope, and whether that still holds, is package grant's.
//
// Start reading at Requested.
package scopes
