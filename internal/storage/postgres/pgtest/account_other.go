//go:build !unix

package pgtest

import (
	"errors"
	"os/exec"
)

// account is nobody here.
type account struct{}

// serverAccount refuses: stopping a cluster needs signals and a shell.
func serverAccount() (*account, error) {
	return nil, errors.New("a PostgreSQL cluster of the tests' own needs a Unix")
}

func (*account) own(string) error { return nil }
func (*account) run(*exec.Cmd)    {}
