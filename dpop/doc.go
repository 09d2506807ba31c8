// Package dpop makes and verifies DPoP proofs (RFC 9449): the header with which whoever
// sends a request shows that they have the key that its token, or its code, is bound to.
//
//	key, err := dpop.NewKey()
//	proof, err := key.Sign(dpop.Signing{Method: "GET", URL: address, AccessToken: token, Time: time.Now()})
//
// A proof is a JWT that brings its own key, so a verifier that believes what it says is told
// anything: Parse takes one encoding of one shape, with a public key of an algorithm that
// Algorithms names, and says nothing of whose key that is. Thumbprint (RFC 7638) is
// what to compare.
//
// Here belongs the proof alone. That it counts once, what a nonce means, and what its key
// may do is the caller's: remember Proof.ReplayKey, not the text. It depends on the standard
// library, and for secp256k1 (ES256K) on the library that the member keys of package bap are of.
//
// Start reading at Key.Sign in key.go and Parse in proof.go.
package dpop
