package cli

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"github.com/pelletier/go-toml/v2"
	"github.com/rogpeppe/go-internal/lockedfile"
	"github.com/spf13/cobra"
)

// defaultServer is asked when nobody says which.
const defaultServer = "http://localhost:8628"

// account is one person signed in at one server, as config.toml lists it. It
// holds no secret.
type account struct {
	Server   string `toml:"server"`
	ClientID string `toml:"client_id"`
	Subject  string `toml:"sub"`
	BAPID    string `toml:"bap_id,omitempty"`
	Name     string `toml:"name,omitempty"`
	Scope    string `toml:"scope,omitempty"`
	// Tokens says where its token lies: inKeyring, inFile or inPlain. Empty is an older
	// entry.
	Tokens string `toml:"tokens,omitempty"`
}

// key names the account in the token store and as the current one.
func (a account) key() string { return a.Server + "#" + a.Subject }

// home is the configuration directory and what config.toml in it says.
type home struct {
	dir string

	Current  string    `toml:"current,omitempty"`
	Identity string    `toml:"identity,omitempty"` // used when --identity is not given
	Accounts []account `toml:"accounts,omitempty"`
}

// openHome finds the configuration directory and reads config.toml.
func openHome(env *Env) (*home, error) {
	dir := env.Getenv("COUNTERSIGN_CONFIG_DIR")
	if dir == "" {
		base := env.Getenv("XDG_CONFIG_HOME")
		if base == "" {
			var err error
			if base, err = os.UserConfigDir(); err != nil {
				return nil, fail(ExitFailed, "finding the configuration directory", err, "Set COUNTERSIGN_CONFIG_DIR")
			}
		}
		dir = filepath.Join(base, "countersign")
	}
	h := &home{dir: dir}
	return h, h.read()
}

// read reads config.toml as it is now.
func (h *home) read() error {
	now := home{dir: h.dir}
	text, err := os.ReadFile(h.path("config.toml"))
	if err == nil {
		err = toml.Unmarshal(text, &now)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fail(ExitFailed, "reading "+h.path("config.toml"), err, "Mend the file, or move it away and sign in again")
	}
	*h = now
	return nil
}

// update changes config.toml as it is now: another process may have signed in or out
// since it was read.
func (h *home) update(ctx context.Context, change func() error) error {
	return h.withLock(ctx, func() error {
		if err := h.read(); err != nil {
			return err
		}
		if err := change(); err != nil {
			return err
		}
		return h.save()
	})
}

// withLock does what no two processes may do at once. It waits for nothing but the disk
// and the keyring.
func (h *home) withLock(ctx context.Context, do func() error) error {
	ctx, cancel := context.WithTimeout(ctx, diskTime)
	defer cancel()
	unlock, err := h.lock(ctx, "tokens.lock")
	if err != nil {
		return err
	}
	defer unlock()
	return do()
}

// usable refuses a directory in which nothing can be kept, before anybody is asked for
// what would be kept there.
func (h *home) usable(ctx context.Context) error {
	return h.withLock(ctx, func() error { return nil })
}

// diskTime is how long what other processes keep here is waited for, which takes them
// a moment.
const diskTime = 30 * time.Second

func (h *home) path(name string) string { return filepath.Join(h.dir, name) }

// discard removes a file of the configuration directory.
func (h *home) discard(name string) error {
	if err := os.Remove(h.path(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fail(ExitFailed, "removing "+h.path(name), err, "")
	}
	return nil
}

// discardUnneeded removes the encrypted tokens where no account has one there any more:
// what is left lies under a password that nobody gave.
func (h *home) discardUnneeded(ctx context.Context) error {
	return h.withLock(ctx, func() error {
		if err := h.read(); err != nil { // somebody else may have signed in meanwhile
			return err
		}
		if slices.ContainsFunc(h.Accounts, func(a account) bool { return a.Tokens == inFile || a.Tokens == "" }) {
			return nil
		}
		return h.discard(tokenFile)
	})
}

// has reports whether a file of the configuration directory is there.
func (h *home) has(name string) bool {
	_, err := os.Stat(h.path(name))
	return err == nil
}

// save writes config.toml.
func (h *home) save() error {
	var b bytes.Buffer
	if err := toml.NewEncoder(&b).Encode(h); err != nil {
		return err
	}
	return h.write("config.toml", b.Bytes())
}

// write writes a file of the configuration directory, all or nothing.
func (h *home) write(name string, content []byte) error {
	path := h.path(name)
	if err := os.MkdirAll(filepath.Dir(path), privateDir); err != nil {
		return fail(ExitFailed, "making the configuration directory", err, "Set COUNTERSIGN_CONFIG_DIR to another")
	}
	if err := writePrivate(path, content); err != nil {
		return fail(ExitFailed, "writing "+path, err, "")
	}
	return nil
}

// readSecretFile reads a file that holds secrets, and refuses one that others on
// this machine can read.
func (h *home) readSecretFile(name string) ([]byte, error) {
	path := h.path(name)
	if runtime.GOOS != "windows" {
		for _, p := range []string{filepath.Dir(path), path} {
			info, err := os.Stat(p)
			if err != nil {
				return nil, err
			}
			if info.Mode()&(groupBits|othersBits) != 0 {
				return nil, fail(ExitFailed, "using "+p, fmt.Errorf("others on this machine may read it (mode %o), and it is for secrets", info.Mode().Perm()),
					`Run "chmod go= `+shellWord(p)+`"`)
			}
		}
	}
	return os.ReadFile(path)
}

// lock waits until no other process holds a lock, or ctx ends.
func (h *home) lock(ctx context.Context, name string) (unlock func(), err error) {
	const locking = "waiting for another countersign that is at work here"
	unusable := func(err error) error {
		return fail(ExitFailed, "using the configuration directory", err, "Set COUNTERSIGN_CONFIG_DIR to another directory")
	}
	if err := os.MkdirAll(filepath.Dir(h.path(name)), privateDir); err != nil {
		return nil, unusable(err)
	}
	type held struct {
		unlock func()
		err    error
	}
	got := make(chan held, 1)
	go func() {
		unlock, err := lockedfile.MutexAt(h.path(name)).Lock()
		got <- held{unlock, err}
	}()
	select {
	case l := <-got:
		if l.err != nil {
			return nil, unusable(l.err)
		}
		return l.unlock, nil
	case <-ctx.Done():
		go func() {
			if l := <-got; l.err == nil {
				l.unlock()
			}
		}()
		if errors.Is(ctx.Err(), context.Canceled) {
			return nil, ctx.Err()
		}
		return nil, fail(ExitFailed, locking, errors.New("it does not end"), "Look for it, and end it")
	}
}

// lockAccount waits until no other process renews an account's token or signs it out.
// Of other accounts nobody is kept waiting, however long a server takes.
func (h *home) lockAccount(ctx context.Context, a account) (unlock func(), err error) {
	ctx, cancel := context.WithTimeout(ctx, 2*ownerTimeout)
	defer cancel()
	name := sha256.Sum256([]byte(a.key()))
	return h.lock(ctx, filepath.Join("locks", hex.EncodeToString(name[:8])+".lock"))
}

// put stores an account and makes it the current one.
func (h *home) put(a account) {
	h.remove(a.key())
	h.Accounts = append(h.Accounts, a)
	h.Current = a.key()
}

// remove forgets an account; the first of those left becomes current.
func (h *home) remove(key string) {
	h.Accounts = slices.DeleteFunc(h.Accounts, func(a account) bool { return a.key() == key })
	if h.Current == key {
		h.Current = ""
		if len(h.Accounts) > 0 {
			h.Current = h.Accounts[0].key()
		}
	}
}

// find returns the account that a command is about: of the server named, else the
// current one.
func (h *home) find(server string) (account, error) {
	for _, a := range h.Accounts {
		if (server == "" && a.key() == h.Current) || (server != "" && a.Server == server && (a.key() == h.Current || h.only(server))) {
			return a, nil
		}
	}
	for _, a := range h.Accounts { // several at that server, none current: the latest
		if server != "" && a.Server == server {
			return a, nil
		}
	}
	return account{}, fail(ExitNotSignedIn, "not signed in"+at(server), nil, `Sign in with "countersign login`+serverHint(server)+`"`)
}

func (h *home) only(server string) bool {
	n := 0
	for _, a := range h.Accounts {
		if a.Server == server {
			n++
		}
	}
	return n == 1
}

func at(server string) string {
	if server == "" {
		return ""
	}
	return " at " + server
}

// serverFlag adds --server.
func serverFlag(cmd *cobra.Command, server *string) {
	cmd.Flags().StringVar(server, "server", "", "issuer `URL` of the server (default: COUNTERSIGN_SERVER, the current account's, "+defaultServer+")")
}
