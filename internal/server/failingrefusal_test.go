package server_test

import (
	"context"
	"crypto/sha256"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"countersign.dev/internal/authz"
)

// refused are requests that are refused for what the store says: where it says
// nothing, that is no reason to refuse them, and none to let them pass.
var refused = map[string]map[string]func(*frail) call{
	"POST " + codePath: {"a wrong secret": func(f *frail) call {
		return f.form(codePath, url.Values{"client_id": {f.confidential()}, "client_secret": {"wrong"}})
	}},
	"POST " + pollPath: {
		"an unknown code": func(f *frail) call { return f.pollOf(device{"csd_unknown", "", stored}) },
		"denied": func(f *frail) call {
			d := f.opened()
			f.postJSON(denyPath, map[string]any{"userCode": d.userCode}, "Cookie", f.cookie).wantOK()
			return f.pollOf(d)
		},
		"taken back before it was redeemed": func(f *frail) call {
			d := f.ask(stored, "openid")
			id := f.approveSigned("alice", d.userCode)
			f.postJSON("/api/grants/"+id+"/revoke", map[string]any{}, "Cookie", f.cookie).wantOK()
			return f.pollOf(d)
		},
	},
	"POST " + tokenPath: {
		"an unknown code": func(f *frail) call { return f.form(tokenPath, redemption("csc_unknown", "client_id", stored)) },
		"a code again": func(f *frail) call {
			code := f.code()
			f.redeem(code, "client_id", stored).wantOK()
			return f.form(tokenPath, redemption(code, "client_id", stored))
		},
		"another verifier": func(f *frail) call {
			return f.form(tokenPath, redemption(f.code(), "client_id", stored, "code_verifier", verifier+"x"))
		},
		"an unknown token":  func(f *frail) call { return f.form(tokenPath, refreshForm(stored, "csr_unknown")) },
		"of another client": func(f *frail) call { return f.form(tokenPath, refreshForm("pub-a", f.issued().text("refresh_token"))) },
		"of a grant that is over": func(f *frail) call {
			tokens := f.issued()
			f.postJSON("/api/grants/revoke", map[string]any{}, "Cookie", f.cookie).wantOK()
			return f.form(tokenPath, refreshForm(stored, tokens.text("refresh_token")))
		},
		"replaced a while ago": func(f *frail) call {
			first := f.issued().text("refresh_token")
			f.postForm(tokenPath, refreshForm(stored, first)).wantOK()
			f.advance(time.Minute)
			return f.form(tokenPath, refreshForm(stored, first))
		},
		"replaced long ago": func(f *frail) call {
			first := f.issued().text("refresh_token")
			for token, n := first, 0; n < 3; n++ {
				f.advance(time.Minute)
				token = f.postForm(tokenPath, refreshForm(stored, token)).wantOK().text("refresh_token")
			}
			return f.form(tokenPath, refreshForm(stored, first))
		},
	},
	"POST " + revokePath: {"of another client": func(f *frail) call {
		return f.form(revokePath, url.Values{"client_id": {"pub-a"}, "token": {f.issued().text("refresh_token")}})
	}},
	"GET " + userinfoPath: {"taken back": func(f *frail) call {
		token := f.issued().text("access_token")
		f.postJSON("/api/grants/revoke", map[string]any{}, "Cookie", f.cookie).wantOK()
		return call{http.MethodGet, userinfoPath, "", []string{"Authorization", "Bearer " + token}}
	}},
	"POST " + signInPath: {"as somebody else": func(f *frail) call {
		return f.by("alice", http.MethodPost, signInPath, map[string]any{"bapId": bapIDOf(f.t, "bob")})
	}},
	"POST " + passkeySignInPath: {"with an unknown passkey": func(f *frail) call {
		a, c := newAuthenticator(f.t), f.passkeySignInOptions()
		a.handle = []byte("somebody")
		return f.json(http.MethodPost, passkeySignInPath, map[string]any{"ceremony": c.Ceremony, "credential": a.get(c.Options)})
	}},
	"GET /api/auth/device": {
		"no code of anybody's": func(f *frail) call { // each by somebody who may try still
			return call{http.MethodGet, statusPath + wrong(1), "", []string{"Cookie", f.signIn(f.somebody())}}
		},
		"somebody else's": func(f *frail) call { return f.get(statusPath + f.opensFirst(1)) },
		"sent around":     func(f *frail) call { return f.get(statusPath + f.sentAround()) },
		"of a client that is gone": func(f *frail) call {
			return f.get(statusPath + f.ofGoneClient().userCode)
		},
	},
	"GET /api/auth/device/approval": {
		"somebody else's": func(f *frail) call {
			return f.get("/api/auth/device/approval?user_code=" + f.opensFirst(1))
		},
		"no code of anybody's": func(f *frail) call {
			return f.by(f.somebody(), http.MethodGet, "/api/auth/device/approval?aud="+url.QueryEscape(testIssuer)+"&user_code="+wrong(1), nil)
		},
	},
	"POST " + approvePath: {
		"somebody else's": func(f *frail) call { return f.own(approvePath, map[string]any{"userCode": f.opensFirst(1)}) },
		"a slip":          func(f *frail) call { return f.approval(f.ask(stored, "openid").userCode, "") },
		"the letters of another device": func(f *frail) call {
			code := f.ask(stored, "openid").userCode
			return f.approval(code, lettersUnlike(code))
		},
		"of a client that is gone": func(f *frail) call {
			return f.own(approvePath, map[string]any{"userCode": f.ofGoneClient().userCode})
		},
	},
	"POST " + denyPath:             {"somebody else's": func(f *frail) call { return f.own(denyPath, map[string]any{"userCode": f.opensFirst(1)}) }},
	"POST /api/grants/{id}/revoke": {"not there": func(f *frail) call { return f.own("/api/grants/none/revoke", nil) }},
	"GET /api/grants/{id}/receipt": {
		"not there":    func(f *frail) call { return f.get("/api/grants/none/receipt") },
		"by a session": func(f *frail) call { f.allowed(); return f.get("/api/grants/" + f.newestGrant() + "/receipt") },
	},
	"POST /api/sessions/{id}/end":    {"not there": func(f *frail) call { return f.own("/api/sessions/none/end", nil) }},
	"POST /api/passkeys/{id}/remove": {"not there": func(f *frail) call { return f.own(passkeysPath+"/none/remove", nil) }},
	"POST /api/passkeys": {"of a key of nobody's": func(f *frail) call {
		a, c := newAuthenticator(f.t), f.passkeyOptions(f.cookie)
		return f.by("nobody", http.MethodPost, passkeysPath, map[string]any{"aud": testIssuer, "ceremony": c.Ceremony, "credential": a.create(c.Options)}, "Cookie", f.cookie)
	}},
	"GET /api/backup": {"not there": func(f *frail) call { return f.get(backupPath + "?bapId=none") }},
	"POST /api/backup/remove": {"not there": func(f *frail) call {
		return f.by("alice", http.MethodPost, backupPath+"/remove", map[string]any{"aud": testIssuer, "bapId": "none"})
	}},
	"POST /api/backup": {"of an identity that is not theirs": func(f *frail) call {
		return f.by("alice", http.MethodPost, backupPath, map[string]any{"aud": testIssuer, "bapId": "none", "encryptedBackup": aBackup(f.t)})
	}},
	"POST /api/user/bap-ids": {
		"somebody else's": func(f *frail) call {
			name := f.somebody()
			f.signIn(name)
			return f.newIdentity(name)
		},
		"nobody vouches for it": func(f *frail) call {
			c := f.newIdentity(f.somebody())
			c.header[len(c.header)-1] = f.sign("nobody", c.target, c.body)
			return c
		},
	},
	"POST /api/user/bap-ids/{id}/remove": {"not there": func(f *frail) call {
		return f.by("alice", http.MethodPost, "/api/user/bap-ids/none/remove", map[string]any{"aud": testIssuer})
	}},
	"POST /device": {
		"no code of anybody's": func(f *frail) call {
			c := f.button("/device", url.Values{"code": {wrong(1)}})
			c.header[3] = f.signIn(f.somebody())
			return c
		},
		"over": func(f *frail) call {
			code := f.ask(stored, "openid").userCode
			f.advance(15 * time.Minute)
			return f.button("/device", url.Values{"code": {code}})
		},
		"somebody else's": func(f *frail) call { return f.button("/device", url.Values{"code": {f.opensFirst(1)}}) },
		"sent around":     func(f *frail) call { return f.button("/device", url.Values{"code": {f.sentAround()}}) },
	},
	"GET /device/request/{visit}": {
		"over": func(f *frail) call {
			visit := f.do(f.t.Context(), f.button("/device", url.Values{"code": {f.ask(stored, "openid").userCode}})).header.Get("Location")
			f.advance(15 * time.Minute)
			return f.get(visit)
		},
		"over, and swept": func(f *frail) call {
			code := f.ask(stored, "openid").userCode
			f.advance(14 * time.Minute)
			visit := f.do(f.t.Context(), f.button("/device", url.Values{"code": {code}})).header.Get("Location")
			f.advance(17 * time.Minute)
			if err := f.service.Sweep(f.t.Context()); err != nil {
				f.t.Error(err)
			}
			return f.get(visit)
		},
		"an application's, over": func(f *frail) call {
			visit := f.authorize(f.cookie, authorization("client_id", stored)).header.Get("Location")
			f.advance(15 * time.Minute)
			return f.get(visit)
		},
		"an application's that asked somebody else": func(f *frail) call {
			c := f.get(f.authorize(f.cookie, authorization("client_id", stored)).header.Get("Location"))
			c.header = []string{"Cookie", f.signIn(f.somebody())}
			return c
		},
	},
	"POST /device/decide": {"twice": func(f *frail) call {
		c := f.decision("deny")
		f.do(f.t.Context(), c)
		return c
	}},
	"GET /device/done/{id}": {"not there": func(f *frail) call { return f.get("/device/done/none") }},
}

func TestC4_ADecisionWhoseOutcomeCannotBeLookedUpIsAFailure(t *testing.T) {
	f := newFrail(t)
	decide := func(strike *fault) (r reply) {
		d := f.ask(stored, "openid")
		_, transaction := f.review(f.cookie, d.userCode)
		f.postJSON(denyPath, map[string]any{"userCode": d.userCode}, "Cookie", f.cookie).wantOK() // in another tab
		c := f.button("/device/decide", url.Values{"transaction": {transaction}, "decision": {"approve"}})
		f.store.during(strike, func(ctx context.Context) { r = f.do(ctx, c) })
		return r
	}
	if r := decide(nil); r.status != http.StatusSeeOther || !strings.HasPrefix(r.header.Get("Location"), "/device/done/") {
		t.Fatalf("without a fault: %d %s", r.status, r.body)
	}
	if r := decide(&fault{"Grant", 1, false, errDead}); r.status != http.StatusInternalServerError {
		t.Errorf("%d %s", r.status, r.body)
	}
}

// confidential is a client that has a secret.
func (f *frail) confidential() string {
	f.t.Helper()
	f.persons++
	id := "confidential " + strconv.Itoa(f.persons)
	if err := f.store.AddClient(f.t.Context(), authz.Client{ID: id, Secret: sha256.Sum256([]byte(confSecret)), AuthMethod: authz.AuthPost, RedirectURIs: []string{webBack}}); err != nil {
		f.t.Fatal(err)
	}
	return id
}

// opensFirst is a code that so many others have opened.
func (f *frail) opensFirst(n int) string {
	f.t.Helper()
	code := f.ask(stored, "openid").userCode
	for range n {
		f.open(f.signIn(f.somebody()), code)
	}
	return code
}

// sentAround is a code that is cancelled when one more opens it.
func (f *frail) sentAround() string { return f.opensFirst(2) }

// ofGoneClient is a request, opened, whose client was taken out since.
func (f *frail) ofGoneClient() device {
	f.t.Helper()
	f.persons++
	id := "leaves " + strconv.Itoa(f.persons)
	if err := f.store.AddClient(f.t.Context(), authz.Client{ID: id, AuthMethod: authz.AuthNone, Scope: "openid repo"}); err != nil {
		f.t.Fatal(err)
	}
	d := f.ask(id, "repo")
	f.open(f.cookie, d.userCode).wantOK()
	if err := f.store.RemoveClient(f.t.Context(), id, f.now()); err != nil {
		f.t.Fatal(err)
	}
	return d
}

// newestGrant is the id of what was allowed last.
func (f *frail) newestGrant() string {
	f.t.Helper()
	list, _, err := f.service.Grants.List(f.t.Context(), f.ownerOf(f.cookie), "", 1)
	if err != nil || len(list) != 1 {
		f.t.Fatalf("%v, %d grants", err, len(list))
	}
	return list[0].ID
}
