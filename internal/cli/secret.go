package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/contract"
	"countersign.dev/internal/config"
)

// secretFile is the name of the drawn secret in the data directory.
const secretFile = "secret"

// secretHeld is a server's secret, and where it was put if this start drew it.
type secretHeld struct {
	bytes []byte
	drawn string
}

// ownSecret reads the operator's secret, or the one in the data directory, which
// is drawn the first time. It is for a server that has its database to itself,
// and is called before that is opened.
func ownSecret(s *config.Settings, random io.Reader) (secretHeld, error) {
	secret, err := keptSecret(s)
	if !errors.Is(err, fs.ErrNotExist) || s.SecretFile != "" {
		return secretHeld{bytes: secret}, err
	}
	if _, err := os.Stat(filepath.Join(s.Data, databaseFile)); err == nil {
		return secretHeld{}, errors.New("the database has no secret beside it: put back the file \"secret\" that it was made with")
	}
	return drawSecret(s, random, os.Rename)
}

// sharedSecret is ownSecret for a server that shares its database: one is drawn
// only for a database in which no server has made its keys yet. Of servers that
// start together with secrets of their own, the one whose keys are stored goes on
// and the others take theirs back (takeBack).
//
//	authz.ErrOtherSecret: this server has none, and the database needs one
func sharedSecret(ctx context.Context, s *config.Settings, keys contract.KeyStore, random io.Reader) (secretHeld, error) {
	secret, err := keptSecret(s)
	if !errors.Is(err, fs.ErrNotExist) || s.SecretFile != "" {
		return secretHeld{bytes: secret}, err
	}
	stored, err := keys.SigningKeys(ctx, time.Time{})
	if err != nil {
		return secretHeld{}, err
	}
	if len(stored) > 0 {
		return secretHeld{}, authz.ErrOtherSecret
	}
	if err := os.MkdirAll(s.Data, 0o700); err != nil {
		return secretHeld{}, err
	}
	// A link never replaces what another server on this directory has just drawn.
	held, err := drawSecret(s, random, os.Link)
	if errors.Is(err, fs.ErrExist) {
		secret, err := keptSecret(s)
		return secretHeld{bytes: secret}, err
	}
	return held, err
}

// keptSecret reads the secret that was given or drawn before.
//
//	fs.ErrNotExist
func keptSecret(s *config.Settings) ([]byte, error) {
	if s.SecretFile == "" {
		return os.ReadFile(filepath.Join(s.Data, secretFile))
	}
	secret, err := os.ReadFile(s.SecretFile)
	if err == nil && len(secret) < authz.SecretLength {
		err = fmt.Errorf("%s has %d bytes; it needs at least %d", s.SecretFile, len(secret), authz.SecretLength)
	}
	return secret, err
}

// drawSecret draws a secret into the data directory. It is on disk before any key
// is sealed with it.
func drawSecret(s *config.Settings, random io.Reader, place func(from, to string) error) (secretHeld, error) {
	secret := make([]byte, authz.SecretLength)
	if _, err := io.ReadFull(random, secret); err != nil {
		return secretHeld{}, err
	}
	path := filepath.Join(s.Data, secretFile)
	return secretHeld{bytes: secret, drawn: path}, placePrivate(path, secret, place)
}

// takeBack removes a secret that was drawn in vain, which nothing was sealed with:
// left there, it would look like the database's.
func (h secretHeld) takeBack() error {
	if h.drawn == "" {
		return nil
	}
	return os.Remove(h.drawn)
}

// writePrivate writes a file that only its owner can read: all of it or nothing,
// and on disk when it returns.
func writePrivate(path string, content []byte) error {
	return placePrivate(path, content, os.Rename)
}

// placePrivate is writePrivate with another way to give the file its name.
func placePrivate(path string, content []byte, place func(from, to string) error) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	defer func() {
		if gone := os.Remove(f.Name()); !errors.Is(gone, fs.ErrNotExist) {
			err = errors.Join(err, gone)
		}
	}()
	if err := f.Chmod(0o600); err != nil {
		return errors.Join(err, f.Close())
	}
	if _, err := f.Write(content); err != nil {
		return errors.Join(err, f.Close())
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return err
	}
	return place(f.Name(), path)
}
