// Package group lets the operations of many callers share what each would pay for
// alone: a flush to disk, a round trip.
//
// Here belongs how operations are gathered; how a group is carried out belongs to
// the storage that does it. Start reading at Queue.
package group
