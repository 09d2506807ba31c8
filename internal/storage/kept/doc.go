// Package kept says how a value is kept, the same in every database: times as
// numbers, documents as JSON, and the words and numbers that statements compare with.
//
// A value that is not a column of its own type belongs here, with a golden file that
// holds it to what earlier versions wrote; no SQL does, and no rule. Start reading at
// Client.
package kept
