package cli

import (
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"

	"countersign.dev/internal/config"
)

const (
	privateDir  fs.FileMode = 0o700
	privateFile fs.FileMode = 0o600
	groupBits   fs.FileMode = 0o070
	othersBits  fs.FileMode = 0o007
)

// checkPrivate refuses a file with secrets that others on this machine can read
// (decision 0030). Its group may read one that is not this user's own, as mounted
// secrets are, or where groupMay says so; group tells whether it can.
func checkPrivate(path string, groupMay bool) (group bool, err error) {
	if runtime.GOOS == "windows" { // whose access lists say nothing in a mode
		return false, nil
	}
	info, err := os.Stat(path)
	if err != nil || !info.Mode().IsRegular() {
		return false, nil //nolint:nilerr // whoever reads it will say so
	}
	group = info.Mode()&groupBits != 0
	if info.Mode()&othersBits != 0 || (group && !groupMay && owned(info)) {
		return group, fail(ExitFailed, "reading "+path, fmt.Errorf("others on this machine may read it (mode %o), and it holds secrets", info.Mode().Perm()),
			`Run "chmod go= `+shellWord(path)+`"`)
	}
	return group, nil
}

// checkSecrets is checkPrivate for every file with secrets that a server reads.
// What a group may read is said, for nobody else can know who is in it.
func checkSecrets(env *Env, s *config.Settings, log *slog.Logger) error {
	type kept struct {
		path  string
		group bool // files in a volume may belong to a group: Kubernetes gives them to its fsGroup
	}
	var files []kept
	if s.File != "" && s.FileHoldsSecrets {
		files = append(files, kept{s.File, false})
	}
	if s.SecretFile != "" {
		files = append(files, kept{s.SecretFile, false})
	} else {
		files = append(files, kept{filepath.Join(s.Data, secretFile), true})
	}
	if s.Database == "" {
		files = append(files, kept{filepath.Join(s.Data, databaseFile), true}, kept{filepath.Join(s.Data, databaseFile+"-wal"), true})
	} else if path := passwordsOfPostgres(env); path != "" {
		files = append(files, kept{path, false})
	}
	for _, f := range files {
		group, err := checkPrivate(f.path, f.group)
		if err != nil {
			return err
		}
		if group {
			log.Info("a file with secrets can be read by its group: nobody but the server should be in it", "path", f.path)
		}
	}
	return nil
}

// passwordsOfPostgres is the file in which the driver looks for a password.
func passwordsOfPostgres(env *Env) string {
	if path := env.Getenv("PGPASSFILE"); path != "" {
		return path
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return ""
	}
	return filepath.Join(home, ".pgpass")
}
