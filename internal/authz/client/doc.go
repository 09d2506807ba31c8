// Package client is who asks: applications, how they are registered (RFC 7591 §2), found and
// authenticated (RFC 6749 §2.3), and which unregistered ones look like others.
//
// What a client was granted is package grant's; what it may ask for is package scopes'.
//
// Start reading at Registry.Identify in identify.go.
package client
