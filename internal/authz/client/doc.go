// Package client is who asks: applications, how they are registered (RFC 7591 §2), found and
// authenticated (RFC 6749 §2.3), and which unregistered ones look like others.
//
// What a client was granted is package grant's; what a client may ask for is written in
// authz/scope.go.
//
// Start reading at Registry.Identify in identify.go.
package client
