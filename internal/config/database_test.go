package config_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"countersign.dev/internal/config"
)

func TestADatabaseIsShownWithoutItsPassword(t *testing.T) {
	for url, place := range map[string]string{
		"postgres://ann:hunter2@db.example.org/countersign":                         "db.example.org/countersign",
		"postgresql://ann:hunter2@[::1]:5433/countersign?sslmode=disable":           "[::1]:5433/countersign",
		"postgres://ann@one:5432,two:5433/countersign?password=hunter2":             "one:5432,two:5433/countersign",
		"postgres:///countersign?host=/run/postgresql&password=hunter2":             "/countersign",
		"postgres://ann:hunter2%2F%40%3A@db/countersign?sslrootcert=/etc/ssl/a.pem": "db/countersign",
	} {
		s, err := load(t, "", map[string]string{"COUNTERSIGN_DATABASE": url})
		if err != nil {
			t.Errorf("%s: %v", url, err)
			continue
		}
		if s.Database.Reveal() != url || s.Database.Place() != place {
			t.Errorf("%s is shown as %s", url, s.Database.Place())
		}
		var log strings.Builder
		slog.New(slog.NewJSONHandler(&log, nil)).Info("settings", "database", s.Database, "all", s)
		asJSON, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		for _, shown := range []string{fmt.Sprintf("%v %+v %#v %s %q", *s, s, s, s.Database, s.Database), log.String(), string(asJSON)} {
			if strings.Contains(shown, "hunter2") || strings.Contains(shown, "ann") {
				t.Errorf("%s: printed as %s", url, shown)
			}
		}
	}
}

func TestAWrongDatabaseIsAnErrorThatQuotesNothing(t *testing.T) {
	for url, wants := range map[string]string{
		"mysql://ann:hunter2@db/countersign":        "must be like postgres://user@host/name",
		"host=db password=hunter2":                  "must be like postgres://user@host/name",
		"hunter2":                                   "must be like postgres://user@host/name",
		"postgres://ann:hunter2@db:many/x":          "must be like postgres://user@host/name",
		"postgres://ann:hunter2@db":                 "must name the database",
		"postgres://ann:hunter2@db/?sslmode=prefer": "must name the database",
		// Pieces of a password in each place where a forgotten escape puts them.
		"postgres://ann:12/hunter2@db/countersign": "percent-encoded",
		"postgres://ann:12?hunter2@db/countersign": "percent-encoded",
		"postgres://ann:12#hunter2@db/countersign": "percent-encoded",
		"postgres://ann:12@hunter2@db/countersign": "percent-encoded",
		"postgres://db/countersign#hunter2":        "percent-encoded",
		"postgres://ann:hunter2%zz@db/countersign": "must be like postgres://user@host/name",
	} {
		for _, from := range []struct {
			file string
			args []string
		}{{args: []string{"--database", url}}, {file: "database = '" + url + "'\n"}} {
			_, err := load(t, from.file, nil, from.args...)
			var wrong *config.Error
			if !errors.As(err, &wrong) || wrong.Setting != "database" || !strings.Contains(err.Error(), wants) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("%s: %v, wants %s", url, err, wants)
			}
		}
	}
}
