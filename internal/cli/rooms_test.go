package cli

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// allowed says which rooms of the house a room may import (ARCHITECTURE.md).
var allowed = map[string][]string{
	"bitcoinauth":                      {},
	"bap":                              {},
	"receipt":                          {"bap", "bitcoinauth"},
	"deviceflow":                       {},
	"internal/authz":                   {"bap", "bitcoinauth", "receipt"},
	"internal/config":                  {},
	"internal/server":                  {"internal/authz", "internal/server/api", "internal/server/oauth", "internal/server/page", "internal/server/wire", "bitcoinauth"},
	"internal/server/api":              {"internal/authz", "internal/server/wire", "bitcoinauth"},
	"internal/server/oauth":            {"internal/authz", "internal/server/wire", "bitcoinauth"},
	"internal/server/page":             {"internal/authz", "internal/server/wire"},
	"internal/server/wire":             {"internal/authz", "bitcoinauth", "receipt"},
	"internal/storage/kept":            {"internal/authz"},
	"internal/storage/sqlite":          {"internal/authz", "internal/storage/group", "internal/storage/kept"},
	"internal/storage/postgres":        {"internal/authz", "internal/storage/group", "internal/storage/kept"},
	"internal/storage/postgres/pgtest": {},
	"internal/storage/storagetest":     {"internal/authz"},
	"internal/storage/transfer":        {"internal/authz", "internal/storage/postgres", "internal/storage/sqlite"},
	"internal/storage/group":           {},
	"cmd/countersign":                  {"internal/cli"},
}

// outside are packages of the standard library and others that a room must not
// import, however convenient.
var outside = map[string][]string{
	"internal/authz": {"net/http", "database/sql", "zombiezen.com/go/sqlite", "github.com/jackc/pgx/v5"},
	"internal/cli":   {"database/sql", "zombiezen.com/go/sqlite", "github.com/jackc/pgx/v5"},
	"deviceflow":     {"github.com/spf13/cobra"},
}

func TestTheArrowsBetweenRoomsPointOneWay(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Imports", "countersign.dev/...").Output()
	if err != nil {
		t.Fatal(err)
	}
	const module = "countersign.dev/"
	rooms := 0
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p struct {
			ImportPath string
			Imports    []string
		}
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		room := strings.TrimPrefix(p.ImportPath, module)
		may, listed := allowed[room]
		for _, i := range p.Imports {
			for _, never := range outside[room] {
				if i == never {
					t.Errorf("%s imports %s", room, i)
				}
			}
			if other, ours := strings.CutPrefix(i, module); ours && listed && !slices.Contains(may, other) {
				t.Errorf("%s imports %s", room, other)
			}
		}
		if listed {
			rooms++
		}
	}
	if rooms != len(allowed) {
		t.Errorf("%d of %d rooms were found: mend the table", rooms, len(allowed))
	}
}
