package client_test

import (
	"net/url"
	"slices"
	"strings"
	"testing"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/client"
)

func TestZ06_NoCodeIsSentToWhatABrowserWouldRunOrTakeForAnother(t *testing.T) {
	const anybody, web, native = "", authz.ApplicationWeb, authz.ApplicationNative
	for uri, kinds := range map[string][]string{
		"https://rp.example/cb":                     {anybody, web, native},
		"https://rp.example:8443/cb?tenant=a":       {anybody, web, native},
		"http://127.0.0.1/cb":                       {anybody, native},
		"http://[::1]:8000/cb":                      {anybody, native},
		"http://localhost:3000/auth/sigma/callback": {anybody, native},
		"com.example.app:/cb":                       {anybody, native},
		"com.example.app://cb":                      {anybody, native},

		"": nil, "/cb": nil, "//rp.example/cb": nil, "https:///cb": nil, "https:cb": nil, "com.example.app:": nil,
		"http://rp.example/cb": nil, "http://127.0.0.1.evil/cb": nil, "http://127.attacker.example/cb": nil, "http://127.0.0.2/cb": nil, "http://2130706433/cb": nil,
		"myapp:/cb": nil, "javascript:alert(1)": nil, "JavaScript://rp.example/%0aalert(1)": nil, "data:text/html,x": nil, "vbscript:x": nil,
		"file:///etc/passwd": nil, "blob:https://rp.example/x": nil, "about:blank": nil, "urn:ietf:wg:oauth:2.0:oob": nil,
		"https://rp.example/cb#x": nil, "https://rp.example/cb#": nil, "https://user@rp.example/cb": nil, "https://rp.example@evil.example/cb": nil,
		"https://*.rp.example/cb": nil, "https://rp.example/*": nil, "https://rp.example\\.evil.example/": nil, "https://rp.example/c b": nil,
		"https://rp.example/\ncb": nil, "https://rp.example/é": nil, "https://rp.example:x/cb": nil, "https://rp.example/%zz": nil,
		"https://rp.example/" + strings.Repeat("a", 2048): nil,
	} {
		for _, kind := range []string{anybody, web, native} {
			good := strings.Contains(" "+strings.Join(kinds, " ")+" ", " "+kind+" ") && len(kinds) > 0
			for member, r := range map[string]client.Registration{
				"redirect_uris":             {ID: "app", ApplicationType: kind, RedirectURIs: []string{"https://rp.example/other", uri}},
				"post_logout_redirect_uris": {ID: "app", ApplicationType: kind, PostLogoutRedirectURIs: []string{uri}},
			} {
				wrong, err := r.Check()
				if (err == nil) != good || (err != nil && wrong != member) {
					t.Errorf("%.60q, %q: %q %v", uri, kind, wrong, err)
				}
			}
		}
	}
}

func TestS07_AResourceHasOneForm(t *testing.T) {
	const none = ""
	for uri, want := range map[string]string{
		"https://api.example":           "https://api.example",
		"https://api.example/":          "https://api.example",
		"HTTPS://API.Example:443/":      "https://api.example",
		"http://api.example:80/v1//":    "http://api.example/v1",
		"https://api.example:8443/V1/x": "https://api.example:8443/V1/x",
		"https://api.example/?b=1&a=2":  "https://api.example?b=1&a=2",
		"https://[2001:DB8::1]/mcp":     "https://[2001:db8::1]/mcp",
		"https://[::1]:80/mcp":          "https://[::1]:80/mcp",
		"https://api.example/a%2Fb":     "https://api.example/a%2Fb",

		none: none, "api": none, "/v1": none, "//api.example": none, "https://": none, "https://:443/": none, "urn:api": none, "ftp://api.example": none,
		"https://api.example#x": none, "https://u@api.example": none, "https://api.example/a b": none, "https://api.example/\"": none,
		"https://api.example/" + strings.Repeat("a", 236): none,
	} {
		r := client.Registration{ID: "api", Resources: []string{uri}}
		if _, err := r.Check(); (err == nil) != (want != none) {
			t.Errorf("%.60q: %v", uri, err)
		} else if got := registered(t, r).Resources[0]; got != want {
			t.Errorf("%.60q became %q, want %q", uri, got, want)
		}
	}
}

// Whatever is registered, no browser is sent to what it would run, and of two forms of a
// resource one is kept.
func FuzzURIs(f *testing.F) {
	for _, uri := range []string{
		"https://rp.example/cb", "http://[::1]:1/cb", "com.example.app:/cb", "HTTPS://API.Example:443/a%2Fb//?x=1", "javascript:alert(1)", "https://a@b\\c", "https://[v1.x]/",
	} {
		f.Add(uri)
	}
	f.Fuzz(func(t *testing.T, uri string) {
		if _, err := (client.Registration{ID: "app", RedirectURIs: []string{uri}}).Check(); err == nil {
			u, err := url.Parse(uri)
			if err != nil || u.User != nil || u.Fragment != "" || strings.ContainsAny(uri, " \\\"<>\r\n\t") ||
				u.Scheme != "https" && !strings.Contains(u.Scheme, ".") && (u.Scheme != "http" || !slices.Contains([]string{"127.0.0.1", "::1", "localhost"}, u.Hostname())) {
				t.Errorf("a code may be sent to %q", uri)
			}
		}
		r := client.Registration{ID: "api", Resources: []string{uri}}
		if _, err := r.Check(); err == nil {
			kept := registered(t, r).Resources
			again := client.Registration{ID: "api", Resources: kept}
			if _, err := again.Check(); err != nil || !slices.Equal(registered(t, again).Resources, kept) || strings.Contains(kept[0], " ") {
				t.Errorf("%q is kept as %q, and that as %q: %v", uri, kept, registered(t, again).Resources, err)
			}
		}
	})
}
