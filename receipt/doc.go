// Package receipt holds the approval statement an owner signs and the receipt
// that is left of it: anyone can check a receipt offline, years later, without
// trusting the server that kept it.
//
// A statement says who asks, for what, at which server, and which identity says
// yes. A receipt is the approve request as it was sent, whole, with its
// X-Auth-Token. Both have exactly one encoding, so that a single changed byte is
// noticed. Who may approve is the server's business, not this package's.
package receipt
