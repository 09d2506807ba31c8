package cli

import (
	"encoding/json"
	"errors"
	"go/parser"
	"go/token"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// allowed says which rooms of the house a room may import (ARCHITECTURE.md). What is not
// said is not allowed: a new room imports nothing, and is imported by nothing, until it is
// in here.
var allowed = map[string][]string{
	"bitcoinauth": {},
	"bap":         {},
	"details":     {},
	"dpop":        {},
	"receipt":     {"bap", "bitcoinauth", "details", "dpop"},
	"deviceflow":  {"details", "dpop"},
	"protect":     {"bitcoinauth", "dpop"},

	"internal/authz":            {},
	"internal/authz/contract":   {"internal/authz"},
	"internal/authz/usercode":   {},
	"internal/authz/ciphertext": {},
	"internal/authz/scopes":     {"internal/authz"},
	"internal/authz/secret":     {"internal/authz", "internal/authz/contract"},
	"internal/authz/audit":      {"internal/authz", "internal/authz/contract", "internal/authz/secret"},
	"internal/authz/guard":      {"internal/authz", "internal/authz/contract", "internal/authz/usercode"},
	"internal/authz/proof":      {"internal/authz", "internal/authz/contract", "internal/authz/guard", "internal/authz/secret", "bap", "bitcoinauth", "dpop"},
	"internal/authz/token":      {"internal/authz", "internal/authz/contract", "internal/authz/scopes", "internal/authz/secret"},
	"internal/authz/client":     {"internal/authz", "internal/authz/contract", "internal/authz/audit", "internal/authz/scopes", "internal/authz/guard", "internal/authz/proof"},
	"internal/authz/account": {
		"internal/authz", "internal/authz/contract", "internal/authz/audit", "internal/authz/ciphertext", "internal/authz/guard", "internal/authz/proof", "internal/authz/secret", "internal/authz/usercode", "bitcoinauth",
	},
	"internal/authz/passkey": {"internal/authz", "internal/authz/contract", "internal/authz/account", "internal/authz/audit", "internal/authz/guard", "internal/authz/secret"},
	"internal/authz/grant": {
		"internal/authz", "internal/authz/contract", "internal/authz/audit", "internal/authz/client", "internal/authz/guard", "internal/authz/proof", "internal/authz/scopes", "internal/authz/secret",
		"internal/authz/token", "bap", "details",
	},
	"internal/authz/consent": {"internal/authz", "internal/authz/contract", "internal/authz/audit", "internal/authz/client", "internal/authz/scopes"},
	"internal/authz/device": {
		"internal/authz", "internal/authz/contract", "internal/authz/audit", "internal/authz/client", "internal/authz/grant", "internal/authz/guard", "internal/authz/proof", "internal/authz/scopes",
		"internal/authz/secret", "internal/authz/token", "internal/authz/usercode", "details", "dpop",
	},
	"internal/authz/approval": {
		"internal/authz", "internal/authz/contract", "internal/authz/audit", "internal/authz/client", "internal/authz/consent", "internal/authz/device", "internal/authz/grant",
		"internal/authz/guard",
		"internal/authz/passkey", "internal/authz/scopes", "internal/authz/secret", "internal/authz/statement", "internal/authz/usercode",
	},
	"internal/authz/statement": {"internal/authz", "internal/authz/passkey", "bitcoinauth", "details", "receipt"},
	"internal/authz/code": {
		"internal/authz", "internal/authz/contract", "internal/authz/approval", "internal/authz/audit", "internal/authz/client", "internal/authz/device",
		"internal/authz/grant", "internal/authz/proof", "internal/authz/scopes", "internal/authz/secret",
		"internal/authz/token", "dpop",
	},
	"internal/authz/agent": {
		"internal/authz", "internal/authz/contract", "internal/authz/audit", "internal/authz/client", "internal/authz/grant", "internal/authz/guard", "internal/authz/proof", "internal/authz/secret",
		"internal/authz/token", "receipt",
	},
	"internal/issuer": {"internal/authz", "internal/authz/..."},

	"internal/server":               {"internal/authz", "internal/issuer", "internal/server/agents", "internal/server/api", "internal/server/oauth", "internal/server/owners", "internal/server/page", "internal/server/page/assets", "internal/server/wire", "bitcoinauth", "dpop"},
	"internal/server/agents":        {"internal/authz", "internal/authz/agent", "internal/authz/statement", "internal/issuer", "internal/server/owners", "internal/server/wire", "receipt"},
	"internal/server/api":           {"internal/authz", "internal/authz/...", "internal/issuer", "internal/server/owners", "internal/server/wire", "bitcoinauth", "receipt"},
	"internal/server/owners":        {"internal/authz", "internal/authz/...", "internal/issuer", "internal/server/wire", "bitcoinauth"},
	"internal/server/oauth":         {"internal/authz", "internal/authz/...", "internal/issuer", "internal/server/wire", "bitcoinauth", "details", "dpop"},
	"internal/server/page":          {"internal/authz", "internal/authz/...", "internal/issuer", "internal/server/page/assets", "internal/server/page/messages", "internal/server/page/view", "internal/server/wire"},
	"internal/server/page/assets":   {"internal/authz"},
	"internal/server/page/messages": {"internal/authz"},
	"internal/server/page/view":     {"internal/authz", "internal/authz/...", "internal/server/page/messages"},
	"internal/server/wire":          {"internal/authz", "internal/authz/...", "internal/issuer", "bitcoinauth", "dpop", "receipt"},

	"internal/storage/group":           {},
	"internal/storage/kept":            {"internal/authz", "internal/authz/contract"},
	"internal/storage/sqlite":          {"internal/authz", "internal/authz/contract", "internal/storage/group", "internal/storage/kept"},
	"internal/storage/postgres":        {"internal/authz", "internal/authz/contract", "internal/storage/group", "internal/storage/kept"},
	"internal/storage/postgres/pgtest": {},
	"internal/storage/storagetest":     {"internal/authz", "internal/authz/contract"},
	"internal/storage/transfer":        {"internal/authz", "internal/authz/contract", "internal/storage/postgres", "internal/storage/sqlite"},

	"internal/config": {},
	"internal/cli": {
		"internal/authz", "internal/authz/contract", "internal/authz/client", "internal/authz/scopes", "internal/authz/secret", "internal/authz/token", "internal/config", "internal/issuer", "internal/server", "internal/server/page/assets", "internal/server/wire",
		"internal/storage/postgres", "internal/storage/sqlite", "internal/storage/transfer", "bap", "bitcoinauth", "details", "deviceflow", "dpop", "receipt",
	},
	"cmd/countersign": {"internal/cli"},

	"web":                  {},
	"e2e":                  {},
	"e2e/browser":          {},
	"bench/baseline":       {},
	"bench/capacity":       {"bench/internal/model"},
	"bench/cost":           {"bench/internal/model", "bench/internal/trial", "internal/authz"},
	"bench/database":       {"internal/storage/postgres/pgtest"},
	"bench/deviceload":     {"bench/internal/trial"},
	"bench/growth":         {"bench/internal/trial"},
	"bench/internal/model": {},
	"bench/internal/trial": {"bap", "bitcoinauth", "internal/authz", "internal/storage/postgres/pgtest"},
	"bench/signin":         {"bench/internal/trial"},
	"bench/simulate":       {"bench/internal/model"},
	"bench/waiting":        {"bench/internal/trial", "internal/authz", "internal/issuer", "internal/server", "internal/storage/sqlite"},
}

// outside are packages of the standard library and others that a room, and all that begins
// with its path and "/...", must not import, however convenient.
var outside = map[string][]string{
	"internal/authz":     {"net/http", "database/sql", "zombiezen.com/go/sqlite", "github.com/jackc/pgx/v5"},
	"internal/authz/...": {"net/http", "database/sql", "zombiezen.com/go/sqlite", "github.com/jackc/pgx/v5"},
	"internal/issuer":    {"net/http", "database/sql", "zombiezen.com/go/sqlite", "github.com/jackc/pgx/v5"},
	"internal/cli":       {"database/sql", "zombiezen.com/go/sqlite", "github.com/jackc/pgx/v5"},
	"deviceflow":         {"github.com/spf13/cobra"},
}

// operators are the files of internal/cli that operators' commands are made of. All others
// are of devices' and owners' commands, and use the public packages and settings only.
var operators = []string{
	"announce.go", "brand.go", "clients.go", "completion.go", "keys.go", "log.go", "migrate.go", "secret.go", "serve.go", "store.go",
}

func among(room string, rooms []string) bool {
	return slices.ContainsFunc(rooms, func(r string) bool {
		below, all := strings.CutSuffix(r, "...")
		return r == room || (all && strings.HasPrefix(room, below))
	})
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
		if !listed {
			t.Errorf("%s is a new room: say in the table what it may import", room)
			continue
		}
		rooms++
		for _, i := range p.Imports {
			for barred, never := range outside {
				if among(room, []string{barred}) && slices.Contains(never, i) {
					t.Errorf("%s imports %s", room, i)
				}
			}
			if other, ours := strings.CutPrefix(i, module); ours && !among(other, may) {
				t.Errorf("%s imports %s", room, other)
			}
		}
	}
	if rooms != len(allowed) {
		t.Errorf("%d of %d rooms were found: mend the table", rooms, len(allowed))
	}
}

func TestCommandsOfDevicesAndOwnersUsePublicPackagesOnly(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		if slices.Contains(operators, file) {
			found++
			continue
		}
		for _, i := range f.Imports {
			path, err := strconv.Unquote(i.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			if other, internal := strings.CutPrefix(path, "countersign.dev/internal/"); internal && other != "config" {
				t.Errorf("%s imports %s", file, other)
			}
		}
	}
	if found != len(operators) {
		t.Errorf("%d of %d files of operators were found: mend the list", found, len(operators))
	}
}
