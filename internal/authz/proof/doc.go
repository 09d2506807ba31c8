// Package proof verifies that a key signed this very request, once: X-Auth-Token under the
// strict profile (requirements N-01 to N-06). What comes to prove a request in another way,
// as DPoP or private_key_jwt, belongs here too.
//
// That a key is somebody's here is asked only where a network has tried too often; whose it
// is, and what it may do, is not.
//
// Start reading at Verifier.Verify.
package proof
