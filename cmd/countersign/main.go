// Command countersign is an authorization server for everything that cannot show
// a login page, and the tools on both sides of it.
package main

import (
	"os"

	"countersign.dev/internal/cli"
)

func main() { os.Exit(cli.Main(os.Args[1:], cli.SystemEnv())) }
