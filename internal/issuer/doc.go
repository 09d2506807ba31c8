// Package issuer is one running authorization server without HTTP: it makes the rooms of
// internal/authz of what it is given (a store, a secret, a clock), owns what runs behind the
// requests, and stops it.
//
// No rule belongs here.
//
// Start reading at New.
package issuer
