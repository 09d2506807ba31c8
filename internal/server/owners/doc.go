// Package owners says which owner a program's request is from, by a session, a signature or a
// token, and wraps the endpoints that list what is an owner's and that take back or end it.
// What these are is said in package api, and nothing is decided here.
//
// Start reading at Gate.Authenticate in owner.go.
package owners
