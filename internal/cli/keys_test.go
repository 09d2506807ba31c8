//go:build unix

package cli

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"countersign.dev/internal/config"
)

// listedKeys are the keys of an algorithm as `keys list --json` has them.
func (m *machine) listedKeys(alg string, flags ...string) (keys []keyListed) {
	m.t.Helper()
	out, _ := m.want(ExitDone, "", "", append([]string{"keys", "list", "--json"}, flags...)...)
	var listed struct{ Keys []keyListed }
	if err := json.Unmarshal([]byte(out), &listed); err != nil {
		m.t.Fatal(err)
	}
	for _, k := range listed.Keys {
		if k.Public == nil || !k.Public.IsPublic() || !k.Public.Valid() || k.Public.KeyID != k.ID || k.Public.Algorithm != k.Algorithm {
			m.t.Errorf("the public half of %s: %v", k.ID, k.Public)
		}
		if k.Algorithm == alg {
			keys = append(keys, k)
		}
	}
	return keys
}

// untilPublished waits until a server that runs has these keys of an algorithm and no
// others, which is a second at most.
func untilPublished(t *testing.T, issuer, alg string, want []keyListed) {
	t.Helper()
	for began := time.Now(); ; {
		r, err := http.Get(issuer + "/api/auth/jwks")
		if err != nil {
			t.Fatal(err)
		}
		var set struct{ Keys []struct{ Kid, Alg string } }
		err = json.NewDecoder(r.Body).Decode(&set)
		_ = r.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		var there, ids []string
		for _, k := range set.Keys {
			if k.Alg == alg {
				there = append(there, k.Kid)
			}
		}
		for _, k := range want {
			ids = append(ids, k.ID)
		}
		if slices.Equal(there, ids) {
			return
		}
		if time.Since(began) > 20*time.Second {
			t.Fatalf("the key set has %v, want %v", there, ids)
		}
	}
}

// signedBy is the key that signed the token that is kept.
func (m *machine) signedBy() string {
	m.t.Helper()
	token, _ := m.want(ExitDone, "", "", "token")
	encoded, _, _ := strings.Cut(token, ".")
	var header struct{ Kid string }
	b, err := base64.RawURLEncoding.DecodeString(encoded)
	if err := errors.Join(err, json.Unmarshal(b, &header)); err != nil {
		m.t.Fatal(err)
	}
	return header.Kid
}

func TestM08_TheOperatorRotatesAndWithdrawsKeysWhileTheServerRuns(t *testing.T) {
	inFull(t)
	for name, settings := range map[string]func(t *testing.T, m *machine) *config.Settings{
		"on SQLite": func(t *testing.T, m *machine) *config.Settings {
			m.env["COUNTERSIGN_DATA"] = t.TempDir()
			return demoSettings(m.env["COUNTERSIGN_DATA"])
		},
		"on PostgreSQL": func(t *testing.T, m *machine) *config.Settings {
			m.env["COUNTERSIGN_DATA"], m.env["COUNTERSIGN_DATABASE"] = t.TempDir(), emptyDatabase(t)
			s := demoSettings(m.env["COUNTERSIGN_DATA"])
			s.Database = config.DatabaseURL(m.env["COUNTERSIGN_DATABASE"])
			return s
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMachine(t)
			m.env["COUNTERSIGN_CONFIG"] = os.DevNull
			issuer := runServer(t, settings(t, m))
			m.signIn(newOwner(t, issuer), "--bearer")
			first := m.listedKeys("ES256")[0]
			if first.State != "active" || first.SignsUntil != 0 {
				t.Errorf("%+v", first)
			}
			m.want(ExitDone, "", "ES256 key", "keys", "rotate", "ES256")
			rotated := m.listedKeys("ES256")
			if len(rotated) != 2 || rotated[0].SignsUntil != rotated[1].SignsFrom || rotated[1].State != "pending" || rotated[0].LeavesAt == 0 {
				t.Fatalf("%+v", rotated)
			}
			untilPublished(t, issuer, "ES256", rotated)
			m.want(ExitDone, first.ID, "", "keys", "list")
			m.want(ExitDone, "", "It signs until", "keys", "retire", first.ID)
			if again := m.listedKeys("ES256"); len(again) != 2 {
				t.Errorf("retired twice: %+v", again)
			}

			m.want(ExitDone, "", "Withdrawn", "keys", "retire", first.ID, "--now")
			untilPublished(t, issuer, "ES256", rotated[1:])
			if kid := m.signedBy(); kid != first.ID {
				t.Errorf("%s has signed the token that is kept", kid)
			}
			m.want(ExitDone, "", "", "whoami") // whose token is refused, and renewed
			if kid := m.signedBy(); kid != rotated[1].ID {
				t.Errorf("%s has signed the token that is kept then", kid)
			}
			all := m.listedKeys("ES256", "--all")
			if len(all) != 2 || all[0].ID != first.ID || all[0].State != "withdrawn" || all[0].WithdrawnAt == 0 || all[1].State != "active" {
				t.Errorf("%+v", all)
			}
			m.want(ExitFailed, "", "no such key signs", "keys", "retire", first.ID, "--now")
			m.want(ExitFailed, "", "no such key signs", "keys", "retire", "nobody's")
			m.want(ExitUsage, "", "ES256, RS256, EdDSA", "keys", "rotate", "HS256")

			elsewhere := filepath.Join(t.TempDir(), "secret")
			if err := os.WriteFile(elsewhere, []byte("another secret of thirty-two bytes"), 0o600); err != nil {
				t.Fatal(err)
			}
			m.want(ExitFailed, "", "not sealed with this secret", "keys", "rotate", "--secret-file", elsewhere)
			m.want(ExitUsage, "", "no such file", "keys", "rotate", "--secret-file", elsewhere+"s")
			if m.env["COUNTERSIGN_DATABASE"] != "" {
				m.env["COUNTERSIGN_DATA"] = t.TempDir()
				m.want(ExitFailed, "", "there is no secret here", "keys", "rotate")
			}
			if left := m.listedKeys("ES256"); len(left) != 1 {
				t.Errorf("what was refused was done: %+v", left)
			}
			if code, out, said := m.run("__complete", "keys", "retire", ""); code != ExitDone || !strings.Contains(out, rotated[1].ID) || strings.Contains(out, first.ID) {
				t.Errorf("completed with %q: %s", out, said)
			}
		})
	}
}
