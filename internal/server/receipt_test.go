package server_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"countersign.dev/bitcoinauth"
	"countersign.dev/receipt"
)

// statementOf is what the server has a person sign for a code.
func (h *house) statementOf(name, userCode string) string {
	h.t.Helper()
	return h.signed(name, http.MethodGet, "/api/auth/device/approval?user_code="+userCode, "").wantOK().text("statement")
}

// sendApproval sends an approval signed by a person, and returns the answer with
// the receipt that the very request would be.
func (h *house) sendApproval(name, target, body string) (reply, string) {
	h.t.Helper()
	token := h.sign(name, target, body)
	r := h.send(http.MethodPost, target, body, append(jsonBody, bitcoinauth.Header, token)...)
	return r, receipt.Receipt{BAPID: bapIDOf(h.t, name), Path: target, Body: body, Token: token}.Encode()
}

// approvalParts are what bodies of approvals are made of: ours is the statement of
// the request that is approved, theirs of another client's.
type approvalParts struct{ code, ours, theirs string }

func inJSON(text string) string {
	b, _ := json.Marshal(text)
	return string(b)
}

// body draws the body of an approval: a good one, with members before, between and
// after that readers of JSON disagree about.
func (p approvalParts) body(t *rapid.T) string {
	names := []string{
		`"statement"`, `"Statement"`, `"STATEMENT"`, `"\u0073tatement"`, `"ſtatement"`, `"statement "`, `"statement\u0000"`,
		`"userCode"`, `"usercode"`, `"user\u0043ode"`, `"match"`, `"Match"`, `"scope"`, `"aud"`, `"x"`, `""`,
	}
	values := []string{
		inJSON(p.ours), inJSON(p.theirs), inJSON(p.code), `""`, `null`, `true`, `17`, `"openid"`, `[]`, `["statement"]`, `{"a":{"statement":"x"}}`,
		`{"statement":` + inJSON(p.theirs) + `}`, `[{"a":1,"a":2}]`, `"\ud800"`, "\"\xff\"", `"a\u0000b"`,
		strings.Repeat("[", 40) + strings.Repeat("]", 40), strings.ReplaceAll(inJSON(p.theirs), "client", `\u0063lient`),
	}
	members := []string{`"userCode":` + inJSON(p.code), `"statement":` + inJSON(p.ours)}
	if rapid.IntRange(0, 5).Draw(t, "lacks") == 0 {
		members = members[:1]
	}
	for range rapid.IntRange(0, 3).Draw(t, "others") {
		members = append(members, rapid.SampledFrom(names).Draw(t, "name")+":"+rapid.SampledFrom(values).Draw(t, "value"))
	}
	space := rapid.SampledFrom([]string{"", " ", "\n\t"}).Draw(t, "space")
	text := space + "{" + strings.Join(rapid.Permutation(members).Draw(t, "order"), space+","+space) + "}" + space
	return text + rapid.SampledFrom([]string{"", "", "", "", "{}", "x", "\x00"}).Draw(t, "after")
}

func TestN13_WhatTheServerApprovesItsReceiptSaysAndWhatItRefusesIsNoReceipt(t *testing.T) {
	h := newHouse(t)
	approved, refused := 0, 0
	rapid.Check(t, func(rt *rapid.T) {
		h.advance(16 * time.Minute) // codes that were wrong before count no longer
		d, other := h.askProved("openid profile"), h.ask("pub-b", "openid email")
		parts := approvalParts{d.userCode, h.statementOf("alice", d.userCode), h.statementOf("alice", other.userCode)}
		body := parts.body(rt)
		r, text := h.sendApproval("alice", approvePath, body)
		if r.status != http.StatusOK {
			refused++
			if r.status >= 500 {
				rt.Fatalf("answered %d %s to %q", r.status, r.body, body)
			}
			if v, err := receipt.Verify([]byte(text)); err == nil {
				rt.Fatalf("the server refused %q, which verifies as a receipt for %s", body, v.Statement.ClientID)
			}
			if p := h.poll(d); p.text("error") != "authorization_pending" {
				rt.Fatalf("refused, and no longer pending: %s", p.body)
			}
			return
		}
		approved++
		kept := h.signed("alice", http.MethodGet, "/api/grants/"+r.text("grant_id")+"/receipt", "").wantOK().body
		v, err := receipt.Verify([]byte(kept))
		if err != nil || kept != text {
			rt.Fatalf("the server approved %q, whose receipt is refused: %v", body, err)
		}
		claims := grantOf(t, h, d)
		says := map[string]any{"client_id": v.Statement.ClientID, "scope": v.Statement.Scope, "bap_id": v.Statement.BAPID, "gid": v.Statement.Nonce, "iss": v.Statement.Issuer}
		if !maps.Equal(says, claims) || v.Statement.UserCodeHash != receipt.UserCodeHash(d.userCode) {
			rt.Fatalf("the receipt of %q says %v, and granted was %v", body, says, claims)
		}
	})
	if approved == 0 || refused == 0 {
		t.Errorf("%d approved, %d refused: nothing was compared", approved, refused)
	}
}

// grantOf redeems a device's code and returns what its access token says was
// granted.
func grantOf(t *testing.T, h *house, d device) map[string]any {
	t.Helper()
	_, payload := claimsOf(t, h.poll(d).wantOK().text("access_token"))
	maps.DeleteFunc(payload, func(name string, _ any) bool {
		return !slices.Contains([]string{"client_id", "scope", "bap_id", "gid", "iss"}, name)
	})
	return payload
}

// Each of these was approved for one client and left a receipt that named another,
// or none that verified.
func TestN13_AReceiptCannotTellALie(t *testing.T) {
	h := newHouse(t)
	for name, more := range map[string]string{
		"the name in another case":       `,"Statement":%s`,
		"the name with a long s":         `,"ſtatement":%s`,
		"the name as a value":            `,"x":["statement",%s]`,
		"a statement further down":       `,"x":{"statement":%s}`,
		"another client's, under a name": `,"STATEMENT":%s`,
	} {
		d, other := h.askProved("openid"), h.ask("pub-b", "openid")
		body := fmt.Sprintf(`{"userCode":%q,"statement":%s`+more+"}", d.userCode, inJSON(h.statementOf("alice", d.userCode)), inJSON(h.statementOf("alice", other.userCode)))
		r, text := h.sendApproval("alice", approvePath, body)
		v, err := receipt.Verify([]byte(text))
		if r.wantOK(); err != nil || v.Statement.ClientID != d.client || v.Statement.Nonce != r.text("grant_id") {
			t.Errorf("%s: the server approved conf-a; the receipt says %+v %v", name, v, err)
		}
	}
}

func TestN13_WhatLeavesNoReceiptApprovesNothing(t *testing.T) {
	h := newHouse(t)
	d := h.ask("pub-a", "openid")
	statement := inJSON(h.statementOf("alice", d.userCode))
	for name, request := range map[string]struct{ target, body string }{
		"a path with a query":        {approvePath + "?a=1", `{"userCode":"` + d.userCode + `","statement":` + statement + `}`},
		"a path that is written odd": {"/api/auth/device/%61pprove", `{"userCode":"` + d.userCode + `","statement":` + statement + `}`},
		"more than a receipt holds":  {approvePath, `{"userCode":"` + d.userCode + `","statement":` + statement + `,"x":"` + strings.Repeat(`\\`, 30<<10) + `"}`},
		"a scope that is no text":    {approvePath, `{"userCode":"` + d.userCode + `","statement":` + statement + `,"scope":["openid"]}`},
		"no statement":               {approvePath, `{"userCode":"` + d.userCode + `"}`},
	} {
		r, text := h.sendApproval("alice", request.target, request.body)
		if r.status != http.StatusBadRequest {
			t.Errorf("%s: %d %s", name, r.status, r.body)
		}
		if _, err := receipt.Verify([]byte(text)); err == nil {
			t.Errorf("%s: verifies", name)
		}
		h.poll(d).wantError(http.StatusBadRequest, "authorization_pending")
		h.advance(5 * time.Second)
	}
	if r := h.signed("alice", http.MethodGet, "/api/grants", "").wantOK(); r.body != `{"grants":[]}` {
		t.Errorf("%s", r.body)
	}
	h.approveSigned("alice", d.userCode)
}

// What is denied or refused was signed all the same, and whoever signed it has the
// bytes. The server gives out none of them.
func TestN13_OfWhatWasSignedAndNotGrantedNoReceiptIsHandedOut(t *testing.T) {
	h := newHouse(t)
	cookie := h.signIn("alice")
	start := func(number bool) (device, string) {
		r := h.postForm(codePath, url.Values{"client_id": {"nobody"}, "number_match": {fmt.Sprint(number)}}).wantOK()
		return device{r.text("device_code"), r.text("user_code"), "nobody"}, r.text("match_number")
	}
	for _, number := range []bool{true, false} {
		d, right := start(number)
		facts := h.signed("alice", http.MethodGet, "/api/auth/device/approval?user_code="+d.userCode, "").wantOK()
		wrong := lettersUnlike(d.userCode)
		if number {
			match, _ := facts.members()["match"].(map[string]any)
			offered, _ := match["numbers"].([]any)
			wrong = fmt.Sprint(offered[slices.IndexFunc(offered, func(n any) bool { return n != right })])
		}
		body, err := json.Marshal(map[string]string{"userCode": d.userCode, "statement": facts.text("statement"), "match": wrong})
		if err != nil {
			t.Fatal(err)
		}
		denied, sent := h.sendApproval("alice", approvePath, string(body))
		denied.wantError(http.StatusForbidden, "access_denied")
		again, _ := h.sendApproval("alice", approvePath, string(body)) // signed a second time
		again.wantError(http.StatusBadRequest, "invalid_request")
		h.poll(d).wantError(http.StatusBadRequest, "access_denied")

		v, err := receipt.Verify([]byte(sent))
		if err != nil {
			t.Fatalf("what was signed does not verify: %v", err)
		}
		h.send(http.MethodGet, "/api/grants/"+v.Statement.Nonce+"/receipt", "", "Cookie", cookie).wantError(http.StatusNotFound, "not_found")
		h.signed("alice", http.MethodGet, "/api/grants/"+v.Statement.Nonce+"/receipt", "").wantError(http.StatusNotFound, "not_found")
		if e := h.events(cookie)[0]; e.Kind != "denied" || e.GrantID != "" {
			t.Errorf("number %v: told %+v", number, e)
		}
		if page := h.send(http.MethodGet, "/account", "", "Cookie", cookie).wantOK(); strings.Contains(page.body, "/receipt\"") {
			t.Error("the page offers a receipt")
		}
	}
}
