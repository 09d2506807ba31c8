package sqlite

import (
	"unsafe"

	"modernc.org/libc"
	lib "modernc.org/sqlite/lib"
)

// SQLite may look at what is bound to a statement in order to plan it, and then it
// compiles the statement anew whenever something else is bound: each one with a JOIN, an
// EXISTS, a GROUP BY or a bound LIMIT, at ten times the price of the reading. Its planner
// stability guarantee (SQLITE_DBCONFIG_ENABLE_QPSG) makes one plan do for all values, which is
// what a prepared statement is for. Neither a pragma nor the library that we use sets
// it, so that an extension does for each connection that is opened (decision 0003).
func init() {
	tls := libc.NewTLS()
	defer tls.Close()
	// A pointer to a C function is, in this translation of SQLite, one to a word that holds the Go function.
	extension := struct {
		f func(tls *libc.TLS, conn, message, api uintptr) int32
	}{keepPlans}
	//nolint:gosec // G103: the translation has no other way to hand C a function
	if code := lib.Xsqlite3_auto_extension(tls, *(*uintptr)(unsafe.Pointer(&extension))); code != lib.SQLITE_OK {
		panic("sqlite: an extension was refused")
	}
}

func keepPlans(tls *libc.TLS, conn, _, _ uintptr) int32 {
	arguments := libc.NewVaList(int32(1), uintptr(0)) // on, and nobody is told what it was
	if arguments == 0 {
		return lib.SQLITE_NOMEM
	}
	defer libc.Xfree(tls, arguments)
	return lib.Xsqlite3_db_config(tls, conn, lib.SQLITE_DBCONFIG_ENABLE_QPSG, arguments)
}
