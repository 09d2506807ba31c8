package sqlite

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

var (
	// ErrLocked says that another server runs on the same data directory.
	ErrLocked = errors.New("another server is running on this data directory")
	// ErrMoving says that another program is moving the data directory's database.
	ErrMoving = errors.New("another countersign migrate is running on this data directory")
)

// Lock takes the data directory for one server. The operating system lets go of
// the lock when the process ends, however it ends.
//
//	ErrLocked
func Lock(dir string) (release func() error, err error) {
	return lock(filepath.Join(dir, "server.lock"))
}

// LockMove takes the data directory for one who moves its database elsewhere. It
// does not keep a server from running there.
//
//	ErrMoving
func LockMove(dir string) (release func() error, err error) {
	release, err = lock(filepath.Join(dir, "migrate.lock"))
	if errors.Is(err, ErrLocked) {
		return nil, ErrMoving
	}
	return release, err
}

func lock(path string) (release func() error, err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("locking the data directory: %w", err)
	}
	if err := lockFile(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f.Close, nil
}
