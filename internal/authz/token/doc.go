// Package token has the server's signing keys and the JWTs that they sign: access tokens
// (RFC 9068), ID tokens (OpenID Connect Core §2), the JWK set.
//
// It knows no rows of grants: whether what a token says still holds is package grant's.
//
// Start reading at Signer.Issue in token.go; keys are in key.go.
package token
