// Package usercode is what a device shows and its owner enters: user codes (RFC 8628 §6.1)
// and match numbers. They are drawn, read as people type them, and compared.
//
// It keeps nothing and asks nothing but the randomness it is given: how often somebody may try a code is package guard's, how a code is kept is
// package secret's.
//
// Start reading at New and Parse in usercode.go.
package usercode
