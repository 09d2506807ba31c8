// Package code is the authorization code grant (RFC 6749 §4.1 with PKCE, RFC 7636): what a web
// page or a native application asks by way of its user's browser, where the answer goes, and
// what the code is traded for.
//
// An authorization request is a device request that leads back (decision 0071): looking and
// deciding are package approval's, redemption once and tokens package device's. No HTTP
// belongs here; what proves the owner who asks is package account's.
//
// Start reading at Codes.Read in request.go, then ask.go and redeem.go.
package code
