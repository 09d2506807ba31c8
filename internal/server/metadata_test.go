package server_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"countersign.dev/internal/authz"
)

func TestM01_M02_M03_TheDiscoveryDocuments(t *testing.T) {
	h := newHouse(t)
	first := h.send(http.MethodGet, "/.well-known/oauth-authorization-server", "", "Host", "evil.example").wantOK()
	for _, path := range []string{"/.well-known/openid-configuration", "/api/auth/.well-known/openid-configuration"} {
		if r := h.send(http.MethodGet, path, "").wantOK(); r.body != first.body {
			t.Errorf("%s differs", path)
		}
	}
	m := first.members()
	if m["issuer"] != testIssuer || m["device_authorization_endpoint"] != testIssuer+codePath { // D-33
		t.Errorf("%s", first.body)
	}
	for name, value := range m {
		if list, ok := value.([]any); ok && len(list) == 0 {
			t.Errorf("%s is empty", name)
		}
	}
	for name, want := range map[string]string{
		"grant_types_supported": deviceGrant, "id_token_signing_alg_values_supported": "RS256", // M-06
		"token_endpoint_auth_methods_supported": "none", "scopes_supported": "openid",
	} {
		list, _ := m[name].([]any)
		if !slices.Contains(list, any(want)) {
			t.Errorf("%s: %v lacks %s", name, list, want)
		}
	}
}

func TestM04_WhatIsAdvertisedAnswers(t *testing.T) {
	h := newHouse(t)
	for name, value := range h.send(http.MethodGet, "/.well-known/openid-configuration", "").members() {
		address, ok := value.(string)
		if !ok || (!strings.HasSuffix(name, "_endpoint") && name != "jwks_uri") {
			continue
		}
		path := strings.TrimPrefix(address, testIssuer)
		if get, post := h.send(http.MethodGet, path, ""), h.send(http.MethodPost, path, ""); get.status == http.StatusNotFound || post.status == http.StatusNotFound {
			t.Errorf("%s: nothing at %s", name, path)
		}
	}
}

func TestM07_TheKeySetIsPublicOnly(t *testing.T) {
	h := newHouse(t)
	r := h.send(http.MethodGet, "/api/auth/jwks", "").wantOK()
	var set struct{ Keys []map[string]any }
	if err := json.Unmarshal([]byte(r.body), &set); err != nil {
		t.Fatal(err)
	}
	ids := map[any]bool{}
	for _, k := range set.Keys {
		for _, secret := range []string{"d", "p", "q", "dp", "dq", "qi", "k"} {
			if k[secret] != nil {
				t.Errorf("a key shows %s", secret)
			}
		}
		if k["kid"] == nil || k["use"] != "sig" || k["alg"] == nil || ids[k["kid"]] {
			t.Errorf("%v", k)
		}
		ids[k["kid"]] = true
	}
	if len(set.Keys) != 3 {
		t.Errorf("%d keys", len(set.Keys))
	}
}

// openPaths are what any web page may call (ruling 0.11).
var openPaths = map[string]string{
	codePath: "POST", pollPath: "POST", tokenPath: "POST", revokePath: "POST", userinfoPath: "GET", "/api/auth/jwks": "GET",
	"/.well-known/oauth-authorization-server": "GET", "/.well-known/openid-configuration": "GET",
}

// ownerPaths are what only our own pages and tools may.
var ownerPaths = map[string]string{
	signInPath: "POST", "/api/auth/get-session": "GET", "/api/auth/sign-out": "POST", "/api/auth/device": "GET",
	"/api/auth/device/approval": "GET", approvePath: "POST", denyPath: "POST", "/api/grants": "GET", "/api/grants/x/receipt": "GET",
	"/api/grants/x/revoke": "POST", "/api/bap/profile": "PUT", "/api/user/bap-ids": "POST", "/api/user/bap-ids/x/remove": "POST",
	"/api/grants/revoke": "POST", "/api/sessions": "GET", "/api/sessions/x/end": "POST", "/api/sessions/end-others": "POST", "/api/events": "GET",
	passkeysPath: "POST", passkeyOptionsPath: "POST", "/api/passkeys/x/remove": "POST", passkeySignInPath: "POST", passkeySignInPath + "/options": "POST",
	signUpPath: "POST", lastPath: "GET", clientsPath: "POST", backupPath: "POST", backupPath + "/remove": "POST", "/api/backups": "GET",
}

func TestU11_OpenEndpointsTakeAnyOriginWithoutCredentials(t *testing.T) {
	h := newHouse(t)
	for path, method := range openPaths {
		for _, origin := range []string{"https://x.example", "tauri://localhost", "null"} {
			preflight := h.send(http.MethodOptions, path, "", "Origin", origin, "Access-Control-Request-Method", method,
				"Access-Control-Request-Headers", "authorization,content-type,prefer")
			allowed := strings.ToLower(preflight.header.Get("Access-Control-Allow-Headers"))
			if preflight.status/100 != 2 || preflight.header.Get("Access-Control-Allow-Origin") != "*" || preflight.header.Get("Access-Control-Allow-Credentials") != "" ||
				preflight.header.Get("Access-Control-Max-Age") != "600" ||
				!(strings.Contains(allowed, "prefer") && strings.Contains(allowed, "authorization") && strings.Contains(allowed, "content-type")) {
				t.Errorf("%s from %s: %d %v", path, origin, preflight.status, preflight.header)
			}
			r := h.send(method, path, "", "Origin", origin) // errors carry the headers too
			exposed := strings.ToLower(r.header.Get("Access-Control-Expose-Headers"))
			if r.header.Get("Access-Control-Allow-Origin") != "*" || !strings.Contains(exposed, "www-authenticate") || !strings.Contains(exposed, "retry-after") {
				t.Errorf("%s from %s: %v", path, origin, r.header)
			}
		}
	}
	for path, method := range ownerPaths {
		r := h.send(method, path, "", "Origin", "https://x.example")
		if r.header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s lets any page in", path)
		}
		if method != http.MethodGet && r.status != http.StatusForbidden {
			t.Errorf("%s answered a foreign page %d", path, r.status)
		}
	}
}

func TestContract6_EveryJSONEndpointRefusesInJSON(t *testing.T) {
	h := newHouse(t)
	h.send(http.MethodGet, "/no/such/path", "").wantError(http.StatusNotFound, "not_found")
	h.send(http.MethodPost, "/api/auth/nothing", "{}", "Content-Type", "application/json").wantError(http.StatusNotFound, "not_found")
	for _, paths := range []map[string]string{openPaths, ownerPaths} {
		for path := range paths {
			r := h.send(http.MethodDelete, path, "")
			r.wantError(http.StatusMethodNotAllowed, "invalid_request")
			if r.header.Get("Allow") == "" {
				t.Errorf("%s: no Allow", path)
			}
		}
	}
}

func TestContract6_ATrailingSlashInTheIssuerSettingIsRedirectedWithItsBody(t *testing.T) {
	h := newHouse(t)
	r := h.send(http.MethodPost, "//api/auth/oauth2/token", "grant_type=x", "Content-Type", "application/x-www-form-urlencoded")
	if r.status != http.StatusTemporaryRedirect || r.header.Get("Location") != tokenPath {
		t.Errorf("%d %q", r.status, r.header.Get("Location"))
	}
}

func TestContract6_HealthChecks(t *testing.T) {
	h := newHouse(t)
	if r := h.send(http.MethodGet, "/", "", "Accept", "application/json").wantOK(); r.text("issuer") != testIssuer || r.text("version") == "" {
		t.Errorf("%s", r.body)
	}
	h.send(http.MethodGet, "/healthz", "").wantOK()
	h.send(http.MethodHead, "/healthz", "").wantOK()
	h.send(http.MethodGet, "/readyz", "").wantOK()
}

func TestReadyzSaysWhenTheDatabaseIsGone(t *testing.T) {
	h := newHouse(t)
	if err := h.store.Close(); err != nil {
		t.Fatal(err)
	}
	h.send(http.MethodGet, "/readyz", "").wantError(http.StatusServiceUnavailable, "temporarily_unavailable")
	// A failing store is no protocol answer, and its text reaches nobody.
	r := h.postForm(codePath, map[string][]string{"client_id": {"pub-a"}})
	r.wantError(http.StatusServiceUnavailable, "temporarily_unavailable")
	if strings.Contains(r.body, "closed") || !strings.Contains(h.log.String(), "closed") {
		t.Errorf("%s", r.body)
	}
}

func TestAnHTTPSIssuerHasSecureCookiesAndHSTS(t *testing.T) {
	h := newHouse(t, func(s *authz.Settings) { s.Issuer = "https://id.example.org" })
	if cookie := h.signIn("alice"); !strings.HasPrefix(cookie, "__Host-countersign.session.") {
		t.Errorf("cookie %.40q", cookie)
	}
	if r := h.send(http.MethodGet, "/device", ""); r.header.Get("Strict-Transport-Security") == "" {
		t.Error("no HSTS")
	}
}

// monitoring are the request headers that real monitoring scripts add to every
// request of a page, each list as a browser sends it: in lower case and in order.
var monitoring = map[string]string{
	"W3C Trace Context":         "traceparent,tracestate",
	"W3C Baggage":               "baggage,traceparent",
	"Sentry":                    "baggage,content-type,sentry-trace",
	"Datadog":                   "x-datadog-origin,x-datadog-parent-id,x-datadog-sampling-priority,x-datadog-tags,x-datadog-trace-id",
	"New Relic":                 "newrelic,traceparent,tracestate",
	"Zipkin, many headers":      "x-b3-parentspanid,x-b3-sampled,x-b3-spanid,x-b3-traceid",
	"Zipkin, one header":        "b3",
	"AWS X-Ray":                 "x-amzn-trace-id",
	"Application Insights":      "request-context,request-id",
	"Dynatrace":                 "x-dtc,x-dtpc,x-dtreferer",
	"Elastic":                   "elastic-apm-traceparent,traceparent",
	"a request id":              "authorization,prefer,x-request-id",
	"an old library":            "content-type,x-requested-with",
	"a page that is not cached": "cache-control,pragma",
}

func TestU11_AnyHeaderThatIsNoCredentialMayComeAlong(t *testing.T) {
	h := newHouse(t)
	preflight := func(path, method, names string) (allowed []string, r reply) {
		r = h.send(http.MethodOptions, path, "", "Origin", "https://x.example", "Access-Control-Request-Method", method, "Access-Control-Request-Headers", names)
		return strings.FieldsFunc(strings.Join(r.header.Values("Access-Control-Allow-Headers"), ","), func(c rune) bool { return c == ',' || c == ' ' }), r
	}
	for path, method := range openPaths {
		for program, names := range monitoring {
			allowed, r := preflight(path, method, names)
			if !slices.Equal(allowed, strings.Split(names, ",")) || r.status/100 != 2 || r.header.Get("Access-Control-Allow-Credentials") != "" ||
				r.header.Get("Access-Control-Allow-Origin") != "*" || !strings.Contains(strings.Join(r.header.Values("Vary"), ","), "Access-Control-Request-Headers") {
				t.Errorf("%s for %s: %d %v", path, program, r.status, r.header)
			}
		}
		for _, credential := range []string{"cookie", "Cookie", "set-cookie", "proxy-authorization", "x-auth-token", " X-Auth-Token "} {
			if allowed, r := preflight(path, method, "traceparent,"+credential+",x-request-id"); !slices.Equal(allowed, []string{"traceparent", "x-request-id"}) {
				t.Errorf("%s for %s: %v", path, credential, r.header)
			}
			if allowed, r := preflight(path, method, credential); len(allowed) > 0 {
				t.Errorf("%s for %s alone: %v", path, credential, r.header)
			}
		}
	}
	for path, method := range ownerPaths {
		if allowed, r := preflight(path, method, "traceparent"); len(allowed) > 0 || r.header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s lets a page in: %v", path, r.header)
		}
	}
	// And with them the request is answered like any other.
	h.postForm(codePath, map[string][]string{"client_id": {"pub-a"}}, "Origin", "https://x.example", "Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01").wantOK()
}
