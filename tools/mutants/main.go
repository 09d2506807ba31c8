// Command mutants changes the conditions of our code one by one, runs the tests,
// and names each change that no test notices.
//
// The code is rewritten once, into a temporary directory that the build is told
// of: each condition asks whether it is to be always true, never true, without one
// of its parts, or with its bound moved. So the tests are built once, and each
// mutant is a run of those tests that reach its condition. Conditions in SQL are
// mutated in the same way.
//
// A change that makes no difference is named in equivalent.txt, with the reason.
// The program fails when a mutant survives that is not there, and when one is
// there that no longer exists.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"
)

// runtimePath is the package that asks which mutant is chosen.
const runtimePath = "countersign.dev/internal/mutants"

// judged are the packages that are mutated, and by whose tests. Those of the
// server go through the front door, and so through nearly all the others.
var judged = []struct {
	dir, by string
	sql     bool
}{
	{dir: "bap", by: "bap bitcoinauth receipt internal/server"},
	{dir: "bitcoinauth", by: "bitcoinauth receipt internal/server"},
	{dir: "details", by: "details"},
	{dir: "dpop", by: "dpop"},
	{dir: "receipt", by: "receipt internal/server"},
	{dir: "deviceflow", by: "deviceflow"},
	{dir: "protect", by: "protect internal/server"},
	{dir: "internal/authz", by: "internal/authz internal/issuer internal/server"},
	{dir: "internal/authz/contract", by: "internal/authz/contract internal/issuer internal/server"},
	{dir: "internal/authz/usercode", by: "internal/authz/usercode internal/issuer internal/server"},
	{dir: "internal/authz/ciphertext", by: "internal/authz/ciphertext internal/server"},
	{dir: "internal/authz/scopes", by: "internal/authz/scopes internal/issuer internal/server"},
	{dir: "internal/authz/secret", by: "internal/authz/secret internal/issuer internal/server"},
	{dir: "internal/authz/audit", by: "internal/authz/audit internal/issuer internal/server"},
	{dir: "internal/authz/guard", by: "internal/authz/guard internal/issuer internal/server"},
	{dir: "internal/authz/proof", by: "internal/authz/proof internal/issuer internal/server"},
	{dir: "internal/authz/token", by: "internal/authz/token internal/issuer internal/server"},
	{dir: "internal/authz/client", by: "internal/authz/client internal/issuer internal/server"},
	{dir: "internal/authz/account", by: "internal/authz/account internal/issuer internal/server"},
	{dir: "internal/authz/passkey", by: "internal/authz/passkey internal/issuer internal/server"},
	{dir: "internal/authz/grant", by: "internal/authz/grant internal/issuer internal/server"},
	{dir: "internal/authz/agent", by: "internal/server"},
	{dir: "internal/authz/consent", by: "internal/issuer internal/server"},
	{dir: "internal/authz/device", by: "internal/authz/device internal/issuer internal/server"},
	{dir: "internal/authz/approval", by: "internal/authz/approval internal/issuer internal/server"},
	{dir: "internal/authz/statement", by: "internal/issuer internal/server"},
	{dir: "internal/authz/code", by: "internal/authz/code internal/issuer internal/server"},
	{dir: "internal/issuer", by: "internal/issuer internal/server"},
	{dir: "internal/server", by: "internal/server"},
	{dir: "internal/server/wire", by: "internal/server/wire internal/server"},
	{dir: "internal/server/api", by: "internal/server"},
	{dir: "internal/server/oauth", by: "internal/server"},
	{dir: "internal/server/owners", by: "internal/server"},
	{dir: "internal/server/page", by: "internal/server"},
	{dir: "internal/server/page/assets", by: "internal/server"},
	{dir: "internal/server/page/view", by: "internal/server"},
	{dir: "internal/server/page/messages", by: "internal/server"},
	{dir: "internal/storage/kept", by: "internal/storage/kept internal/storage/sqlite"},
	{dir: "internal/storage/sqlite", by: "internal/storage/sqlite internal/storage/transfer internal/server", sql: true},
	{dir: "internal/storage/postgres", by: "internal/storage/postgres internal/storage/transfer", sql: true},
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(1)
	}
}

// options are the command's flags.
type options struct {
	root, packages, only string
	sample, workers      int
	all, list            bool
	quickly, own         bool
}

// flags are the options that the command was given.
func flags() (o options, err error) {
	flag.StringVar(&o.root, "root", ".", "where the repository is")
	flag.StringVar(&o.packages, "package", "", "mutate only these packages: their directories, with commas")
	flag.StringVar(&o.only, "only", "", "only mutants whose name holds this text, or is a line of this @file")
	flag.IntVar(&o.sample, "sample", 0, "only so many of the mutants, drawn at random")
	flag.IntVar(&o.workers, "workers", runtime.NumCPU(), "how many tests run at once")
	flag.BoolVar(&o.all, "all", false, "try those that are listed as equivalent too")
	flag.BoolVar(&o.quickly, "quick", false, "ask a few tests of each package only: the first pass over new code; more survive than should")
	flag.BoolVar(&o.own, "own", false, "ask the tests of the package itself only")
	flag.BoolVar(&o.list, "list", false, "only name the mutants and check the list of equivalents")
	flag.Parse()
	o.root, err = filepath.Abs(o.root)
	return o, err
}

func run(ctx context.Context) error {
	o, err := flags()
	if err != nil {
		return err
	}
	work, err := os.MkdirTemp("", "mutants-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(work) }()
	// PostgreSQL runs as a user of its own, and removes what it has in here.
	if err := os.Chmod(work, 0o777|os.ModeSticky); err != nil {
		return err
	}
	h := &codebase{options: o, dir: work}
	if err := h.rewrite(ctx); err != nil {
		return err
	}
	equivalents, err := readEquivalents(filepath.Join(o.root, "tools", "mutants", "equivalent.txt"))
	if err != nil {
		return err
	}
	gone := equivalents.gone(h.mutants, h.dirs())
	tried, err := h.chosen(equivalents)
	if err != nil {
		return err
	}
	var survived []string
	if o.list {
		for _, m := range tried {
			fmt.Println(m.name)
		}
	} else {
		if err := h.build(ctx, tried); err != nil {
			return err
		}
		if survived, err = h.try(ctx, tried, equivalents); err != nil {
			return err
		}
	}
	for _, name := range survived {
		fmt.Println("survived:", name)
	}
	for _, name := range gone {
		fmt.Println("no longer there:", name)
	}
	if len(survived)+len(gone) > 0 {
		return fmt.Errorf("%d mutants survived, %d names in equivalent.txt are of none", len(survived), len(gone))
	}
	if !o.list {
		fmt.Println("every mutant is noticed by a test, or named as equivalent with its reason")
	}
	return nil
}

// chosen are the mutants that are to be tried.
func (h *codebase) chosen(e *equivalents) (tried []mutant, err error) {
	only, err := h.named()
	if err != nil {
		return nil, err
	}
	for _, m := range h.mutants {
		if only(m.name) && (h.all || !e.has(m.name)) {
			tried = append(tried, m)
		}
	}
	if h.sample > 0 && h.sample < len(tried) {
		rand.Shuffle(len(tried), func(i, j int) { tried[i], tried[j] = tried[j], tried[i] })
		tried = tried[:h.sample]
	}
	return tried, nil
}

// named returns what reports whether a mutant's name is asked for.
func (o options) named() (func(name string) bool, error) {
	file, ok := strings.CutPrefix(o.only, "@")
	if !ok {
		return func(name string) bool { return strings.Contains(name, o.only) }, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	lines := strings.Split(string(text), "\n")
	return func(name string) bool { return slices.Contains(lines, name) }, nil
}

// reached says of a mutant that survived what is to be known beside its name.
func (h *codebase) reached(m mutant) string {
	for _, dir := range h.judges(m.pkg) {
		if len(h.binary[dir].reaching[m.id]) > 0 {
			return "survived: "
		}
	}
	return "reached by no test: "
}

// verdict is what became of a mutant.
type verdict string

const (
	killed   verdict = "killed"
	timedOut verdict = "timed out"
	survived verdict = "survived"
)

// try judges mutants, several at once, and returns the names of those that
// survived and are not listed.
func (h *codebase) try(ctx context.Context, tried []mutant, e *equivalents) (alive []string, err error) {
	type count map[string]int
	counts := map[string]count{}
	for _, m := range h.mutants {
		if counts[m.pkg] == nil {
			counts[m.pkg] = count{}
		}
		counts[m.pkg]["made"]++
		if e.has(m.name) {
			counts[m.pkg]["equivalent"]++
		}
	}
	queue := make(chan mutant)
	var mu sync.Mutex
	var together sync.WaitGroup
	began, done := time.Now(), 0
	for range h.workers {
		together.Go(func() {
			for m := range queue {
				v, failed := h.judge(ctx, m)
				mu.Lock()
				err = errors.Join(err, failed)
				counts[m.pkg][string(v)]++
				done++
				if v == survived && !e.has(m.name) {
					fmt.Println(h.reached(m) + m.name)
					alive = append(alive, m.name)
				}
				if v != survived && e.has(m.name) {
					fmt.Printf("%s, though listed as equivalent: %s\n", v, m.name)
				}
				if done%100 == 0 {
					fmt.Printf("%d of %d after %v, %d survived\n", done, len(tried), time.Since(began).Round(time.Second), len(alive))
				}
				mu.Unlock()
			}
		})
	}
	for _, m := range tried {
		if ctx.Err() != nil {
			break
		}
		queue <- m
	}
	close(queue)
	together.Wait()
	if err = errors.Join(err, ctx.Err()); err != nil {
		return nil, err
	}
	fmt.Printf("%-28s %8s %8s %10s %10s %11s\n", "package", "made", "killed", "timed out", "survived", "equivalent")
	for _, dir := range h.dirs() {
		c := counts[dir]
		fmt.Printf("%-28s %8d %8d %10d %10d %11d\n", dir, c["made"], c[string(killed)], c[string(timedOut)], c[string(survived)], c["equivalent"])
	}
	slices.Sort(alive)
	return alive, nil
}
