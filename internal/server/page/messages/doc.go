// Package messages is what the pages say, in every language: a file a language, whose
// messages templates, Go and scripts name by their ids.
//
// Here belongs how things are said that are no page's own: a message with what is put into
// it, a program, a length of time. It knows no request and no screen. Start reading at
// Words.
package messages
