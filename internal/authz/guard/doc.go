// Package guard bounds how often anybody may do what costs something or could be a guess: wrong user codes (RFC 8628
// §5.1), device requests that are pending, deeds of an account or a network, reports that
// shut a network out, and turns where many come at once.
//
// Who somebody is, is proved elsewhere; what they may do is the rule of other packages. Here
// is only how often.
//
// Start reading at Guard in guard.go, then guess.go.
package guard
