// Package passkey is WebAuthn: passkeys are added by a member key's signature, sign in as the
// identity that added them, and are taken out.
//
// A session that a passkey begins is one of package account.
//
// Start reading at Passkeys.SignIn in signin.go; what both ceremonies share is in ceremony.go.
package passkey
