package cli

import (
	"errors"
	"strings"
	"testing"
)

func TestAnAddressBecomesAServerInOnePlace(t *testing.T) {
	for text, want := range map[string]string{
		"http://localhost:8628":          "http://localhost:8628",
		"http://localhost:8628/":         "http://localhost:8628",
		" HTTP://LOCALHOST:8628// ":      "http://localhost:8628",
		"http://127.0.0.1:80":            "http://127.0.0.1",
		"http://[::1]:8628/":             "http://[::1]:8628",
		"https://ID.example.org:443/":    "https://id.example.org",
		"https://id.example.org:8443":    "https://id.example.org:8443",
		"https://id.example.org/tenant/": "https://id.example.org/tenant",
		"https://id.example.org:":        "https://id.example.org",
	} {
		if got, err := serverAddress(text); got != want || err != nil {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
	for server, want := range map[string]string{"https://id.example.org/api/auth": "https://id.example.org", "https://id.example.org": "https://id.example.org", "https://id.example.org/tenant": "https://id.example.org/tenant"} {
		if got := originOf(server); got != want {
			t.Errorf("%s is at %s", server, got)
		}
	}
	for text, next := range map[string]string{
		"localhost:8628":               "Write http://localhost:8628",
		"127.0.0.1:8628/":              "Write http://127.0.0.1:8628",
		"[::1]:8628":                   "Write http://[::1]:8628",
		"id.example.org":               "Write https://id.example.org",
		"":                             "Write it like http://localhost:8628",
		"http://id.example.org/":       "Write https://id.example.org",
		"http://192.0.2.7:8628":        "Write https://192.0.2.7:8628",
		"https://":                     "Write it like http://localhost:8628 or https://id.example.org",
		"ftp://id.example.org":         "Write it like http://localhost:8628 or https://id.example.org",
		"https://id.example.org\x00":   "Write it like http://localhost:8628 or https://id.example.org",
		"https://me:pw@id.example.org": "Write https://id.example.org",
		"https://id.example.org?a=b":   "Write https://id.example.org",
		"https://id.example.org/?":     "Write https://id.example.org/",
		"https://id.example.org#x":     "Write https://id.example.org",
	} {
		got, err := serverAddress(text)
		var said *Failure
		if got != "" || !errors.As(err, &said) || said.Code != ExitUsage || said.Next != next {
			t.Errorf("%q: %q, %v, next %q", text, got, err, said.Next)
		}
	}
}

// Nothing is sent, and no password asked for, where the address is none.
func TestAnAddressThatIsNoneIsRefusedByEachCommandThatTakesOne(t *testing.T) {
	for _, args := range []string{"login", "whoami", "token", "logout", "approve BCDF-GHJK", "deny BCDF-GHJK", "grants list", "grants revoke x", "receipt show x", "identity profile --name x"} {
		var said strings.Builder
		env := &Env{
			Stderr: &said, Stdout: &said,
			Getenv: func(name string) string { return map[string]string{"COUNTERSIGN_CONFIG_DIR": t.TempDir()}[name] },
		}
		code := Main(append(strings.Fields(args), "--server", "http://id.example.org"), env)
		if code != int(ExitUsage) || !strings.Contains(said.String(), "can be read on its way\nWrite https://id.example.org.\n") {
			t.Errorf("%s: %d %s", args, code, said.String())
		}
	}
}
