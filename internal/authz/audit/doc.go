// Package audit tells of what happened: to the owner by events, to the operator by lines of
// the log (decision 0013). It begins events and says sparingly what strangers can cause as
// often as they like.
//
// That an event is stored with what it tells of is the promise of the storage operation
// that stores both.
//
// Start reading at Trail in trail.go.
package audit
