package cli

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"golang.org/x/text/unicode/norm"

	"countersign.dev/bap"
)

// identityEntry is an identity on this machine, as far as it is known without its
// password.
type identityEntry struct {
	Name  string
	BAPID string
	file  string // in the configuration directory
}

const identitiesDir = "identities"

// identityFile names the file of an identity: what it is called, and which it is.
// Both can be read without the password.
func identityFile(name, bapID string) string {
	return filepath.Join(identitiesDir, safeName(name)+"."+bapID+".bep")
}

// safeName is a name as it is shown and as its file has it: letters and digits of every
// script, with dashes for the rest.
func safeName(name string) string {
	name = strings.Map(func(r rune) rune {
		if r == '_' || unicode.In(r, unicode.L, unicode.M, unicode.N) {
			return r
		}
		return '-'
	}, norm.NFC.String(name))
	const most = 100 // bytes; file systems take 255, some less
	for len(name) > most {
		_, size := utf8.DecodeLastRuneInString(name)
		name = name[:len(name)-size]
	}
	return cmp.Or(strings.Trim(name, "-"), "identity")
}

// identities lists the identities on this machine, by name.
func (h *home) identities() ([]identityEntry, error) {
	files, err := os.ReadDir(h.path(identitiesDir))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fail(ExitFailed, "reading "+h.path(identitiesDir), err, "")
	}
	var all []identityEntry
	for _, f := range files {
		part := strings.Split(f.Name(), ".")
		if len(part) == 3 && part[2] == "bep" {
			all = append(all, identityEntry{Name: norm.NFC.String(part[0]), BAPID: part[1], file: filepath.Join(identitiesDir, f.Name())})
		}
	}
	slices.SortFunc(all, func(a, b identityEntry) int { return cmp.Compare(a.Name, b.Name) })
	return all, nil
}

// called reports whether a name, or BAP id, that somebody wrote is this identity's.
func (e identityEntry) called(name string) bool {
	return name != "" && (e.Name == safeName(name) || e.BAPID == name)
}

// firstIdentity is what to do where there is none yet.
const firstIdentity = `Import the backup that your browser saved with "countersign identity import FILE", or make a new one with "countersign identity create NAME"`

// identity finds the identity a command is about: by name or BAP id, else the one that
// was chosen, else the one that is signed in at the server (empty: the current account),
// else the only one.
func (h *home) identity(wanted, server string) (identityEntry, error) {
	all, err := h.identities()
	if err != nil {
		return identityEntry{}, err
	}
	chosen := func(e identityEntry) bool { return e.called(h.Identity) }
	if wanted == "" && h.Identity != "" && !slices.ContainsFunc(all, chosen) {
		return identityEntry{}, fail(ExitFailed, "the identity that was chosen, "+h.Identity+", is not on this machine any more", nil,
			`Choose another with "countersign identity use NAME", or none with "countersign identity use"`)
	}
	if len(all) == 0 {
		return identityEntry{}, fail(ExitFailed, "there is no identity on this machine", nil, firstIdentity)
	}
	name := cmp.Or(wanted, h.Identity)
	if a, err := h.find(server); name == "" && err == nil {
		for _, e := range all {
			if e.BAPID == a.BAPID {
				return e, nil
			}
		}
	}
	if name == "" && len(all) == 1 {
		return all[0], nil
	}
	var found []identityEntry
	for _, e := range all {
		if e.called(name) {
			found = append(found, e)
		}
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case name == "":
		return identityEntry{}, fail(ExitUsage, "there are several identities on this machine", nil, `Choose one with --identity NAME, or once with "countersign identity use NAME"`)
	case len(found) > 1:
		return identityEntry{}, fail(ExitUsage, "several identities are called "+name, nil, "Choose one by its BAP id")
	default:
		return identityEntry{}, fail(ExitFailed, "there is no identity called "+name, nil, `"countersign identity list" shows those there are`)
	}
}

// unlock opens an identity with its password. One that older software encrypted is
// encrypted anew: only here is the password at hand.
func (h *home) unlock(ctx context.Context, env *Env, e identityEntry, p passwordSource) (*bap.Identity, error) {
	text, err := h.readSecretFile(e.file)
	if err != nil {
		return nil, err
	}
	var b *bap.Backup
	var password string
	err = p.open(ctx, env, "identity "+e.Name, bap.ErrWrongPassword, func(given string) (err error) {
		password = given
		b, err = bap.DecryptBackup(string(text), given)
		return err
	})
	if errors.Is(err, bap.ErrWrongPassword) {
		return nil, fail(ExitLocked, "unlocking "+e.Name, err, "Try again")
	}
	if err != nil {
		return nil, failing(ExitFailed, "reading "+e.Name, err, "")
	}
	for _, i := range b.Identities {
		if i.BAPID() == e.BAPID {
			if b.Iterations < bap.Iterations {
				h.renew(env, e, b, password)
			}
			return i, nil
		}
	}
	return nil, fail(ExitVerification, "reading "+e.Name, errors.New("the file holds another identity than its name says"), "Import the backup again")
}

// renew encrypts a kept backup as backups are encrypted today. Where that fails the
// one that is there stays, and is as good as before.
func (h *home) renew(env *Env, e identityEntry, b *bap.Backup, password string) {
	text, err := b.Encrypt(env.Rand, password, bap.Iterations)
	if err == nil {
		err = h.write(e.file, []byte(text))
	}
	if err != nil {
		env.say(fmt.Sprintf("Identity %s is encrypted as older software did, which is sooner guessed, and it cannot be encrypted anew: %v.", e.Name, err))
		return
	}
	env.say("Identity " + e.Name + " was encrypted as older software did, and is encrypted anew now. Copies elsewhere are as they were.")
}

// free refuses an identity that is on this machine, and a name that another one has:
// whoever named either would get the other.
func (h *home) free(name, bapID, next string) error {
	all, err := h.identities()
	if err != nil {
		return err
	}
	for _, other := range all {
		if other.BAPID == bapID {
			return fail(ExitFailed, "this identity is on this machine already", nil, "It is called "+other.Name)
		}
	}
	for _, other := range all {
		if other.Name == safeName(name) {
			return fail(ExitUsage, "another identity on this machine is called "+other.Name, nil, next)
		}
	}
	return nil
}

// store keeps an identity under a password.
func (h *home) store(env *Env, i *bap.Identity, password string) (identityEntry, error) {
	e := identityEntry{Name: safeName(i.Name), BAPID: i.BAPID(), file: identityFile(i.Name, i.BAPID())}
	b, err := bap.NewMemberBackup(i, env.Now())
	if err != nil {
		return e, err
	}
	text, err := b.Encrypt(env.Rand, password, bap.Iterations)
	if err != nil {
		return e, err
	}
	return e, h.write(e.file, []byte(text))
}

// identityFlag adds --identity.
func identityFlag(cmd *cobra.Command, name *string) {
	cmd.Flags().StringVar(name, "identity", "", "`name` or BAP id of the identity to act as")
}

// readText is readInput for what is read as a text, which an editor may have marked.
func readText(ctx context.Context, env *Env, path string) ([]byte, error) {
	text, err := readInput(ctx, env, path)
	return bytes.TrimPrefix(text, []byte(byteOrderMark)), err
}

// readInput reads a file, or standard input for -.
func readInput(ctx context.Context, env *Env, path string) ([]byte, error) {
	const most = 4 << 20
	if path == "-" {
		return env.input().all(ctx, most)
	}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fail(ExitFailed, "reading "+path, errors.New("there is no such file"), "Check the name")
	}
	if err != nil {
		return nil, fail(ExitFailed, "reading "+path, err, "")
	}
	defer f.Close()
	text, err := readAll(f, most)
	if err != nil {
		return nil, fail(ExitFailed, "reading "+path, err, "")
	}
	return text, nil
}

func mismatch(what, shown, signed string) error {
	return fail(ExitVerification, "checking what is to be signed", fmt.Errorf("the %s is %q in the statement and was shown as %q", what, signed, shown),
		"Do not approve this; tell the operator of the server")
}
