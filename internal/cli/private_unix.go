//go:build unix

package cli

import (
	"io/fs"
	"os"
	"syscall"
)

// owned reports whether a file is this user's own, who can then change its mode.
func owned(info fs.FileInfo) bool {
	s, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(s.Uid) == os.Geteuid()
}
