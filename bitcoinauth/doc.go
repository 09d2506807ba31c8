// Package bitcoinauth makes and verifies bitcoin-auth tokens: the X-Auth-Token
// header with which the holder of a secp256k1 key signs one HTTP request.
//
// A token is pubkey|scheme|timestamp|requestPath|signature. What is signed is
// requestPath|timestamp|bodyHash, by BRC-77 for anyone or as a Bitcoin Signed
// Message. Verify holds tokens to a strict profile, because the token names a
// key that a careless verifier never compares with the one that signed, and
// because a token's text can be re-encoded while its signature stays good:
// whoever accepts tokens once must remember Verified.ReplayKey, not the text.
//
// Here belongs the token alone. Remembering used tokens, and what a key may do,
// is the caller's; identities and their keys are package bap's.
package bitcoinauth
