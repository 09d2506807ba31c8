// Package authz is the authorization server itself: what it knows and what it
// decides, with no HTTP and no SQL in it.
//
// Here belong every rule of RFC 8628 and the standards around it (who may ask,
// who may approve, what a token says), the vocabulary (device request, grant,
// receipt, identity), and the Store interface, which declares what the rules
// need kept. How a request arrives is internal/server's business; how a row is
// kept is internal/storage's.
//
// Start reading at Service, then device.go: it follows one device request from
// StartDevice to RedeemDevice.
package authz
