// Package bap holds Bitcoin identities: keys, BAP ids, the identities of a
// Type-42 master, and the encrypted .bep backups in which people keep them.
//
// Everything here is about one person's keys, on one machine, offline. Signing a
// request is package bitcoinauth's; the approval statement and its receipt are
// package receipt's.
//
// The values that hold private keys print as [redacted].
package bap
