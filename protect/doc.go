// Package protect is net/http middleware for APIs that accept the access tokens of a
// Countersign server (RFC 9068), or of any other that signs such tokens.
//
//	api, err := protect.New(ctx, "https://id.example", "https://api.example")
//	mux.Handle("/notes", api.Require("notes:read", notes))
//	token := protect.FromContext(r.Context()) // in the handler: whose it is, and what it may do
//
// A token is judged here, by the keys that its issuer publishes: no request costs the issuer
// one, and while it is away its tokens are accepted on. Who wants to hear of revocations
// at once asks it about each token (Introspect). A token that is bound to a key (RFC 9449) is
// taken with a proof of that key alone; with Signed every request is signed by its owner.
//
// Here belongs what is the same for every API: may this request be served, and for whom. What
// its subject may do with which thing is the API's own business. Limits of requests,
// CORS and TLS are what stands around it: a preflight has no token, so CORS belongs in front.
//
// Start reading at Require in protect.go; what a request goes through is admit in present.go.
package protect
