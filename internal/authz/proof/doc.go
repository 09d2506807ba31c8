// Package proof verifies that a key signed this very request, once: X-Auth-Token under the
// strict profile (requirements N-01 to N-06), and DPoP (RFC 9449). By either of them what a
// request presents is bound to the key of who presents it. What comes to prove a request in another
// way, as private_key_jwt, belongs here too.
//
// That a key is somebody's here is asked only where a network has tried too often; whose it
// is, and what it may do, is not.
//
// Start reading at Verifier.Verify, or at Verifier.Possession in possession.go.
package proof
