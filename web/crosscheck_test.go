// Package web_test reads with the Go packages what the browser's scripts wrote:
// testdata/made-here.json is made, and held to be current, by their own tests.
package web_test

import (
	"encoding/json"
	"os"
	"slices"
	"testing"
	"time"

	"countersign.dev/bap"
	"countersign.dev/bitcoinauth"
)

type madeHere struct {
	Password  string
	CreatedAt time.Time
	Backups   []struct {
		Kind   bap.Kind
		BEP    string
		BAPIDs []string `json:"bapIds"`
		Names  []string
	}
	Tokens []struct {
		Path, Body, Token, Pubkey string
		BAPID                     string `json:"bapId"`
	}
}

func read(tb testing.TB) madeHere {
	tb.Helper()
	raw, err := os.ReadFile("testdata/made-here.json")
	if err != nil {
		tb.Fatal(err)
	}
	var made madeHere
	if err := json.Unmarshal(raw, &made); err != nil {
		tb.Fatal(err)
	}
	if len(made.Backups) == 0 || len(made.Tokens) == 0 {
		tb.Fatal("nothing in it")
	}
	return made
}

func TestBackupsMadeInTheBrowserAreReadHere(t *testing.T) {
	made := read(t)
	for _, want := range made.Backups {
		got, err := bap.DecryptBackup(want.BEP, made.Password)
		if err != nil {
			t.Fatalf("%s: %v", want.Kind, err)
		}
		var ids, names []string
		for _, i := range got.Identities {
			ids, names = append(ids, i.BAPID()), append(names, i.Name)
		}
		if got.Kind != want.Kind || !got.CreatedAt.Equal(made.CreatedAt) || !slices.Equal(ids, want.BAPIDs) || !slices.Equal(names, want.Names) {
			t.Errorf("%s came back as %s of %s with %v %q", want.Kind, got.Kind, got.CreatedAt, ids, names)
		}
	}
}

func TestTokensMadeInTheBrowserAreGoodHere(t *testing.T) {
	made := read(t)
	for _, want := range made.Tokens {
		got, err := bitcoinauth.Verify(want.Token, bitcoinauth.Check{Path: want.Path, Body: []byte(want.Body), Now: made.CreatedAt, RefuseBSM: true})
		if err != nil {
			t.Errorf("%s: %v", want.Path, err)
			continue
		}
		key, err := bap.ParsePublicKey(got.PublicKey)
		if err != nil {
			t.Fatal(err)
		}
		if id, err := bap.ID(key); err != nil || id != want.BAPID || got.PublicKey != want.Pubkey || got.BodySigned != (want.Body != "") {
			t.Errorf("%s: %s %s %v", want.Path, got.PublicKey, id, err)
		}
	}
}
