// Package sqlite keeps what internal/authz knows in an SQLite file.
//
// Here belong SQL, migrations, and how writes reach the disk; no rule does: each
// condition in a statement is named in the comment of the contract.Store method it
// belongs to. Start reading at writer.go for how a write becomes durable, then
// at any noun's file.
package sqlite
