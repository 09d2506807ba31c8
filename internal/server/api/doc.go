// Package api answers an owner's programs and the scripts of our pages: JSON, a file a
// noun. It says whether the server is well, too.
//
// A handler decodes (package wire), identifies who asks (package owners, which wraps what lists
// and what takes back or ends, too), asks the domain what decides once, and encodes. No rule is
// decided here, no page is made, and no route is named: the table of routes is in package
// server. What devices and other clients ask is package oauth's. Start reading at grant.go.
package api
