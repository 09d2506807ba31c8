package server_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"countersign.dev/bitcoinauth"
	"countersign.dev/dpop"
	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/contract"
)

// call is one request.
type call struct {
	method, target, body string
	header               []string
}

func (h *house) do(ctx context.Context, c call) reply {
	h.t.Helper()
	r := httptest.NewRequestWithContext(ctx, c.method, c.target, strings.NewReader(c.body))
	r.RemoteAddr = h.peer
	for i := 0; i+1 < len(c.header); i += 2 {
		r.Header.Add(c.header[i], c.header[i+1])
	}
	w := httptest.NewRecorder()
	h.handler.ServeHTTP(w, r)
	return reply{h.t, w.Code, w.Header(), w.Body.String()}
}

// frail is a house whose store can be made to fail, with an owner who is signed in.
type frail struct {
	*house
	store   *failing
	cookie  string
	persons int
	same    call
	once    bool // what is asked is never the same
	logged  int  // how long the log was before the last request
}

// stored is a client that only the database knows.
const stored = "stored-app"

func newFrail(t *testing.T) *frail {
	t.Helper()
	h := newHouse(t)
	f := &frail{house: h, store: &failing{Store: h.store}}
	h.store = f.store
	h.restart()
	c := authz.Client{ID: stored, Name: "Stored", AuthMethod: authz.AuthNone, GrantTypes: []string{deviceGrant, "refresh_token", "authorization_code"}, Scope: "openid profile offline_access", RedirectURIs: []string{webBack}}
	if err := h.store.AddClient(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	signs := authz.Client{ID: "stored-member", MemberKey: h.settings.Clients[4].MemberKey, GrantTypes: []string{deviceGrant}}
	if err := h.store.AddClient(t.Context(), signs); err != nil {
		t.Fatal(err)
	}
	f.cookie = h.signIn("alice")
	return f
}

// somebody is a person whom nobody has seen yet.
func (f *frail) somebody() string {
	f.persons++
	return fmt.Sprintf("somebody %d", f.persons)
}

func (f *frail) get(target string, header ...string) call {
	return call{http.MethodGet, target, "", append([]string{"Cookie", f.cookie}, header...)}
}

func (f *frail) json(method, target string, members map[string]any, header ...string) call {
	f.t.Helper()
	if members == nil {
		members = map[string]any{}
	}
	body, err := json.Marshal(members)
	if err != nil {
		f.t.Fatal(err)
	}
	return call{method, target, string(body), append(slices.Clone(jsonBody), header...)}
}

// own is a request by the owner's session.
func (f *frail) own(target string, members map[string]any) call {
	return f.json(http.MethodPost, target, members, "Cookie", f.cookie)
}

// by is a request that a person signs.
func (f *frail) by(name, method, target string, members map[string]any, header ...string) call {
	c := call{method, target, "", nil}
	if members != nil {
		c = f.json(method, target, members)
	}
	c.header = append(append(c.header, bitcoinauth.Header, f.sign(name, target, c.body)), header...)
	return c
}

// ofService are tokens of a client that only the database knows, and that has a secret.
func (f *frail) ofService() reply {
	f.t.Helper()
	if _, err := f.house.store.Client(f.t.Context(), "service"); err != nil {
		if err := f.house.store.AddClient(f.t.Context(), *made("service", nil)); err != nil {
			f.t.Fatal(err)
		}
	}
	return f.tokensOf("service")
}

// sent is an access token that an API was sent, which calls another one.
func (f *frail) sent() string {
	f.t.Helper()
	f.ofService()
	if _, err := f.house.store.Client(f.t.Context(), "api"); err != nil {
		api := made("api", func(c *authz.Client) {
			c.Resources, c.ExchangeFor, c.GrantTypes = []string{apiOne}, []string{testIssuer}, []string{exchangeGrant}
			c.ExchangeActors = []string{"worker"}
		})
		if err := f.house.store.AddClient(f.t.Context(), *api); err != nil {
			f.t.Fatal(err)
		}
	}
	return f.tokensOf("service", apiOne).text("access_token")
}

// introspected is what that client asks about a token.
func (f *frail) introspected(token string) call {
	return f.form(introspectPath, url.Values{"token": {token}}, "Authorization", basic("service", serviceSecret))
}

func (f *frail) form(target string, values url.Values, header ...string) call {
	return call{http.MethodPost, target, values.Encode(), append([]string{"Content-Type", "application/x-www-form-urlencoded"}, header...)}
}

// button is a form of a page of the owner's.
func (f *frail) button(target string, values url.Values) call {
	if values == nil {
		values = url.Values{"form": {f.formToken(f.cookie)}}
	}
	return f.form(target, values, "Cookie", f.cookie, "Origin", testIssuer, "Sec-Fetch-Site", "same-origin")
}

// opened is a request that the owner has opened, and allowed one that they allowed.
func (f *frail) opened() device {
	d := f.ask(stored, "openid profile offline_access")
	f.open(f.cookie, d.userCode).wantOK()
	return d
}

func (f *frail) allowed() device {
	d := f.ask(stored, "openid profile offline_access")
	f.approve(f.cookie, d.userCode)
	return d
}

// code is an authorization code that the owner allowed.
func (f *frail) code() string {
	q := authorization("client_id", stored)
	_, transaction := f.reviewFor(f.cookie, q)
	return f.decide(f.cookie, transaction, "approve", "openid", "profile").back(webBack).Get("code")
}

// consented is a request that its client is let in for without asking, and whose browser asks.
func (f *frail) consented() (q url.Values, cookie string) {
	f.once = true // an account lets in so often only
	q, cookie = authorization("client_id", f.confidential(), "scope", "openid"), f.signIn(f.somebody())
	_, transaction := f.reviewFor(cookie, q)
	f.decide(cookie, transaction, "approve", "openid").back(webBack)
	return q, cookie
}

// granted is the id of a permission that the owner's key signed.
func (f *frail) granted() string { return f.approveSigned("alice", f.ask(stored, "openid").userCode) }

// denied asks for a page as somebody who allowed nothing.
func (f *frail) denied(target string) call {
	cookie, code := f.signIn(f.somebody()), f.ask(stored, "openid").userCode
	f.open(cookie, code).wantOK()
	f.postJSON(denyPath, map[string]any{"userCode": code}, "Cookie", cookie).wantOK()
	return call{http.MethodGet, target, "", []string{"Cookie", cookie}}
}

// issued are the tokens of a new permission.
func (f *frail) issued() reply { return f.poll(f.allowed()).wantOK() }

func (f *frail) pollOf(d device, header ...string) call {
	return f.form(pollPath, url.Values{"grant_type": {deviceGrant}, "device_code": {d.deviceCode}, "client_id": {d.client}}, header...)
}

// approval is a signed approval as the command line sends it, with the letters that
// were typed.
func (f *frail) approval(code, match string) call {
	f.t.Helper()
	target := "/api/auth/device/approval?user_code=" + code
	statement := f.signed("alice", http.MethodGet, target, "").wantOK().text("statement")
	return f.by("alice", http.MethodPost, approvePath, map[string]any{"userCode": code, "statement": statement, "match": match})
}

// asks are requests that succeed, for each endpoint at least one: each makes what
// it needs.
var asks = map[string]map[string]func(*frail) call{
	"POST " + codePath: {
		"": func(f *frail) call { return f.form(codePath, url.Values{"client_id": {stored}, "scope": {"openid"}}) },
		"of a client that signs": func(f *frail) call {
			return f.by("client", http.MethodPost, codePath, map[string]any{"client_id": "stored-member"})
		},
		"of a client that nobody registered": func(f *frail) call { return f.form(codePath, url.Values{"client_id": {f.somebody()}}) },
		"with a key": func(f *frail) call {
			return f.form(codePath, url.Values{"client_id": {stored}}, dpop.Header, f.holder().proof(http.MethodPost, codePath, ""))
		},
	},
	"POST " + pollPath: {
		"with a key": func(f *frail) call {
			return f.pollOf(f.allowed(), dpop.Header, f.holder().proof(http.MethodPost, pollPath, ""))
		},
		"approved":      func(f *frail) call { return f.pollOf(f.allowed()) },
		"that may wait": func(f *frail) call { return f.pollOf(f.allowed(), "Prefer", "wait=1") },
	},
	"POST " + tokenPath: {
		"device": func(f *frail) call {
			c := f.pollOf(f.allowed())
			c.target = tokenPath
			return c
		},
		"code": func(f *frail) call { return f.form(tokenPath, redemption(f.code(), "client_id", stored)) },
		"credentials": func(f *frail) call {
			f.ofService()
			return f.form(tokenPath, credentials(nil), "Authorization", basic("service", serviceSecret))
		},
		"exchange": func(f *frail) call {
			return f.form(tokenPath, exchange(f.sent()), "Authorization", basic("api", serviceSecret))
		},
		"exchange with a key": func(f *frail) call {
			return f.form(tokenPath, exchange(f.sent()), "Authorization", basic("api", serviceSecret), dpop.Header, f.holder().proof(http.MethodPost, tokenPath, ""))
		},
		"refresh": func(f *frail) call { return f.form(tokenPath, refreshForm(stored, f.issued().text("refresh_token"))) },
		"refresh with a key": func(f *frail) call {
			return f.form(tokenPath, refreshForm(stored, f.issued().text("refresh_token")), dpop.Header, f.holder().proof(http.MethodPost, tokenPath, ""))
		},
		"refresh again": func(f *frail) call {
			first := f.issued().text("refresh_token")
			f.postForm(tokenPath, refreshForm(stored, first)).wantOK()
			return f.form(tokenPath, refreshForm(stored, first))
		},
	},
	"POST " + introspectPath: {
		"access token":  func(f *frail) call { return f.introspected(f.ofService().text("access_token")) },
		"refresh token": func(f *frail) call { return f.introspected(f.ofService().text("refresh_token")) },
	},
	"POST " + revokePath: {
		"refresh token": func(f *frail) call {
			return f.form(revokePath, url.Values{"client_id": {stored}, "token": {f.issued().text("refresh_token")}})
		},
		"access token": func(f *frail) call {
			return f.form(revokePath, url.Values{"client_id": {stored}, "token": {f.issued().text("access_token")}})
		},
	},
	"GET " + userinfoPath: {
		"exchanged for who acts": func(f *frail) call {
			sent := f.sent()
			if err := f.house.store.AddClient(f.t.Context(), *made("worker", nil)); err != nil && !errors.Is(err, contract.ErrExists) {
				f.t.Fatal(err)
			}
			token := f.exchanges("api", sent, "actor_token", f.itself("worker", apiOne), "actor_token_type", accessTokenType).wantOK().text("access_token")
			return call{http.MethodGet, userinfoPath, "", []string{"Authorization", "Bearer " + token}}
		},
		"": func(f *frail) call {
			return call{http.MethodGet, userinfoPath, "", []string{"Authorization", "Bearer " + f.issued().text("access_token")}}
		},
		"with a key": func(f *frail) call {
			k := f.holder()
			token := k.polls(f.allowed()).wantOK().text("access_token")
			return call{http.MethodGet, userinfoPath, "", []string{"Authorization", "DPoP " + token, dpop.Header, k.proof(http.MethodGet, userinfoPath, token)}}
		},
	},
	"GET /api/auth/organization/list": {"": func(f *frail) call {
		return call{http.MethodGet, "/api/auth/organization/list", "", []string{"Authorization", "Bearer " + f.issued().text("access_token")}}
	}},
	"POST /api/auth/organization/set-active": {"": func(f *frail) call {
		return f.json(http.MethodPost, "/api/auth/organization/set-active", map[string]any{"organizationId": bapIDOf(f.t, "alice")},
			"Authorization", "Bearer "+f.issued().text("access_token"))
	}},
	"POST " + userinfoPath: {"": func(f *frail) call {
		return f.form(userinfoPath, url.Values{"access_token": {f.issued().text("access_token")}})
	}},
	"GET " + clientsPath: {"": func(f *frail) call { return f.get(clientsPath) }},
	"POST " + clientsPath: {"": func(f *frail) call {
		if err := f.house.store.AddClient(f.t.Context(), ownedClient(f.t, "owned", "alice")); err != nil && !errors.Is(err, contract.ErrExists) {
			f.t.Fatal(err)
		}
		return f.own(clientsPath, map[string]any{
			"clientId": "owned", "ownerBapId": bapIDOf(f.t, "alice"), "name": "The app", "accountPubkey": f.settings.Clients[4].MemberKey,
			"redirectUris": []string{webBack, "http://localhost:3000/auth/sigma/callback"},
		})
	}},
	"POST " + signUpPath: {
		"somebody new": func(f *frail) call { return f.enrolment(f.somebody()) },
		"again":        func(f *frail) call { return f.enrolment("alice") },
	},
	"POST " + signInPath: {
		"somebody new": func(f *frail) call { return f.by(f.somebody(), http.MethodPost, signInPath, nil) },
		"somebody again": func(f *frail) call {
			return f.by("alice", http.MethodPost, signInPath, nil, "Cookie", f.signIn("alice"))
		},
		"a signed empty object": func(f *frail) call {
			return f.by("alice", http.MethodPost, signInPath, map[string]any{})
		},
		"an unsigned body": func(f *frail) call {
			return call{http.MethodPost, signInPath, "{}", append(slices.Clone(jsonBody), bitcoinauth.Header, f.sign("alice", signInPath, ""))}
		},
	},
	"POST " + passkeySignInPath: {"": func(f *frail) call {
		a := f.registered(f.somebody())
		c := f.passkeySignInOptions()
		return f.json(http.MethodPost, passkeySignInPath, map[string]any{"ceremony": c.Ceremony, "credential": a.get(c.Options)})
	}},
	"GET /api/auth/get-session": {"": func(f *frail) call { return f.get("/api/auth/get-session") }},
	"POST /api/auth/sign-out": {"": func(f *frail) call {
		return f.json(http.MethodPost, "/api/auth/sign-out", nil, "Cookie", f.signIn("alice"))
	}},
	"GET /api/auth/device": {
		"signed in": func(f *frail) call { return f.get(statusPath + f.ask(stored, "openid").userCode) },
		"not signed in": func(f *frail) call {
			return call{http.MethodGet, statusPath + f.ask(stored, "openid").userCode, "", nil}
		},
	},
	"GET /api/auth/device/approval": {
		"signed": func(f *frail) call {
			return f.by("alice", http.MethodGet, "/api/auth/device/approval?aud="+url.QueryEscape(testIssuer)+"&user_code="+f.ask(stored, "openid").userCode, nil)
		},
		"by session": func(f *frail) call { return f.get("/api/auth/device/approval?user_code=" + f.opened().userCode) },
		"of a client that nobody registered": func(f *frail) call {
			return f.by("alice", http.MethodGet, "/api/auth/device/approval?aud="+url.QueryEscape(testIssuer)+"&user_code="+f.ask("nobody", "openid").userCode, nil)
		},
	},
	"POST " + approvePath: {
		"by session": func(f *frail) call { return f.own(approvePath, map[string]any{"userCode": f.opened().userCode}) },
		"signed": func(f *frail) call {
			code := f.ask(stored, "openid").userCode
			return f.approval(code, code[len(code)-4:])
		},
	},
	"POST " + denyPath: {
		"by session": func(f *frail) call { return f.own(denyPath, map[string]any{"userCode": f.opened().userCode}) },
		"signed": func(f *frail) call {
			return f.by("alice", http.MethodPost, denyPath, map[string]any{"aud": testIssuer, "userCode": f.ask(stored, "openid").userCode, "report": true})
		},
	},
	"GET /api/grants":              {"": func(f *frail) call { f.granted(); return f.get("/api/grants") }},
	"GET /api/grants/{id}/receipt": {"": func(f *frail) call { return f.get("/api/grants/" + f.granted() + "/receipt") }},
	"POST /api/grants/{id}/revoke": {
		"by session": func(f *frail) call { return f.own("/api/grants/"+f.granted()+"/revoke", nil) },
		"signed": func(f *frail) call {
			return f.by("alice", http.MethodPost, "/api/grants/"+f.granted()+"/revoke", map[string]any{"aud": testIssuer, "report": true})
		},
	},
	"POST /api/grants/revoke":     {"": func(f *frail) call { f.granted(); return f.own("/api/grants/revoke", nil) }},
	"GET /api/agents":             {"": func(f *frail) call { f.agent(); return f.get(agentsPath) }},
	"GET /api/agents/{id}":        {"": func(f *frail) call { return f.get(agentsPath + "/" + f.agent()) }},
	"GET /api/agents/{id}/chain":  {"": func(f *frail) call { return f.get(agentsPath + "/" + f.agent() + "/chain") }},
	"POST /api/agents/{id}/pause": {"": func(f *frail) call { return f.own(agentsPath+"/"+f.agent()+"/pause", nil) }},
	"POST /api/agents/{id}/resume": {"": func(f *frail) call {
		id := f.agent()
		f.postJSON(agentsPath+"/"+id+"/pause", map[string]any{}, "Cookie", f.cookie).wantOK()
		return f.by("alice", http.MethodPost, agentsPath+"/"+id+"/resume", map[string]any{"aud": testIssuer, "presence": "password"})
	}},
	"POST /api/agents/{id}/revoke": {"": func(f *frail) call { return f.own(agentsPath+"/"+f.agent()+"/revoke", nil) }},
	"POST /api/agents/pause":       {"": func(f *frail) call { f.agent(); return f.own(agentsPath+"/pause", nil) }},
	"POST /api/agents/revoke":      {"": func(f *frail) call { f.agent(); return f.own(agentsPath+"/revoke", nil) }},
	"POST /api/kill": {"": func(f *frail) call {
		name := f.somebody()
		f.signIn(name)
		return call{http.MethodPost, killPath, f.killSwitch(name, testIssuer, strings.Repeat("0f", 16), f.now()), jsonBody}
	}},
	"GET /api/sessions": {"": func(f *frail) call { return f.get("/api/sessions") }},
	"POST /api/sessions/{id}/end": {"": func(f *frail) call {
		f.signInFrom("alice", "Elsewhere", "")
		i := slices.IndexFunc(f.sessions(f.cookie), func(s session) bool { return !s.Current })
		return f.own("/api/sessions/"+f.sessions(f.cookie)[i].ID+"/end", nil)
	}},
	"POST /api/sessions/end-others": {"": func(f *frail) call { f.signIn("alice"); return f.own("/api/sessions/end-others", nil) }},
	"GET /api/events":               {"": func(f *frail) call { f.granted(); return f.get("/api/events") }, "of a denial": func(f *frail) call { return f.denied("/api/events") }},
	"GET /api/passkeys":             {"": func(f *frail) call { return f.get(passkeysPath) }},
	"POST /api/passkeys": {"": func(f *frail) call {
		name := f.somebody()
		a, cookie := newAuthenticator(f.t), f.signIn(name)
		c := f.passkeyOptions(cookie)
		return f.by(name, http.MethodPost, passkeysPath, map[string]any{
			"aud": testIssuer, "ceremony": c.Ceremony, "name": "My phone", "credential": a.create(c.Options),
		}, "Cookie", cookie)
	}},
	"POST /api/passkeys/options": {"": func(f *frail) call { return f.own(passkeyOptionsPath, nil) }},
	"POST /api/passkeys/{id}/remove": {"": func(f *frail) call {
		name := f.somebody()
		a := f.registered(name)
		return f.json(http.MethodPost, passkeysPath+"/"+b64(a.id)+"/remove", nil, "Cookie", f.signIn(name))
	}},
	"GET /api/backup": {"": func(f *frail) call {
		f.saveBackup("alice", bep(f.t, "alice")).wantOK()
		return f.get(backupPath + "?bapId=" + bapIDOf(f.t, "alice"))
	}},
	"POST /api/backup": {"": func(f *frail) call {
		return f.by("alice", http.MethodPost, backupPath, map[string]any{"aud": testIssuer, "encryptedBackup": bep(f.t, "alice")})
	}},
	"POST /api/backup/remove": {"": func(f *frail) call {
		f.saveBackup("alice", bep(f.t, "alice")).wantOK()
		return f.by("alice", http.MethodPost, backupPath+"/remove", map[string]any{"aud": testIssuer, "bapId": bapIDOf(f.t, "alice")})
	}},
	"GET /api/backups":     {"": func(f *frail) call { return f.get("/api/backups") }},
	"GET /api/bap/profile": {"": func(f *frail) call { return f.get("/api/bap/profile?bapId=" + bapIDOf(f.t, "alice")) }},
	"PUT /api/bap/profile": {"": func(f *frail) call {
		return f.by("alice", http.MethodPut, "/api/bap/profile", map[string]any{"aud": testIssuer, "bapId": bapIDOf(f.t, "alice"), "name": "Alice"})
	}},
	"GET /api/user/last-oauth-identity": {"": func(f *frail) call { f.granted(); return f.get(lastPath + "?clientId=" + stored) }},
	"GET /api/user/bap-ids":             {"": func(f *frail) call { return f.get("/api/user/bap-ids") }},
	"POST /api/user/bap-ids":            {"": func(f *frail) call { return f.newIdentity(f.somebody()) }},
	"POST /api/user/bap-ids/{id}/remove": {"": func(f *frail) call {
		name := f.somebody()
		f.do(f.t.Context(), f.newIdentity(name)).wantOK()
		return f.by("alice", http.MethodPost, "/api/user/bap-ids/"+bapIDOf(f.t, name)+"/remove", map[string]any{"aud": testIssuer})
	}},

	"GET /oauth2/authorize": {
		"": func(f *frail) call { return f.get(authorizePath + "?" + authorization("client_id", stored).Encode()) },
		"by nobody": func(f *frail) call {
			return call{http.MethodGet, authorizePath + "?" + authorization("client_id", stored).Encode(), "", nil}
		},
		"of who is let in": func(f *frail) call {
			q, cookie := f.consented()
			return call{http.MethodGet, authorizePath + "?" + q.Encode(), "", []string{"Cookie", cookie}}
		},
	},
	"GET /api/auth/oauth2/authorize": {"": func(f *frail) call {
		return f.get("/api/auth" + authorizePath + "?" + authorization("client_id", stored).Encode())
	}},
	"GET /oauth2/logout": {
		"asked": func(f *frail) call { f.granted(); return f.get(logoutPath + "?client_id=" + stored) },
		"by a hint": func(f *frail) call {
			f.cookie, f.once = f.signIn("alice"), true // it ends the session
			tokens := f.postForm(tokenPath, redemption(f.code(), "client_id", stored)).wantOK()
			return f.get(logoutPath + "?id_token_hint=" + tokens.text("id_token"))
		},
	},
	"GET /device": {"": func(f *frail) call { return f.get("/device?code=" + f.ask(stored, "openid").userCode) }},
	"POST /device": {
		"": func(f *frail) call {
			return f.button("/device", url.Values{"code": {f.ask(stored, "openid").userCode}})
		},
		"with a proof": func(f *frail) call {
			code := f.ask(stored, "openid").userCode
			return f.button("/device", url.Values{"code": {code}, "proof": {f.proof("alice", code)}})
		},
	},
	"GET /device/request/{visit}": {
		"": func(f *frail) call {
			opened := f.do(f.t.Context(), f.button("/device", url.Values{"code": {f.ask(stored, "openid").userCode}}))
			return f.get(opened.header.Get("Location"))
		},
		"an application's, signed out": func(f *frail) call {
			return call{http.MethodGet, f.authorize(f.cookie, authorization("client_id", stored)).header.Get("Location"), "", nil}
		},
	},
	"POST /device/decide": {
		"approve": func(f *frail) call { return f.decision("approve") },
		"deny":    func(f *frail) call { return f.decision("deny") },
		"report":  func(f *frail) call { return f.decision("report") },
	},
	"GET /device/done/{id}": {
		"": func(f *frail) call { return f.get("/device/done/" + f.granted()) },
		"that leads back": func(f *frail) call {
			_, transaction := f.reviewFor(f.cookie, authorization("client_id", stored))
			return f.get(f.page("/device/decide", f.cookie, url.Values{"transaction": {transaction}, "decision": {"approve"}, "scope": {"openid"}}).header.Get("Location"))
		},
	},
	"POST /device/done/{id}/undo":      {"": func(f *frail) call { return f.button("/device/done/"+f.granted()+"/undo", nil) }},
	"POST /device/done/{id}/report":    {"": func(f *frail) call { return f.button("/device/done/"+f.granted()+"/report", nil) }},
	"GET /account":                     {"": func(f *frail) call { f.granted(); return f.get("/account") }, "of what is over": func(f *frail) call { return f.denied("/account") }},
	"POST /account/grants/revoke":      {"": func(f *frail) call { f.granted(); return f.button("/account/grants/revoke", nil) }},
	"POST /account/grants/{id}/revoke": {"": func(f *frail) call { return f.button("/account/grants/"+f.granted()+"/revoke", nil) }},
	"POST /account/grants/{id}/report": {"": func(f *frail) call { return f.button("/account/grants/"+f.granted()+"/report", nil) }},
	"POST /account/consents/{id}/forget": {"": func(f *frail) call {
		_, f.cookie = f.consented()
		return f.button(consentForm.FindString(f.do(f.t.Context(), f.get("/account")).body), nil)
	}},
	"POST /account/sessions/end": {"": func(f *frail) call { f.signIn("alice"); return f.button("/account/sessions/end", nil) }},
	"POST /account/sessions/{id}/end": {"": func(f *frail) call {
		f.signInFrom("alice", "Elsewhere", "")
		i := slices.IndexFunc(f.sessions(f.cookie), func(s session) bool { return !s.Current })
		return f.button("/account/sessions/"+f.sessions(f.cookie)[i].ID+"/end", nil)
	}},
	"POST /account/passkeys/{id}/remove": {"": func(f *frail) call {
		name := f.somebody()
		a := f.registered(name)
		f.cookie = f.signIn(name)
		defer func() { f.cookie = f.signIn("alice") }()
		return f.button("/account/passkeys/"+b64(a.id)+"/remove", nil)
	}},
	"POST /sign-out": {"": func(f *frail) call {
		f.cookie = f.signIn("alice")
		return f.button("/sign-out", nil)
	}},
	"GET /readyz": {"": func(f *frail) call { return f.get("/readyz") }},
}

// enrolment is a sign-up of a person.
func (f *frail) enrolment(name string) call {
	e := f.enrolmentOf(name)
	return call{http.MethodPost, e.target, e.body, append(slices.Clone(jsonBody), bitcoinauth.Header, e.token, proofHeader, e.proof)}
}

// newIdentity links a person's identity to the owner's account.
func (f *frail) newIdentity(name string) call {
	const path = "/api/user/bap-ids"
	c := f.by(name, http.MethodPost, path, map[string]any{"aud": testIssuer, "bapId": bapIDOf(f.t, name)}, "Cookie", f.cookie)
	c.header = append(c.header, vouchHeader, f.sign("alice", path, c.body))
	return c
}

func (f *frail) decision(decision string) call {
	d := f.ask(stored, "openid profile")
	_, transaction := f.review(f.cookie, d.userCode)
	return f.button("/device/decide", url.Values{"transaction": {transaction}, "decision": {decision}, "scope": {"openid"}, "match": {d.userCode[len(d.userCode)-4:]}})
}

// asksNothing are the endpoints that ask no database.
var asksNothing = []string{
	"GET /api/auth/jwks", "GET /.well-known/oauth-authorization-server", "GET /.well-known/openid-configuration",
	"GET /.well-known/oauth-protected-resource", "GET /.well-known/oauth-protected-resource/api/auth/oauth2/userinfo",
	"GET /api/auth/.well-known/openid-configuration", "GET /assets/{file}", "GET /{$}", "GET /healthz",
	"POST " + passkeySignInPath + "/options", "POST " + authorizePath, "POST /api/auth" + authorizePath, "POST " + logoutPath,
}

// agent is an agent of alice's, and one below it.
func (f *frail) agent() string {
	f.t.Helper()
	g := f.leashed("alice", f.somebody(), func(g *authz.Grant) { g.Delegated.Delegation = "hash" })
	f.below(g, f.somebody())
	return g.ID
}
