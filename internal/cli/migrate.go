package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"countersign.dev/internal/authz/contract"
	"countersign.dev/internal/config"
	"countersign.dev/internal/storage/postgres"
	"countersign.dev/internal/storage/sqlite"
	"countersign.dev/internal/storage/transfer"
)

type migrateOptions struct {
	to     string
	dryRun bool
	asJSON bool
}

func newMigrateCommand(env *Env) *cobra.Command {
	var o migrateOptions
	cmd := &cobra.Command{
		Use:         "migrate",
		Annotations: map[string]string{endsInOrder: "yes"},
		Short:       "Move everything from SQLite to PostgreSQL",
		Long: `Move everything from the SQLite database in the data directory to an empty
PostgreSQL database. The server may run meanwhile: it goes on until everything
is copied and each row was compared, waits for a moment, and from then on
refuses to write. Whatever goes wrong before leaves the old database as it was
and the new one empty.

The password may be in the address, in PGPASSWORD or in ~/.pgpass.`,
		Example: `  countersign migrate --to postgres://ann@db.example.org/countersign --dry-run
  countersign migrate --to postgres://ann@db.example.org/countersign \
    --data /var/lib/countersign`,
		Args: cobra.NoArgs,
	}
	config.Bind(cmd.Flags(), "data", "database", "secret-file")
	f := cmd.Flags()
	f.StringVar(&o.to, "to", "", "`URL` of the PostgreSQL database, like postgres://user@host/name (default: that of --database)")
	f.BoolVar(&o.dryRun, "dry-run", false, "copy and compare everything, and take it back")
	f.BoolVar(&o.asJSON, "json", false, "one JSON object a line on standard output")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		settings, err := storeSettings(cmd, env)
		if err != nil {
			return err
		}
		to := settings.Database
		if o.to != "" {
			if to, err = config.ParseDatabaseURL(o.to); err != nil {
				return usage("--to %v", err)
			}
		}
		if _, err := checkPrivate(passwordsOfPostgres(env), false); err != nil {
			return err
		}
		if to == "" {
			return usage("where to? Say --to postgres://user@host/name")
		}
		if err := haveDatabase(settings); err != nil {
			return err
		}
		return migrate(cmd.Context(), env, settings, to, o)
	}
	return cmd
}

// migrate moves everything, and says what to do then. Ctrl-C gives it up, until
// nothing can be given up any more.
func migrate(ctx context.Context, env *Env, settings *config.Settings, to config.DatabaseURL, o migrateOptions) error {
	screen := &migrateScreen{env: env, asJSON: o.asJSON, live: env.movesCursor() && !o.asJSON}
	out, err := transfer.Move(ctx, transfer.Options{
		Path: filepath.Join(settings.Data, databaseFile), To: to.Reveal(), Place: to.Place(), DryRun: o.dryRun,
		Report: screen.report, Log: slog.New(slog.DiscardHandler), Now: env.Now, Rand: env.Rand,
	})
	screen.clear()
	if err != nil {
		if ctx.Err() != nil && !errors.As(err, new(*transfer.UnfinishedError)) {
			return fail(ExitCancelled, "moving the data", errors.New("cancelled"), "The old database is as it was, the new one empty")
		}
		return migrateFailure(settings, to, err)
	}
	screen.done(settings, to, o, out)
	return nil
}

// migrateScreen follows a move.
type migrateScreen struct {
	env    *Env
	asJSON bool
	live   bool // a person sits there
	last   transfer.Progress
	drawn  time.Time
}

// report hears of each step. On a terminal one line is drawn again and again;
// elsewhere there is a line for each step.
func (s *migrateScreen) report(p transfer.Progress) {
	begins := p.Stage != s.last.Stage || p.Table != s.last.Table
	s.last = p
	now := s.env.Now()
	switch {
	case s.asJSON && begins:
		event := map[string]any{"event": string(p.Stage)}
		if p.Table != "" {
			event["table"], event["rows"] = p.Table, p.Total
		}
		writeEvent(s.env.Stdout, event)
	case s.asJSON:
	case s.live && (begins || now.Sub(s.drawn) > 100*time.Millisecond):
		s.drawn = now
		width, _ := size(s.env.Stderr, true)
		fmt.Fprint(s.env.Stderr, "\r\x1b[K", fitting(width, "  "+inWords(p)))
	case !s.live && begins:
		fmt.Fprintln(s.env.Stderr, inWords(transfer.Progress{Stage: p.Stage, Table: p.Table, Total: p.Total}))
	}
}

func (s *migrateScreen) clear() {
	if s.live {
		fmt.Fprint(s.env.Stderr, "\r\x1b[K")
	}
}

// inWords says what happens.
func inWords(p transfer.Progress) string {
	switch p.Stage {
	case transfer.Copying, transfer.Comparing:
		verb := "Copying"
		if p.Stage == transfer.Comparing {
			verb = "Comparing"
		}
		if p.Done == 0 {
			return fmt.Sprintf("%s %s, %s", verb, p.Table, plural(p.Total, "row"))
		}
		return fmt.Sprintf("%s %s, %d of %s", verb, p.Table, p.Done, plural(max(p.Total, p.Done), "row"))
	case transfer.Indexing:
		return "Making indexes"
	case transfer.CatchUp:
		return "Copying what changed meanwhile"
	case transfer.ReadOnly:
		return "Nobody can write now"
	case transfer.Deciding:
		return "Going over to the new database"
	case transfer.Copied:
		return "The new database is complete"
	case transfer.Moved:
		return "Nothing is written to the old database any more"
	case transfer.Writable:
		return "The old database can be written to again"
	case transfer.Finishing:
		return "Finishing the move that was begun"
	default:
		return string(p.Stage)
	}
}

func plural(n int64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// done says what was moved, and what comes next.
func (s *migrateScreen) done(settings *config.Settings, to config.DatabaseURL, o migrateOptions, out transfer.Outcome) {
	var rows int64
	tables := map[string]int64{}
	for _, c := range out.Tables {
		rows += c.Rows
		tables[c.Table] = c.Rows
	}
	next := nextServer(settings)
	if s.asJSON {
		event := map[string]any{
			"event": "moved", "to": to.Place(), "rows": rows, "tables": tables, "read_only_ms": out.ReadOnly.Milliseconds(),
			"secret_file": secretPath(settings), "next": next,
		}
		if o.dryRun {
			event["event"] = "dry_run"
			delete(event, "next")
		}
		if out.Finished {
			event["finished"] = true
		}
		writeEvent(s.env.Stdout, event)
		return
	}
	w := s.env.Stdout
	pause := fmt.Sprintf("%.2f s", out.ReadOnly.Seconds())
	switch {
	case o.dryRun:
		fmt.Fprintf(w, "%s of %s could be moved to %s; each was copied, compared and found the same.\n", plural(rows, "row"), plural(int64(len(tables)), "table"), to.Place())
		fmt.Fprintf(w, "Nobody could write for %s. The old database is as it was, the new one empty.\n", pause)
		return
	case out.Finished:
		fmt.Fprintf(w, "The move to %s is complete now.\n", to.Place())
	default:
		fmt.Fprintf(w, "Moved %s of %s to %s; each was compared and is the same.\n", plural(rows, "row"), plural(int64(len(tables)), "table"), to.Place())
		fmt.Fprintf(w, "Nobody could write for %s. From now on nothing is written to %s.\n", pause, filepath.Join(settings.Data, databaseFile))
	}
	fmt.Fprintf(w, "\nNext, stop the server that runs on %s, and start it with the same settings and\n", settings.Data)
	fmt.Fprintf(w, "  %s\n", next)
	fmt.Fprintf(w, "Give every further server a copy of %s:\n", secretPath(settings))
	fmt.Fprintf(w, "  countersign serve --database URL --secret-file FILE\n")
}

// secretPath is the file with the server's secret.
func secretPath(s *config.Settings) string {
	if s.SecretFile != "" {
		return s.SecretFile
	}
	return filepath.Join(s.Data, secretFile)
}

// nextServer is how a server on this machine uses the database that the data of
// its directory was moved to.
func nextServer(s *config.Settings) string {
	return "countersign serve --database URL --secret-file " + shellWord(secretPath(s))
}

// openingFailure says why the SQLite database is not opened.
func openingFailure(s *config.Settings, err error) error {
	next := ""
	if moved, ok := errors.AsType[*sqlite.MovedError](err); ok {
		next = fmt.Sprintf("Name that database with --database %s; the server's secret is %s", shellWord("postgres://user@"+moved.To), secretPath(s))
	}
	return fail(settingCode(err), "opening the database", err, next)
}

// migrateFailure says why nothing was moved, and what to do about it.
func migrateFailure(s *config.Settings, to config.DatabaseURL, err error) error {
	const what = "moving the data"
	var moved *sqlite.MovedError
	var full *postgres.NotEmptyError
	var unfit *transfer.UnfitError
	var differ *transfer.DifferError
	var unfinished *transfer.UnfinishedError
	path := filepath.Join(s.Data, databaseFile)
	switch {
	case errors.As(err, &unfinished):
		return fail(ExitFailed, what, err, "Run the same command again as soon as the database is back; it goes on from there. Start no server on it before")
	case errors.As(err, &moved):
		return fail(ExitFailed, what, err, "Use it with: "+nextServer(s))
	case errors.Is(err, sqlite.ErrMoving):
		return fail(ExitFailed, what, err, "Wait for it to end")
	case errors.Is(err, sqlite.ErrOlder):
		return fail(ExitFailed, what, err, "Start the server with this version once, and migrate then")
	case errors.As(err, &full):
		return fail(ExitFailed, what, fmt.Errorf("%s cannot be moved into: %w", to.Place(), err),
			"Make a new, empty database for it (createdb NAME), and start no server on it before")
	case errors.Is(err, postgres.ErrInUse):
		return fail(ExitFailed, what, err, "Stop what uses "+to.Place()+"; a server may run on "+s.Data+" only")
	case errors.As(err, &unfit):
		return fail(ExitFailed, what, err, "Nothing was moved. Remove or mend these rows in "+path+" (with sqlite3), and migrate again")
	case errors.As(err, &differ):
		return fail(ExitVerification, what, err, "Nothing was moved. Look for triggers and rules in "+to.Place()+", and migrate again")
	case errors.Is(err, transfer.ErrTooFast):
		return fail(ExitFailed, what, err, "Nothing was moved. Try it when the server is less busy")
	case errors.Is(err, contract.ErrUnreachable):
		return fail(ExitNetwork, what, fmt.Errorf("%s: %w", to.Place(), err), "Nothing was moved. Check the address, and that PostgreSQL runs there")
	default:
		return fail(settingCode(err), what, err, "Nothing was moved")
	}
}
