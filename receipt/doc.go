// Package receipt holds the approval statement an owner signs and the receipt
// that is left of it: anyone can check a receipt offline, years later, without
// trusting the server that kept it.
//
// A statement says who asks, for what, at which server, and which identity says
// yes. A receipt is the approve request as it was sent, whole, with its
// X-Auth-Token. Both have exactly one encoding, so that a single changed byte is
// noticed. Who may approve is the server's business, not this package's.
//
// Version 2 (Delegation) is about agents: its encoding is RFC 8785, its receipt is the
// delegation, and an agent signs the same form to pass a part on. Hash names a receipt to
// the one below, and a chain of them, the owner's first, shows who acts for whom: VerifyChain
// in chain.go.
//
// A receipt proves what its owner signed and sent. That something was granted only the
// server's answer says: it may have refused or denied the very request, for a wrong
// match or because another decision came first, and whoever signed it, or a program
// that signed for them, has its bytes all the same. So take receipts from the server
// that the statement names, which gives them out for grants alone, under the
// statement's nonce (/api/grants/{nonce}/receipt); of any other say "this was signed".
package receipt
