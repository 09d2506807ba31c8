package cli

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What editors and shells add to a text is no part of the password in it.
func TestAPasswordIsReadHoweverItsFileWasWritten(t *testing.T) {
	const password = "correct horse battery staple"
	for text, want := range map[string]string{
		password:                               password,
		password + "\n":                        password,
		password + "\r\n":                      password,
		byteOrderMark + password + "\r\n":      password,
		"  " + password + " ":                  "  " + password + " ",
		"pass\ufeffword":                       "pass\ufeffword",
		"\xff\xfep\x00a\x00s\x00s\x00":         "", // UTF-16
		"\xfe\xff\x00p\x00a\x00s\x00s":         "",
		"p\x00a\x00s\x00s\x00w\x00o\x00r\x00d": "",
	} {
		file := filepath.Join(t.TempDir(), "password")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, p := range []passwordSource{{file: file}, {file: "-"}} {
			env := &Env{Stdin: strings.NewReader(text), Getenv: func(string) string { return "" }}
			got, _, err := p.given(t.Context(), env)
			var said *Failure
			switch {
			case want != "" && (got != want || err != nil):
				t.Errorf("%q in %s: %q, %v", text, p.file, got, err)
			case want == "" && (!errors.As(err, &said) || said.Code != ExitUsage || !strings.Contains(said.Error(), "UTF-8")):
				t.Errorf("%q in %s is taken for %q, %v", text, p.file, got, err)
			}
		}
	}
}
