// Package audit tells of what happened: to the owner by events, to the operator by lines of
// the log (decision 0013). It begins events and says sparingly what strangers can cause as
// often as they like.
//
// The database stores an event in the transaction of what it tells of.
//
// Start reading at Trail in trail.go.
package audit
