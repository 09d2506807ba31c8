package cli

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"

	"github.com/spf13/cobra"

	"countersign.dev/internal/authz/contract"
	"countersign.dev/internal/config"
	"countersign.dev/internal/storage/postgres"
	"countersign.dev/internal/storage/sqlite"
)

// databaseFile is the name of the SQLite database in the data directory.
const databaseFile = "countersign.db"

// database is a store that whoever opened it closes.
type database struct {
	store contract.Store
	// others are the servers that use it too; nil where no other can.
	others contract.Others
	close  func() error
}

// storeSettings are the settings of a command that uses the database, and no more.
func storeSettings(cmd *cobra.Command, env *Env) (*config.Settings, error) {
	settings, err := config.Load(cmd.Flags(), env.Getenv, checkClient)
	if err != nil {
		return nil, &Failure{Code: ExitUsage, What: "a setting is wrong", Err: err}
	}
	return settings, checkSecrets(env, settings, slog.New(slog.DiscardHandler)) // what a group may read, the server says
}

// settingCode is the exit code for something that a setting names and that could not be
// used: the setting is wrong where that is not there, or not this server's; else it failed.
func settingCode(err error) ExitCode {
	for _, wrong := range []error{fs.ErrNotExist, fs.ErrPermission, syscall.ENOTDIR, syscall.EISDIR, syscall.EROFS, postgres.ErrURL} {
		if errors.Is(err, wrong) {
			return ExitUsage
		}
	}
	return ExitFailed
}

// haveDatabase refuses a data directory without a database: one that is made there by
// anybody but a server has no secret beside it.
func haveDatabase(s *config.Settings) error {
	if _, err := os.Stat(filepath.Join(s.Data, databaseFile)); err != nil {
		return fail(settingCode(err), "there is no database in "+s.Data, nil, "Name its directory with --data DIR; a server makes it when it starts")
	}
	return nil
}

// upToDate reports whether openDatabase finds a database, and changes nothing of it.
func upToDate(ctx context.Context, s *config.Settings) bool {
	if s.Database != "" {
		return postgres.UpToDate(ctx, s.Database.Reveal())
	}
	return sqlite.UpToDate(filepath.Join(s.Data, databaseFile))
}

// openDatabase opens the database of the settings.
func openDatabase(ctx context.Context, s *config.Settings, log *slog.Logger) (*database, error) {
	if s.Database != "" {
		shared, err := postgres.Open(ctx, s.Database.Reveal(), log)
		if err != nil {
			return nil, fail(settingCode(err), "opening the database "+s.Database.Place(), err, "Check --database, and that PostgreSQL runs there")
		}
		return &database{store: shared, others: shared, close: shared.Close}, nil
	}
	own, err := sqlite.Open(ctx, filepath.Join(s.Data, databaseFile))
	if err != nil {
		return nil, openingFailure(s, err)
	}
	return &database{store: own, close: own.Close}, nil
}
