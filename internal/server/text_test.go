package server_test

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"countersign.dev/internal/server"
	"countersign.dev/internal/storage/postgres/pgtest"
)

// sources are the Go files of the server and of its rooms, tests not among them.
func sources(t *testing.T) (files []string) {
	t.Helper()
	for _, pattern := range []string{"*.go", "*/*.go", "*/*/*.go"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, found...)
	}
	return slices.DeleteFunc(files, func(file string) bool { return strings.HasSuffix(file, "_test.go") })
}

// parameters are the names that the server's source asks any request for.
func parameters(t *testing.T) (names []string) {
	t.Helper()
	asked := regexp.MustCompile(`\b(?:Text|Flag|Get|Has)\("([A-Za-z_]+)"\)`)
	for _, file := range sources(t) {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range asked.FindAllSubmatch(source, -1) {
			names = append(names, string(found[1]))
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

var (
	pathParameter = regexp.MustCompile(`\{[^}]*\}`)
	formToken     = regexp.MustCompile(`name="form" value="([^"]+)"`)
)

// What no database takes, or not every one, ends at the door, wherever in a request
// it stands: in PostgreSQL it would take the operations of others down with it.
func TestWhatNoDatabaseKeepsIsRefusedAtTheDoor(t *testing.T) {
	inFull(t)
	h := newHouse(t)
	h.approve(h.signIn("alice"), h.ask("pub-a", "openid").userCode)
	front, err := server.New(h.options)
	if err != nil {
		t.Fatal(err)
	}
	saidBefore := 0
	if onPostgres {
		saidBefore = len(pgtest.Shared(t).Log())
	}
	names := parameters(t)
	if len(names) < 30 {
		t.Fatalf("found the parameters %v only", names)
	}
	const member = "members"
	for _, route := range front.Routes() {
		method, path := route[0], pathParameter.ReplaceAllString(strings.TrimSuffix(route[1], "{$}"), "x")
		cookie := h.signIn("alice") // anew, for some sign out
		form := formToken.FindStringSubmatch(h.send("GET", "/account", "", "Cookie", cookie).body)
		if form == nil {
			t.Fatal("the account page has no form")
		}
		ask := func(what, target, body string, want int, header ...string) {
			t.Helper()
			if r := h.send(method, target, body, append(header, "Cookie", cookie)...); r.status != want && (want != 0 || r.status >= http.StatusInternalServerError) {
				t.Errorf("%s %s with %s was answered %d: %s", method, route[1], what, r.status, r.body)
			}
		}
		for _, dirt := range []string{"a%00", "%ff"} {
			if strings.Contains(path, "/x") {
				ask(dirt+" in the path", pathParameter.ReplaceAllString(route[1], dirt), "", http.StatusNotFound)
			}
			raw, err := url.QueryUnescape(dirt)
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range append(names, member) {
				if method == http.MethodGet || name == member {
					ask(dirt+" as "+name+" of the query", path+"?"+name+"="+dirt, "", http.StatusBadRequest)
				}
				if method == http.MethodGet {
					continue
				}
				ask(dirt+" as "+name+" of a form", path, "form="+url.QueryEscape(form[1])+"&"+name+"="+dirt, 0,
					"Content-Type", "application/x-www-form-urlencoded")
				ask(dirt+" as "+name+" of JSON", path, `{"`+name+`":"`+strings.ReplaceAll(raw, "\x00", `\u0000`)+`"}`, 0, "Content-Type", "application/json")
			}
			for _, name := range []string{
				"User-Agent", "Origin", "Referer", "Prefer", "Accept", "Accept-Language", "Content-Type", "Content-Encoding", "Forwarded",
				"X-Forwarded-For", "X-Auth-Token", "Authorization", "Sec-Fetch-Site", "Sec-Fetch-Dest", "Cookie",
			} {
				ask(dirt+" as "+name, path, "", 0, name, raw)
			}
			ask(dirt+" in a cookie", path, "", 0, "Cookie", strings.Split(cookie, "=")[0]+"="+raw)
			for _, pair := range []string{dirt + ":secret", "pub-a:" + dirt} {
				ask(dirt+" in HTTP Basic", path, "token=a&grant_type=refresh_token&refresh_token=a", 0, "Content-Type", "application/x-www-form-urlencoded",
					"Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(pair)))
			}
			ask(dirt+" as a bearer", path, "", 0, "Authorization", "Bearer "+raw)
		}
	}
	if onPostgres {
		for line := range strings.Lines(pgtest.Shared(t).Log()[saidBefore:]) {
			if strings.Contains(line, "ERROR:") {
				t.Errorf("PostgreSQL said: %s", line)
			}
		}
	}
}
