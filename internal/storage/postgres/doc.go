// Package postgres keeps what internal/authz knows in a PostgreSQL database that
// several servers share.
//
// Here belong SQL, migrations, and what to do when the database is away; no rule
// does: each condition in a statement is named in the comment of the contract.Store
// method it belongs to. An operation is one statement where that is possible, so
// that it costs one round trip and holds no lock longer than its own commit.
// Start reading at connection.go for how a statement reaches the database, then at
// any noun's file; notify.go is how servers hear of each other's decisions.
package postgres
