package config

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/spf13/pflag"
)

// Error is a setting that is wrong: which, where it was given, and what would be
// right. It is one line.
type Error struct {
	Setting string
	Origin  string // like --listen, COUNTERSIGN_LISTEN, countersign.toml:3
	Reason  string
}

// Error is the line.
func (e *Error) Error() string { return fmt.Sprintf("%s (from %s) %s", e.Setting, e.Origin, e.Reason) }

// Bind makes --config, and a flag of each setting, or only of those named: a command
// takes what it needs.
func Bind(flags *pflag.FlagSet, only ...string) {
	flags.String("config", "", "configuration `file` (default: countersign.toml here, else in the configuration directory)")
	for _, s := range settings {
		if len(only) > 0 && !slices.Contains(only, s.name) {
			continue
		}
		fallback := "default: " + strings.ReplaceAll(cmp.Or(s.fallback, s.fallbackText), "`", "")
		if strings.Contains(s.unit, " or ") {
			fallback = s.unit + "; " + fallback
		}
		flags.Var(&given{word: cmp.Or(s.word, s.unit), list: s.list}, s.name, s.help+" ("+fallback+")")
	}
}

// given is what was given for a setting as a flag.
type given struct {
	word  string // for what help says is to be given
	list  bool
	texts []string
}

// Choices are the words that the flag of a setting takes; none for any other flag.
func Choices(f *pflag.Flag) []string {
	if _, ours := f.Value.(*given); !ours {
		return nil
	}
	return named(f.Name).choices
}

// String is what was given; empty, and so is what pflag takes for the default, where
// nothing was.
func (g *given) String() string { return strings.Join(g.texts, ",") }

// Type is the word for the value in the help.
func (g *given) Type() string { return g.word }

// Set takes one occurrence of the flag; only lists keep more than the last. It is checked
// when all that was given is there.
func (g *given) Set(text string) error {
	if !g.list {
		g.texts = nil
	}
	g.texts = append(g.texts, text)
	return nil
}

// CheckClient says what is wrong with a client of the file, and in which member: the
// rules of clients are not the configuration's.
type CheckClient func(Client) (member string, err error)

// Load reads all settings.
//
//	*Error: one is wrong
func Load(flags *pflag.FlagSet, getenv func(string) string, check CheckClient) (*Settings, error) {
	path, required := filePath(flags, getenv)
	file, err := readFile(path, required)
	if err != nil {
		return nil, err
	}
	if err := file.checkClients(check); err != nil {
		return nil, err
	}
	loaded := &Settings{File: file.path, Clients: file.clients, FileHoldsSecrets: file.holdsSecrets()}
	for _, s := range settings {
		text, origin := s.fallback, "the default"
		if v, ok := file.values[s.name]; ok {
			text, origin = v.text, v.origin
		}
		if v := getenv(s.env()); v != "" {
			text, origin = v, s.env()
		}
		if f := flags.Lookup(s.name); f != nil && f.Changed {
			if _, ours := f.Value.(*given); ours { // and not a command's own of the same name
				text, origin = f.Value.String(), "--"+s.name
			}
		}
		if err := s.set(loaded, text); err != nil {
			return nil, &Error{Setting: s.name, Origin: origin, Reason: err.Error()}
		}
	}
	if err := loaded.checkAgents(); err != nil {
		return nil, &Error{Setting: "agents-unattended-approval", Origin: "all that was given", Reason: err.Error()}
	}
	if loaded.Data == "" {
		if loaded.Data, err = DefaultData(getenv); err != nil {
			return nil, &Error{Setting: "data", Origin: "the default", Reason: "cannot be found: give --data DIR"}
		}
	}
	return loaded, nil
}

// filePath says which file to read, and whether it must be there.
func filePath(flags *pflag.FlagSet, getenv func(string) string) (path string, required bool) {
	if f := flags.Lookup("config"); f != nil && f.Changed {
		return f.Value.String(), true
	}
	if v := getenv("COUNTERSIGN_CONFIG"); v != "" {
		return v, true
	}
	const name = "countersign.toml"
	if _, err := os.Stat(name); err == nil {
		return name, true
	}
	dir, err := os.UserConfigDir()
	if err != nil {
		return "", false
	}
	return filepath.Join(dir, "countersign", name), false
}

func readFile(path string, required bool) (*file, error) {
	if path == "" {
		return &file{}, nil
	}
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) && !required {
		return &file{}, nil
	}
	if err != nil {
		return nil, &Error{Setting: "config", Origin: path, Reason: "cannot be read: " + reason(err)}
	}
	return parseFile(path, text)
}

func reason(err error) string {
	if inner, ok := errors.AsType[*fs.PathError](err); ok {
		return inner.Err.Error()
	}
	return err.Error()
}

// DefaultData is the platform's directory for data.
func DefaultData(getenv func(string) string) (string, error) {
	if dir := getenv("XDG_DATA_HOME"); dir != "" {
		return filepath.Join(dir, "countersign"), nil
	}
	if dir := getenv("LocalAppData"); runtime.GOOS == "windows" && dir != "" {
		return filepath.Join(dir, "countersign"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", err
	}
	if runtime.GOOS == "darwin" {
		return filepath.Join(home, "Library", "Application Support", "countersign"), nil
	}
	return filepath.Join(home, ".local", "share", "countersign"), nil
}
