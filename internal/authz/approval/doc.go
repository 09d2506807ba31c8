// Package approval is what an owner does about a device request: open it by its code, look at
// who asks and for what, approve or deny it (RFC 8628 §3.3), by signature or by session.
//
// What a device does is package device's; what became of the grant afterwards package grant's.
//
// Start reading at Approvals.Open in open.go, then facts.go and decide.go.
package approval
