// Package transfer moves everything from an SQLite file into a PostgreSQL
// database, while a server goes on writing to the file until the last moment.
//
// Tables, columns and keys are what the two databases say they are, so a new
// table is moved without a line here; the package knows no rule and no noun. What
// each database does for it is beside that database: sqlite/movesource.go
// and changelog.go, postgres/movetarget.go and movetargetrow.go. Start reading at Move.
//
// # Why nothing is lost or changed
//
// The file notes every change in the transaction that makes it. A pass over a
// table may read each row at another time: a row that no note names was the same
// all along, and the others are copied again (round.go). So after a round the
// target equals the file as it was at one instant. One pass then compares all
// rows of both; what differs must have been noted meanwhile (compare.go). Each
// later round reads back and compares what it wrote. The last round runs while
// nobody can write to the file, and the rows of both are counted then, so that
// what was found equal stays equal and nothing else is there.
//
// The target is one transaction. The order at the end is: the target commits, and
// says that servers must wait; the file is marked as moved; the target lets
// servers in. Whatever ends in between, one database at most is written to, and
// the same command once more goes on from there.
package transfer
