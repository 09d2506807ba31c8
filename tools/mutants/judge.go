package main

import (
	"bytes"
	"cmp"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// record runs all tests, one after the other, with no mutant chosen.
func (h *codebase) record(ctx context.Context, b *binary) error {
	path := b.path + ".record"
	if out, err := h.test(ctx, b, 10*time.Minute, []string{"-test.parallel=1"}, "MUTANT_RECORD="+path); err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	text, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	b.took, b.reaching, b.reaches = map[string]time.Duration{}, map[int][]string{}, map[string]int{}
	test := ""
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSuffix(line, "\n")
		if name, ok := strings.CutPrefix(line, "in "); ok {
			test = name
			continue
		}
		if after, ok := strings.CutPrefix(line, "after "); ok {
			ms, name, _ := strings.Cut(after, " ")
			n, err := strconv.Atoi(ms)
			if err != nil {
				return err
			}
			b.took[name] = time.Duration(n) * time.Millisecond
			continue
		}
		id, err := strconv.Atoi(line)
		if err != nil {
			return err
		}
		if !slices.Contains(b.reaching[id], test) {
			b.reaching[id] = append(b.reaching[id], test)
			b.reaches[test]++
		}
	}
	for _, tests := range b.reaching {
		slices.SortFunc(tests, func(x, y string) int { return cmp.Compare(b.took[x], b.took[y]) })
	}
	return nil
}

// test runs a binary and returns what it said.
func (h *codebase) test(ctx context.Context, b *binary, limit time.Duration, args []string, env ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, limit+10*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, b.path, slices.Concat([]string{"-test.timeout=" + limit.String()}, b.args, args)...)
	cmd.Dir = b.dir
	cmd.Env = append(os.Environ(), append(env, "TMPDIR="+h.dir)...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.WaitDelay = time.Second
	err := cmd.Run()
	if ctx.Err() != nil {
		return out.Bytes(), errTimeOut
	}
	return out.Bytes(), err
}

var errTimeOut = errors.New("it did not end")

// The tests that are tried first: so many, or as many as take so long.
const (
	fewest = 4
	quick  = 700 * time.Millisecond
	// some are the tests beside those that -quick asks: what reaches little says much
	// of it.
	some = 12
)

// judge runs the tests that reach a mutant until one fails: of each package first
// the likely and the quickest, then the rest.
func (h *codebase) judge(ctx context.Context, m mutant) (verdict, error) {
	env := []string{"MUTANT=" + strconv.Itoa(m.id)}
	if m.replace[0] != "" {
		parts := m.replace[:]
		if m.also[0] != "" {
			parts = append(parts, m.also[:]...)
		}
		env = append(env, "MUTANT_SQL="+strings.Join(parts, "\x1f"))
	}
	var first, rest []stage
	for _, dir := range h.judges(m.pkg) {
		b := h.binary[dir]
		likely, others := h.likely(m, dir)
		n := b.within(others, fewest, quick)
		first = append(first, stage{b, slices.Concat(likely, others[:n])})
		others = others[n:]
		if h.quickly {
			slices.SortStableFunc(others, func(x, y string) int { return cmp.Compare(b.reaches[x], b.reaches[y]) })
			others = others[:min(len(others), some)]
		}
		for takes := 2 * quick; len(others) > 0; takes *= 2 {
			n := b.within(others, fewest, takes)
			rest = append(rest, stage{b, others[:n]})
			others = others[n:]
		}
	}
	for _, s := range append(first, rest...) {
		if len(s.tests) == 0 {
			continue
		}
		limit := 20 * time.Second
		for _, t := range s.tests {
			limit = min(limit+5*s.b.took[t], 10*time.Minute)
		}
		out, err := h.test(ctx, s.b, limit, []string{"-test.failfast", "-test.run=" + pattern(s.tests)}, env...)
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
		var exit *exec.ExitError
		switch {
		case err == nil:
		case errors.Is(err, errTimeOut) || bytes.Contains(out, []byte("panic: test timed out")):
			return timedOut, nil
		case errors.As(err, &exit):
			h.noticed(m, s.b, out)
			return killed, nil
		default:
			return "", err
		}
	}
	return survived, nil
}

// within is how many of these tests, from the first on, take no longer than so long
// together; it is no fewer than the least, where there are as many.
func (b *binary) within(tests []string, least int, long time.Duration) (n int) {
	for takes := time.Duration(0); n < len(tests); n++ {
		if takes += b.took[tests[n]]; n >= least && takes > long {
			break
		}
	}
	return n
}

// stage is a run of some tests that reach a mutant.
type stage struct {
	b     *binary
	tests []string
}

// noticed remembers which test noticed a mutant: it is likely to notice those of
// the same function.
func (h *codebase) noticed(m mutant, b *binary, out []byte) {
	failed := regexp.MustCompile(`(?m)^ *--- FAIL: (\S+)`).FindAllSubmatch(out, -1)
	if failed == nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if b.noticing == nil {
		b.noticing = map[string][]string{}
	}
	for _, f := range failed {
		if test := string(f[1]); !slices.Contains(b.noticing[m.function()], test) {
			b.noticing[m.function()] = append(b.noticing[m.function()], test)
		}
	}
}

// likely are the tests of a package that reach a mutant: first those that noticed
// others of its function.
func (h *codebase) likely(m mutant, dir string) (likely, others []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	const most = 8
	noticing := h.binary[dir].noticing[m.function()]
	for _, t := range h.binary[dir].reaching[m.id] {
		if len(likely) < most && slices.Contains(noticing, t) {
			likely = append(likely, t)
		} else {
			others = append(others, t)
		}
	}
	return likely, others
}

// pattern matches these tests, and their parts with them.
func pattern(tests []string) string {
	var patterns []string
	for _, t := range tests {
		parts := strings.Split(t, "/")
		for i := range parts {
			parts[i] = "^" + regexp.QuoteMeta(parts[i]) + "$"
		}
		patterns = append(patterns, strings.Join(parts, "/"))
	}
	return strings.Join(patterns, "|")
}
