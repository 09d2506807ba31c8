// Package oauth answers devices and other clients: the endpoints of the standards, of
// which the metadata (metadata.go) tell, as JSON.
//
// A handler decodes (package wire), identifies the client (client.go), asks the domain once,
// and encodes. No rule is decided here, no cookie is read, and no route is named: the table of
// routes is in package server. What owners ask is package api's. Start reading at
// device.go, the way of one poll.
package oauth
