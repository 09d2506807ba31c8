// Package account is who says yes: owners, their identities, how they sign in with a key and
// for how long, the backups that they keep here, and what they are told of.
//
// Passkeys are in package passkey, which begins sessions with Accounts.Begin. What owners allowed is
// package grant's, and how they allow it package approval's.
//
// Start reading at Accounts.SignIn in signin.go, then owner.go.
package account
