package server_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"

	"countersign.dev/bitcoinauth"
)

// account is somebody's account with everything that can be tried on it: two
// identities, a passkey, backups, other sessions and grants, and requests that it
// has opened.
type account struct {
	h              *house
	name           string
	cookie         string // of a session that the key began
	phone          *authenticator
	backup         string
	grant          string
	pending        device // asks for no signature
	strict         device // asks for one
	ceremony       ceremony
	second, newKey string
}

func (h *house) newAccount(name string) *account {
	h.t.Helper()
	a := &account{h: h, name: name, cookie: h.signIn(name), second: name + "-work", newKey: name + "-new"}
	h.link(a.cookie, a.second, name).wantOK()
	a.phone = h.registered(name)
	a.backup = bep(h.t, name)
	h.saveBackup(name, a.backup).wantOK()
	d := h.ask("pub-a", "openid")
	a.grant = h.approveSigned(name, d.userCode)
	a.pending = h.ask("pub-a", "openid")
	r := h.postJSON(codePath, map[string]any{"client_id": "pub-a", "scope": "openid", "approval": "signature"}).wantOK()
	a.strict = device{r.text("device_code"), r.text("user_code"), "pub-a"}
	for _, d := range []device{a.pending, a.strict} {
		h.open(a.cookie, d.userCode).wantOK()
	}
	a.ceremony = h.passkeyOptions(a.cookie)
	return a
}

// holder is what somebody holds: how they send requests to an account.
type holder struct {
	cookie string
	// signs is whose key they have, or empty.
	signs string
	// token is what they put into X-Auth-Token where they have no key.
	token string
}

// send sends a request with all that the holder has.
func (x holder) send(h *house, method, target, body string, more ...string) reply {
	h.t.Helper()
	if method == http.MethodGet && x.signs != "" {
		target, _ = forServer(method, target, testIssuer)
	}
	var header []string
	if body != "" {
		header = append(header, jsonBody...)
	}
	if x.cookie != "" {
		header = append(header, "Cookie", x.cookie)
	}
	switch {
	case slices.Contains(more, bitcoinauth.Header):
	case x.signs != "":
		header = append(header, bitcoinauth.Header, h.sign(x.signs, target, body))
	case x.token != "":
		header = append(header, bitcoinauth.Header, x.token)
	}
	return h.send(method, target, body, append(header, more...)...)
}

// holders are the rows of the table, in its words.
var holders = []struct {
	name string
	of   func(a *account) holder
}{
	{"the key, and a session that it began", func(a *account) holder { return holder{cookie: a.cookie, signs: a.name} }},
	{"a signature by the key, no session", func(a *account) holder { return holder{signs: a.name} }},
	{"a stolen session of the key", func(a *account) holder { return holder{cookie: a.cookie} }},
	{"a stolen session of a passkey", func(a *account) holder {
		return holder{cookie: cookieOf(a.h.passkeySignIn(a.phone).wantOK())}
	}},
	{"a passkey", func(a *account) holder { return holder{cookie: cookieOf(a.h.passkeySignIn(a.phone).wantOK())} }},
	{"a session of a passkey, and the key", func(a *account) holder {
		return holder{cookie: cookieOf(a.h.passkeySignIn(a.phone).wantOK()), signs: a.name}
	}},
	{"a key of one's own", func(a *account) holder {
		return holder{cookie: a.h.signIn("thief-of-" + a.name), signs: "thief-of-" + a.name}
	}},
	{"the encrypted backup, no password", func(a *account) holder { return holder{token: a.backup} }},
}

// tries are the columns of the table, in its words. Each tries something on an
// account and says whether it happened, by looking as its owner.
var tries = []struct {
	name string
	try  func(a *account, x holder) bool
}{
	{"link identity", func(a *account, x holder) bool {
		body := linkBody(a.h.t, a.newKey)
		header := []string{bitcoinauth.Header, a.h.sign(a.newKey, identitiesPath, body)}
		if x.signs != "" {
			header = append(header, vouchHeader, a.h.sign(x.signs, identitiesPath, body))
		}
		x.send(a.h, http.MethodPost, identitiesPath, body, header...)
		return slices.Contains(a.h.identities(a.cookie), bapIDOf(a.h.t, a.newKey))
	}},
	{"add passkey", func(a *account, x holder) bool {
		c := a.ceremony
		if r := x.send(a.h, http.MethodPost, passkeyOptionsPath, `{}`); r.status == http.StatusOK {
			c = r.ceremony()
		}
		body, err := json.Marshal(map[string]string{"aud": testIssuer, "ceremony": c.Ceremony, "name": "x", "credential": newAuthenticator(a.h.t).create(c.Options)})
		if err != nil {
			a.h.t.Fatal(err)
		}
		x.send(a.h, http.MethodPost, passkeysPath, string(body))
		return strings.Count(a.ownerSees(passkeysPath), `"id"`) == 2
	}},
	{"save backup", func(a *account, x holder) bool {
		other := bep(a.h.t, "other-"+a.name)
		x.send(a.h, http.MethodPost, backupPath, `{"aud":"`+testIssuer+`","encryptedBackup":"`+other+`","bapId":"`+bapIDOf(a.h.t, a.name)+`"}`)
		return strings.Contains(a.ownerSees(a.backupAddress()), other)
	}},
	{"fetch backup", func(a *account, x holder) bool {
		return strings.Contains(x.send(a.h, http.MethodGet, a.backupAddress(), "").body, a.backup)
	}},
	{"take identity out", func(a *account, x holder) bool {
		x.send(a.h, http.MethodPost, identitiesPath+"/"+bapIDOf(a.h.t, a.second)+"/remove", `{"aud":"`+testIssuer+`"}`)
		return len(a.h.identities(a.cookie)) == 1
	}},
	{"take last identity out", func(a *account, x holder) bool {
		a.h.removeIdentity(a.second, a.name).wantOK()
		x.send(a.h, http.MethodPost, identitiesPath+"/"+bapIDOf(a.h.t, a.name)+"/remove", `{"aud":"`+testIssuer+`"}`)
		return a.h.send(http.MethodGet, "/api/auth/get-session", "", "Cookie", a.cookie).body == "null"
	}},
	{"remove passkey", func(a *account, x holder) bool {
		x.send(a.h, http.MethodPost, passkeysPath+"/"+b64(a.phone.id)+"/remove", `{"aud":"`+testIssuer+`"}`)
		return !strings.Contains(a.ownerSees(passkeysPath), b64(a.phone.id))
	}},
	{"remove backup", func(a *account, x holder) bool {
		x.send(a.h, http.MethodPost, backupPath+"/remove", `{"aud":"`+testIssuer+`","bapId":"`+bapIDOf(a.h.t, a.name)+`"}`)
		return !strings.Contains(a.ownerSees("/api/backups"), bapIDOf(a.h.t, a.name))
	}},
	{"set profile", func(a *account, x holder) bool {
		x.send(a.h, http.MethodPut, "/api/bap/profile", `{"aud":"`+testIssuer+`","bapId":"`+bapIDOf(a.h.t, a.name)+`","name":"Somebody else"}`)
		return strings.Contains(a.ownerSees("/api/bap/profile?bapId="+bapIDOf(a.h.t, a.name)), "Somebody else")
	}},
	{"end sessions", func(a *account, x holder) bool {
		other := a.h.signIn(a.name)
		x.send(a.h, http.MethodPost, "/api/sessions/end-others", `{"aud":"`+testIssuer+`"}`)
		return a.h.signedOut(other)
	}},
	{"approve", func(a *account, x holder) bool {
		x.approve(a, a.pending)
		return a.h.poll(a.pending).status == http.StatusOK
	}},
	{"approve, signature demanded", func(a *account, x holder) bool {
		x.approve(a, a.strict)
		return a.h.poll(a.strict).status == http.StatusOK
	}},
	{"take grant back", func(a *account, x holder) bool {
		x.send(a.h, http.MethodPost, "/api/grants/"+a.grant+"/revoke", `{"aud":"`+testIssuer+`"}`)
		return strings.Contains(a.ownerSees("/api/grants"), "revoked_at")
	}},
}

// ownerSees is what the account's owner gets at an address.
func (a *account) ownerSees(target string) string {
	a.h.t.Helper()
	return a.h.signed(a.name, http.MethodGet, target, "").body
}

func (a *account) backupAddress() string { return backupPath + "?bapId=" + bapIDOf(a.h.t, a.name) }

// approve tries all that could approve: the session, and a signature where there is
// something to sign with.
func (x holder) approve(a *account, d device) {
	a.h.t.Helper()
	if x.cookie != "" {
		holder{cookie: x.cookie}.send(a.h, http.MethodPost, approvePath, `{"userCode":"`+d.userCode+`"}`)
	}
	facts := x.send(a.h, http.MethodGet, "/api/auth/device/approval?user_code="+url.QueryEscape(d.userCode), "")
	if facts.status != http.StatusOK {
		return
	}
	body, err := json.Marshal(map[string]string{"userCode": d.userCode, "statement": facts.text("statement"), "match": d.userCode[len(d.userCode)-4:]})
	if err != nil {
		a.h.t.Fatal(err)
	}
	x.send(a.h, http.MethodPost, approvePath, string(body))
}

// waysTable is the table of ways in the risk assessment: what somebody holds → what
// they try → what the document says of it.
func waysTable(t *testing.T) map[string]map[string]string {
	t.Helper()
	document, err := os.ReadFile("../../docs/security/risk-assessment.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(document), "### Ways to an account\n")
	if !found {
		t.Fatal("the document has no such section")
	}
	var rows [][]string
	for line := range strings.Lines(section) {
		if !strings.HasPrefix(line, "|") {
			if rows != nil {
				break
			}
			continue
		}
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		rows = append(rows, cells)
	}
	if len(rows) < 3 {
		t.Fatal("the section has no table")
	}
	table := map[string]map[string]string{}
	for _, cells := range rows[2:] {
		row := map[string]string{}
		for i, cell := range cells[1:] {
			row[rows[0][i+1]] = cell
		}
		if table[cells[0]] = row; len(cells) != len(rows[0]) || len(row) != len(tries) {
			t.Errorf("%s: %d cells, of which %d differ in their columns, for %d tries", cells[0], len(cells), len(row), len(tries))
		}
	}
	if len(table) != len(holders) {
		t.Errorf("%d rows for %d holders", len(table), len(holders))
	}
	return table
}

func TestEveryCellOfTheTableOfWaysIsAsTheDocumentSays(t *testing.T) {
	inFull(t)
	table := waysTable(t)
	h := newHouse(t)
	for i, holds := range holders {
		for j, tried := range tries {
			t.Run(holds.name+"/"+tried.name, func(t *testing.T) {
				h.t = t
				cell := table[holds.name][tried.name]
				if cell != "yes" && cell != "–" {
					t.Fatalf("the document says %q: it should say yes or –", cell)
				}
				a := h.newAccount(fmt.Sprintf("owner-%d-%d", i, j))
				if happened := tried.try(a, holds.of(a)); happened != (cell == "yes") {
					t.Errorf("it happened: %v; the document says %q", happened, cell)
				}
			})
		}
	}
}
