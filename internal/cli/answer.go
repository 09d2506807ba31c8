package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"unicode"
)

// What a server answers is a stranger's: it may be of any form and size, hold what
// moves a terminal's cursor, or say something else than was asked for. Here it is
// read as such, for every command.

// maxAnswer bounds an answer in bytes.
const maxAnswer = 1 << 20

// httpClient follows no redirect: a signed request, and a token, are for the address that
// they were made for.
var httpClient = &http.Client{Transport: userAgent{}, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}

// userAgent says with each request which program sends it: owners read it on the review, in
// the list of their devices and where they are signed in.
type userAgent struct{}

// RoundTrip sends a copy of the request: one that was given must not be changed.
func (userAgent) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("User-Agent", "countersign/"+strings.Trim(Version(), "()"))
	return http.DefaultTransport.RoundTrip(r)
}

// decodeInto reads an answer that must be a JSON object.
func decodeInto(raw []byte, v any) error {
	if !bytes.HasPrefix(bytes.TrimSpace(raw), []byte("{")) || json.Unmarshal(raw, v) != nil {
		return unexpected("it is not what was expected")
	}
	return nil
}

// unexpected is an answer that a server of ours does not give.
func unexpected(what string) error {
	return fail(ExitNetwork, "reading the server's answer", errors.New(what), "Check that --server names a Countersign server")
}

// carryOut sends a request, and makes sure that the server says it did what was asked.
func (c *owner) carryOut(ctx context.Context, path string, body map[string]any) error {
	raw, err := c.send(ctx, http.MethodPost, path, body)
	if err != nil {
		return err
	}
	var answer struct {
		Success bool `json:"success"`
	}
	if err := decodeInto(raw, &answer); err != nil {
		return err
	}
	if !answer.Success {
		return unexpected("it does not say that this was done")
	}
	return nil
}

// hidden reports whether a character is not seen where it is printed, or changes what
// is seen: it moves the cursor, changes colours or turns the order of others around.
func hidden(r rune) bool {
	return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp) || r == unicode.ReplacementChar
}

// maxPrinted bounds a text of somebody else's on a terminal, in characters.
const maxPrinted = 500

// printable is a text that came from elsewhere as it may be printed: one line, all of
// it visible, not endless.
func printable(s string) string {
	out := make([]rune, 0, min(len(s), maxPrinted))
	for _, r := range s {
		if r == '\t' || r == '\n' {
			r = ' '
		}
		if hidden(r) {
			continue
		}
		if len(out) == maxPrinted {
			return string(out) + "…"
		}
		out = append(out, r)
	}
	return string(out)
}

// plainWord is a text that is the same word to every shell.
var plainWord = regexp.MustCompile(`^[\pL\pM\pN@%+=:,./_-]+$`)

// shellWord is a text that came from elsewhere as one word of a command that people
// copy: no shell finds a second command in it. It stands behind a flag or is a path: to
// a command that takes it alone it could be a flag, so what does is held to its form.
func shellWord(s string) string {
	if s = printable(s); plainWord.MatchString(s) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// What stands alone in commands that people copy: a grant's id, which is made as
// Countersign's ids are, and a code, which another server may make in other letters.
var (
	anID  = regexp.MustCompile(`^[a-z2-7]{26}$`)
	aCode = regexp.MustCompile(`^[A-Za-z0-9]+(-[A-Za-z0-9]+)*$`)
)

// printableJSON is JSON on one line, with what is hidden written as escapes.
func printableJSON(raw []byte) (string, error) {
	var line bytes.Buffer
	if err := json.Compact(&line, raw); err != nil {
		return "", unexpected("it is not JSON")
	}
	var out strings.Builder
	for _, r := range line.String() { // compact, so that only texts hold such characters
		switch {
		case !hidden(r):
			out.WriteRune(r)
		case r > 0xffff: // two, as JSON has it
			r -= 0x10000
			fmt.Fprintf(&out, `\u%04x\u%04x`, 0xd800+r>>10, 0xdc00+r&0x3ff)
		default:
			fmt.Fprintf(&out, `\u%04x`, r)
		}
	}
	return out.String(), nil
}

// print prints an answer for programs.
func (c *owner) print(raw []byte) error {
	line, err := printableJSON(raw)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(c.env.Stdout, line)
	return err
}
