package pgtest

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
)

// ErrNotInstalled is a machine without PostgreSQL's server programs.
var ErrNotInstalled = errors.New("PostgreSQL is not installed, which the tests need: run tools/setup, or install postgresql " +
	"(Debian, Ubuntu, Homebrew) or postgresql-server (Fedora), or set PGBIN to the directory of its initdb and postgres")

// findBinaries looks for the directory of initdb and postgres.
//
//	ErrNotInstalled: there is none
func findBinaries(given string) (string, error) {
	exe := ""
	if runtime.GOOS == "windows" {
		exe = ".exe"
	}
	complete := func(dir string) bool {
		for _, program := range []string{"initdb", "postgres"} {
			if _, err := os.Stat(filepath.Join(dir, program+exe)); err != nil { //nolint:gosec // whoever runs the tests chooses
				return false
			}
		}
		return true
	}
	if given != "" {
		if complete(given) {
			return given, nil
		}
		return "", ErrNotInstalled
	}
	// In PATH both are mostly links to a directory that has the rest.
	if found, err := exec.LookPath("postgres"); err == nil {
		if real, err := filepath.EvalSymlinks(found); err == nil && complete(filepath.Dir(real)) {
			return filepath.Dir(real), nil
		}
	}
	newest, best := -1, ""
	dirs, _ := filepath.Glob("/usr/lib/postgresql/*/bin") // fails for a bad pattern only
	for _, dir := range dirs {
		version, err := strconv.Atoi(filepath.Base(filepath.Dir(dir)))
		if err == nil && version > newest && complete(dir) {
			newest, best = version, dir
		}
	}
	if best == "" {
		return "", ErrNotInstalled
	}
	return best, nil
}
