// Package approval is what an owner does about a device request: open it by its code, look at
// who asks and for what, approve or deny it (RFC 8628 §3.3), by signature or by session.
//
// What a device does is package device's; what is done with a grant afterwards package
// grant's. What became of a request, for the page after the decision, is in outcome.go.
//
// Start reading at Approvals.Open in open.go, then facts.go and decide.go.
package approval
