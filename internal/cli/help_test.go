//go:build unix

package cli

import (
	"strings"
	"testing"
)

func TestWhatIsNoCommandIsRefusedWithTheOneThatWasMeant(t *testing.T) {
	for args, next := range map[string]string{
		"lgin":                            "Did you mean login?",
		"lgin --server http://localhost":  "Did you mean login?",
		"idnetity list":                   "Did you mean identity?",
		"s":                               seeHelp + ".",
		"nonsense":                        seeHelp + ".",
		"nonsense --version":              seeHelp + ".",
		"grants lsit":                     "Did you mean list?",
		"grants lsit --help":              "Did you mean list?",
		"grants --server x lsit":          "Did you mean list?",
		"clients --data x lst":            "Did you mean list?",
		"identity crate satoshi":          "Did you mean create?",
		"accounts frob":                   seeHelp + ".",
		"receipt x":                       seeHelp + ".",
		"completion tcsh":                 seeHelp + ".",
		"completion zhs":                  "Did you mean zsh?",
		"help nonsense":                   seeHelp + ".",
		"help lgoin":                      "Did you mean login?",
		"help grants lsit":                "Did you mean list?",
		"login --servr http://localhost":  "Did you mean --server?",
		"clients list --databse x":        "Did you mean --database?",
		"clients list --listen localhost": seeHelp + ".",
		"login -x":                        seeHelp + ".",
	} {
		code, out, said := newMachine(t).run(strings.Fields(args)...)
		first, second, _ := strings.Cut(said, "\n")
		if code != ExitUsage || out != "" || !strings.Contains(first, "unknown ") || second != next+"\n" {
			t.Errorf("%s: exit code %d: %s%s", args, code, out, said)
		}
	}
	for args, says := range map[string]string{
		"approve":            "something is missing\nUse it like this: \"countersign approve CODE\".",
		"login extra":        "there is too much or too little\nUse it like this: \"countersign login\".",
		"identity show a b":  "there is too much or too little\nUse it like this: \"countersign identity show [NAME]\".",
		"completion zsh all": "\"countersign completion zsh\".",
	} {
		if code, out, said := newMachine(t).run(strings.Fields(args)...); code != ExitUsage || out != "" || !strings.HasSuffix(said, says+"\n") {
			t.Errorf("%s: exit code %d: %s%s", args, code, out, said)
		}
	}
	for _, args := range []string{"", "help", "grants", "grants --help", "help grants list", "completion", "completion zsh", "--version"} {
		if code, out, said := newMachine(t).run(strings.Fields(args)...); code != ExitDone || out == "" || said != "" {
			t.Errorf("%s: exit code %d: %s%s", args, code, out, said)
		}
	}
}
