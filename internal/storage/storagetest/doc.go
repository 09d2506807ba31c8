// Package storagetest is the contract of contract.Store, as tests.
//
// Each outcome that a comment in contract.Store states has a case here, in the file
// of its noun; races are among them. A storage passes all of it or is none:
// there is nothing to opt out of. What only one database has (files, locks,
// migrations) is tested beside that database. Start reading at Run, then at any
// noun's file.
package storagetest
