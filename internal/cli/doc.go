// Package cli is the command line: one file a command, each an options struct, a
// constructor that binds flags, and a run function.
//
// Commands of devices and owners use the public packages only, as any program
// would; the server's commands (serve, clients, demo) put the inner rooms
// together. Start reading at root.go; exit codes and how errors are said are in
// exit.go.
package cli
