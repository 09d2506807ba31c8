// Package secret draws, derives and seals: ids, codes and tokens, the keys that come of the
// operator's secret, refresh tokens that name their grant, and what a browser keeps for the
// server without being able to read it (visits, ceremonies, cursors of lists).
//
// What any of it is good for is decided by the rooms that hand it out. Nothing here has a
// database or a clock: a page of a list is read by a function that its caller gives.
//
// Start reading at Secrets in secret.go.
package secret
