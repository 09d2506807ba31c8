package sqlite

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// ErrLocked says that another server runs on the same data directory.
var ErrLocked = errors.New("another server is running on this data directory")

// Lock takes the data directory for one server. The operating system lets go of
// the lock when the process ends, however it ends.
//
//	ErrLocked
func Lock(dir string) (release func() error, err error) {
	f, err := os.OpenFile(filepath.Join(dir, "server.lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("locking the data directory: %w", err)
	}
	if err := lockFile(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f.Close, nil
}
