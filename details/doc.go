// Package details holds the authorization_details of this server (RFC 9396): what an agent
// may spend, call and load, which no scope can say; whether one list of them is narrower
// than another; and what one of them allows.
//
//	list, err := details.Parse(text)
//	err = details.Narrower(list, asked) // nil: it allows nothing that asked does not
//	err = list.Allows(details.Call{Resource: "https://api.example", Action: "orders.create", Arguments: body})
//
// A list is read strictly: what is not known refuses, for who signs a member that nobody
// enforces believes in a limit that is none. It is kept in the order in which it was asked
// for, which is the order its owner sees; compared it is in its canonical form (List.Canonical).
//
// Here belongs what the words mean, and no more: no clock, no counter, no database. What was
// spent so far is counted by whoever has a transaction: Detail.LimitsAt says against what, and
// in which windows. It depends on the standard library and a reader of JSON.
//
// Start reading at Detail in detail.go, Parse in parse.go and Narrower in narrower.go.
package details
