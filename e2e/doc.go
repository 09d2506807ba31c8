// Package e2e runs the built program as its users do: a real process, real HTTP,
// a real database file, and clients that others wrote, unmodified.
//
// The tests have the build tag e2e; `make test` runs them. clients holds the
// clients from npm at fixed versions, and one small script for each that says
// what it saw; goclients are those in Go, a module of their own. code_test.go leads
// those of the authorization code flow through the pages. gateways names whole programs
// of others, which are built when a test asks for them. guide_test.go follows docs/guides.
// What can be shown without a process of its own is tested in the rooms themselves.
// peer_test.go turns it around: there our SDK asks the servers of others, those of
// bench/peers.
//
// The tests in page_*_test.go, whose names begin with TestPage, look at the pages
// in a real Chromium; page_test.go is what they share, and package browser drives
// it. `make test-browser` runs only these, `make screenshots` writes what they
// saw to screenshots.
package e2e
