// Package page answers people: HTML, a file a screen, named as the screen's template
// (templates) and its script, where it has one, (web/src/page) are.
//
// Here belong the screens and the frame around them (page.go). What they say in every
// language is package messages, what they load and how they look package assets. No rule
// is decided here, nothing is answered to programs, and no route is named: the table of
// routes is in package server. Start reading at page.go, then at enter.go, where a person
// comes with a code.
package page
