// Package pgtest gives tests and benchmarks a PostgreSQL of their own: a cluster
// in a temporary directory, on a free loopback port, gone when they are.
//
// Here belongs what starts, stops and breaks a cluster, and nothing that knows
// our tables. Start reading at Start; a test that only wants a database calls
// Database.
package pgtest
