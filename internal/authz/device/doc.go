// Package device is RFC 8628 as devices see it: they ask (§3.1), and poll until they have
// tokens (§3.4, §3.5), at a pace, or waiting for the answer.
//
// What an owner does about a request is package approval's, which tells this one of decisions.
//
// Start reading at Flow.Authorize in authorize.go, then Flow.Poll in poll.go.
package device
