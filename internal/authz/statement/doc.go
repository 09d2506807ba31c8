// Package statement is what an owner signs to say yes, and the receipt that is left of it:
// version 1 for what a device asks, version 2 for what an agent asks, which may be narrowed and
// says how present the owner was.
//
// How a statement and a receipt are written, and what anybody can check of them, is in the
// public package receipt. Whether a request may be decided at all, and by whom, is package
// approval's, and what becomes of it storage's.
//
// Start reading at Statements.OfDevice in device.go.
package statement
