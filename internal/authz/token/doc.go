// Package token has the server's signing keys and the JWTs that they sign: access tokens
// (RFC 9068), ID tokens (OpenID Connect Core §2), the JWK set.
//
// It knows no rows of grants: whether what a token says still holds is package grant's.
//
// Start reading at Signer.Issue in token.go; how a key is made and sealed is in key.go, when
// it signs in life.go, how a server keeps up with that in follow.go.
package token
