package deviceflow_test

import (
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"countersign.dev/deviceflow"
)

// What servers answer that follow RFC 8628, RFC 8414 and RFC 6749 in their own
// ways, or nearly: each oddity was seen at some server, and none may cost a token.

// says answers with a status, a content type and a body as they stand here.
func says(status int, contentType, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}
}

func saysJSON(status int, body string) http.HandlerFunc {
	return says(status, "application/json", body)
}

// raw answers with the bytes of an HTTP answer and hangs up.
func raw(lines ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(err)
		}
		_, _ = conn.Write([]byte(strings.Join(lines, "\r\n")))
		conn.Close()
	}
}

func after(retry string, h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Retry-After", retry)
		h(w, r)
	}
}

func TestB10_AnIssuedTokenIsNeverLost(t *testing.T) {
	const plain = `{"access_token":"at","token_type":"Bearer","expires_in":3600,"refresh_token":"rt"}`
	const unknown, whole = time.Duration(0), time.Hour
	for name, row := range map[string]struct {
		answer http.HandlerFunc
		lives  time.Duration
	}{
		"as it should be":              {saysJSON(200, plain), whole},
		"expires_in is a text":         {saysJSON(200, strings.Replace(plain, "3600", `"3600"`, 1)), whole},
		"expires_in is a float":        {saysJSON(200, strings.Replace(plain, "3600", `3600.0`, 1)), whole},
		"expires_in has an exponent":   {saysJSON(200, strings.Replace(plain, "3600", `3.6e3`, 1)), whole},
		"expires_in is a float's text": {saysJSON(200, strings.Replace(plain, "3600", `" 3600.0 "`, 1)), whole},
		"expires_in is null":           {saysJSON(200, strings.Replace(plain, "3600", `null`, 1)), unknown},
		"expires_in is 0":              {saysJSON(200, strings.Replace(plain, "3600", `0`, 1)), unknown},
		"expires_in is negative":       {saysJSON(200, strings.Replace(plain, "3600", `-1`, 1)), unknown},
		"expires_in is a word":         {saysJSON(200, strings.Replace(plain, "3600", `"never"`, 1)), unknown},
		"expires_in is no number":      {saysJSON(200, strings.Replace(plain, "3600", `"NaN"`, 1)), unknown},
		"expires_in is an object":      {saysJSON(200, strings.Replace(plain, "3600", `{"seconds":3600}`, 1)), unknown},
		"expires_in is out of bounds":  {saysJSON(200, strings.Replace(plain, "3600", `1e300`, 1)), (1<<31 - 1) * time.Second},
		"no expires_in":                {saysJSON(200, `{"access_token":"at","token_type":"Bearer","refresh_token":"rt"}`), unknown},
		"no token_type":                {saysJSON(200, `{"access_token":"at","expires_in":3600,"refresh_token":"rt"}`), whole},
		"token_type is bearer":         {saysJSON(200, strings.Replace(plain, "Bearer", "bearer", 1)), whole},
		"token_type is BEARER":         {saysJSON(200, strings.Replace(plain, "Bearer", "BEARER", 1)), whole},
		"token_type is null":           {saysJSON(200, strings.Replace(plain, `"Bearer"`, "null", 1)), whole},
		"members of other types":       {saysJSON(200, `{"scope":["a","b"],"id_token":null,"x":{"y":[1]},`+plain[1:]), whole},
		"an empty error beside it":     {saysJSON(200, `{"error":"","error_description":null,`+plain[1:]), whole},
		"a null error beside it":       {saysJSON(200, `{"error":null,`+plain[1:]), whole},
		"a word for no error":          {saysJSON(200, `{"error":"ok",`+plain[1:]), whole},
		"names that differ in case":    {saysJSON(200, `{"Access_Token":"wrong","EXPIRES_IN":1,`+plain[1:]), whole},
		"such names after it":          {saysJSON(200, plain[:len(plain)-1]+`,"Access_Token":"wrong","EXPIRES_IN":1,"Error":"x"}`), whole},
		"201":                          {saysJSON(201, plain), whole},
		"no content type":              {says(200, "", plain), whole},
		"text/html":                    {says(200, "text/html; charset=utf-8", plain), whole},
		"a content type of nonsense":   {says(200, ";;;", plain), whole},
		"a byte order mark":            {saysJSON(200, "\xef\xbb\xbf"+plain), whole},
		"space around it":              {saysJSON(200, "\r\n\t "+plain+"\n\n"), whole},
		"a comment after it":           {saysJSON(200, plain+"\n<!-- 12 ms -->"), whole},
		"a form":                       {says(200, "application/x-www-form-urlencoded", "access_token=at&expires_in=3600&token_type=bearer&refresh_token=rt"), whole},
		"a form as text/plain":         {says(200, "text/plain", "access_token=at&expires_in=3600&token_type=bearer&refresh_token=rt\n"), whole},
		"in chunks": {func(w http.ResponseWriter, _ *http.Request) {
			for i := range len(plain) {
				_, _ = w.Write([]byte(plain[i : i+1]))
				_ = http.NewResponseController(w).Flush()
			}
		}, whole},
		"gzip": {func(w http.ResponseWriter, r *http.Request) {
			if !strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
				panic("gzip was not asked for")
			}
			w.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			_, _ = z.Write([]byte(plain))
			_ = z.Close()
		}, whole},
		"HTTP/1.0":                         {raw("HTTP/1.0 200 OK", "Content-Type: application/json", "", plain), whole},
		"a length that is too long":        {raw("HTTP/1.1 200 OK", "Content-Length: 5000", "", plain), whole},
		"chunks that do not end":           {raw("HTTP/1.1 200 OK", "Transfer-Encoding: chunked", "", fmt.Sprintf("%x", len(plain)), plain, ""), whole},
		"an interim answer":                {raw("HTTP/1.1 103 Early Hints", "", "HTTP/1.1 200 Fine", "", plain), whole},
		"a connection that is not closed":  {heldOpen(plain), whole},
		"a 502 first":                      {once(says(502, "text/html", "<html>Bad Gateway</html>"), saysJSON(200, plain)), whole},
		"half of it first":                 {once(raw("HTTP/1.1 200 OK", "Content-Length: 5000", "", plain[:40]), saysJSON(200, plain)), whole},
		"half of a form first":             {once(raw("HTTP/1.1 200 OK", "Content-Type: text/plain", "Content-Length: 5000", "", "access_token=a"), saysJSON(200, plain)), whole},
		"a sign-in page of the Wi-Fi":      {once(says(200, "text/html", "<html>Accept our terms</html>"), saysJSON(200, plain)), whole},
		"a redirect to such a page":        {once(redirect(302, "http://wifi.example/terms"), saysJSON(200, plain)), whole},
		"a hang-up first":                  {once(raw(""), saysJSON(200, plain)), whole},
		"an empty 200 first":               {once(saysJSON(200, ""), saysJSON(200, plain)), whole},
		"a page like a form first":         {once(says(200, "text/html", "access_token=wrong"), saysJSON(200, plain)), whole},
		"a refusal with a token first":     {once(saysJSON(503, plain), saysJSON(200, plain)), whole},
		"a form that is broken elsewhere":  {says(200, "text/plain", "access_token=at&expires_in=3600&refresh_token=rt&scope=%zz"), whole},
		"null first":                       {once(saysJSON(200, "null"), saysJSON(200, plain)), whole},
		"a list first":                     {once(saysJSON(200, "[]"), saysJSON(200, plain)), whole},
		"an object without a token first":  {once(saysJSON(200, `{"status":"ok"}`), saysJSON(200, plain)), whole},
		"an error that is an object first": {once(saysJSON(500, `{"error":{"message":"down"}}`), saysJSON(200, plain)), whole},
	} {
		t.Run(name, func(t *testing.T) {
			_, token, err := run(t, row.answer)
			if err != nil {
				t.Fatal(err)
			}
			if token.AccessToken != "at" || token.RefreshToken != "rt" || token.Type() != "Bearer" {
				t.Errorf("%+v", token)
			}
			var lives time.Duration
			if !token.Expiry.IsZero() {
				lives = time.Duration(token.ExpiresIn) * time.Second
			}
			if lives != row.lives || token.Expiry.IsZero() != (row.lives == unknown) {
				t.Errorf("lives %v until %v, want %v", lives, token.Expiry, row.lives)
			}
		})
	}
}

// once answers the first request in one way and the others in another.
func once(first, then http.HandlerFunc) http.HandlerFunc {
	asked := 0
	return func(w http.ResponseWriter, r *http.Request) {
		if asked++; asked == 1 {
			first(w, r)
			return
		}
		then(w, r)
	}
}

// heldOpen sends an answer whose end only the hang-up would tell, and does not
// hang up.
func heldOpen(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "5000")
		_, _ = w.Write([]byte(body))
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}
}

func redirect(status int, to string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, to, status) }
}

func TestB10_EveryWayToSayNotYetIsHeard(t *testing.T) {
	const pending = `{"error":"authorization_pending"}`
	for name, row := range map[string]struct {
		answer http.HandlerFunc
		// least and most are the seconds to the next poll; the interval is 5.
		least, most float64
	}{
		"400":                                 {saysJSON(400, pending), 5, 5},
		"200":                                 {saysJSON(200, pending), 5, 5},
		"401":                                 {saysJSON(401, pending), 5, 5},
		"403":                                 {saysJSON(403, pending), 5, 5},
		"428":                                 {saysJSON(428, pending), 5, 5},
		"a form":                              {says(200, "application/x-www-form-urlencoded; charset=utf-8", "error=authorization_pending&error_description=x"), 5, 5},
		"with members of other types":         {saysJSON(400, `{"error":"authorization_pending","error_description":["x"],"interval":"5","status":400}`), 5, 5},
		"with Retry-After":                    {after("9", saysJSON(400, pending)), 9, 9},
		"slow_down":                           {saysJSON(400, `{"error":"slow_down"}`), 10, 10},
		"slow_down, 403":                      {saysJSON(403, `{"error":"slow_down"}`), 10, 10},
		"slow_down, 429":                      {saysJSON(429, `{"error":"slow_down"}`), 10, 10},
		"slow_down with an interval":          {saysJSON(400, `{"error":"slow_down","interval":12}`), 12, 12},
		"slow_down with an interval's text":   {saysJSON(400, `{"error":"slow_down","interval":"12"}`), 12, 12},
		"slow_down with the interval it was":  {saysJSON(400, `{"error":"slow_down","interval":5}`), 10, 10},
		"slow_down with a shorter one":        {saysJSON(400, `{"error":"slow_down","interval":1}`), 10, 10},
		"slow_down with Retry-After":          {after("30", saysJSON(429, `{"error":"slow_down"}`)), 30, 30},
		"429":                                 {says(429, "text/plain", "Too many requests"), 2.5, 5},
		"429 with Retry-After":                {after("20", says(429, "text/html", "<p>Slow</p>")), 20, 20},
		"429 with a date":                     {dated(saysJSON(429, `{"error":"rate_limited"}`)), 40, 40},
		"429 with a Retry-After of nonsense":  {after("soon", saysJSON(429, `{"error":"rate_limited"}`)), 2.5, 5},
		"408":                                 {saysJSON(408, `{"error":"timeout"}`), 2.5, 5},
		"500 with an error":                   {saysJSON(500, `{"error":"server_error"}`), 2.5, 5},
		"500 with invalid_grant":              {saysJSON(500, `{"error":"invalid_grant"}`), 2.5, 5},
		"503 with Retry-After":                {after("15", says(503, "text/html", "maintenance")), 15, 15},
		"503 with an error and Retry-After":   {after("15", saysJSON(503, `{"error":"temporarily_unavailable"}`)), 15, 15},
		"temporarily_unavailable with 400":    {saysJSON(400, `{"error":"temporarily_unavailable"}`), 2.5, 5},
		"server_error with 400":               {saysJSON(400, `{"error":"server_error"}`), 2.5, 5},
		"404 with a page":                     {says(404, "text/html", "<h1>Not Found</h1>"), 2.5, 5},
		"a page that reads like a form":       {says(502, "text/plain", "upstream: connection refused (error=111)"), 2.5, 5},
		"301 to https, where nobody is":       {redirect(301, "https://elsewhere.example/token"), 2.5, 5},
		"307 to somebody else":                {redirect(307, "http://elsewhere.example/token"), 2.5, 5},
		"a wait that is said, and not done":   {honoured(saysJSON(400, pending)), 5, 5},
		"an answer that is larger than 1 MiB": {saysJSON(400, `{"x":"`+strings.Repeat("x", 1<<20)+`","error":"access_denied"}`), 2.5, 5},
	} {
		t.Run(name, func(t *testing.T) {
			at, token, err := run(t, row.answer, grant)
			if err != nil || token == nil || len(at) != 2 {
				t.Fatalf("%v at %v", err, at)
			}
			if gap := at[1] - at[0]; gap < row.least || gap > row.most+0.001 {
				t.Errorf("the next poll came after %.1f s, want %v to %v", gap, row.least, row.most)
			}
		})
	}
}

// dated asks to be left alone until 40 s from now, by a clock that is a day slow.
func dated(h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		now := time.Now().Add(-24 * time.Hour)
		w.Header().Set("Date", now.UTC().Format(http.TimeFormat))
		w.Header().Set("Retry-After", now.Add(40*time.Second).UTC().Format(http.TimeFormat))
		h(w, r)
	}
}

func honoured(h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Preference-Applied", "wait=25")
		h(w, r)
	}
}

func TestB10_EveryWayToSayNoEndsTheWait(t *testing.T) {
	for name, row := range map[string]struct {
		answer http.HandlerFunc
		want   deviceflow.Code
	}{
		"denied":          {saysJSON(400, `{"error":"access_denied"}`), deviceflow.ErrDenied},
		"denied, 200":     {saysJSON(200, `{"error":"access_denied"}`), deviceflow.ErrDenied},
		"denied, 403":     {saysJSON(403, `{"error":"access_denied","error_description":null}`), deviceflow.ErrDenied},
		"denied, a form":  {says(200, "application/x-www-form-urlencoded", "error=access_denied"), deviceflow.ErrDenied},
		"expired":         {saysJSON(400, `{"error":"expired_token"}`), deviceflow.ErrExpired},
		"expired, 401":    {saysJSON(401, `{"error":"expired_token"}`), deviceflow.ErrExpired},
		"another refusal": {saysJSON(401, `{"error":"invalid_client"}`), "invalid_client"},
		"our own word":    {saysJSON(400, `{"error":"incorrect_device_code"}`), "incorrect_device_code"},
	} {
		t.Run(name, func(t *testing.T) {
			at, _, err := run(t, row.answer, grant)
			if !errors.Is(err, row.want) || len(at) != 1 {
				t.Errorf("%v at %v", err, at)
			}
		})
	}
}

func TestB10_CodesOfEveryShapeAreRead(t *testing.T) {
	const start = `{"device_code":"dc","user_code":"BCDF-GHJK","verification_uri":"https://a.example/device"`
	for name, row := range map[string]struct {
		body            string
		interval, lives time.Duration
		complete        string
	}{
		"numbers":                    {start + `,"expires_in":900,"interval":7}`, 7 * time.Second, 15 * time.Minute, ""},
		"texts":                      {start + `,"expires_in":"900","interval":"7"}`, 7 * time.Second, 15 * time.Minute, ""},
		"fractions":                  {start + `,"expires_in":899.5,"interval":7.5}`, 7500 * time.Millisecond, 899500 * time.Millisecond, ""},
		"no interval":                {start + `,"expires_in":900}`, 5 * time.Second, 15 * time.Minute, ""},
		"null for an interval":       {start + `,"expires_in":900,"interval":null}`, 5 * time.Second, 15 * time.Minute, ""},
		"an interval of 0":           {start + `,"expires_in":900,"interval":0}`, 5 * time.Second, 15 * time.Minute, ""},
		"a negative interval":        {start + `,"expires_in":900,"interval":-3}`, 5 * time.Second, 15 * time.Minute, ""},
		"an interval that is busy":   {start + `,"expires_in":900,"interval":0.0001}`, time.Second, 15 * time.Minute, ""},
		"no expires_in":              {start + `,"interval":7}`, 7 * time.Second, 15 * time.Minute, ""},
		"expires_in is a word":       {start + `,"expires_in":"soon","interval":7}`, 7 * time.Second, 15 * time.Minute, ""},
		"expires_in is no number":    {start + `,"expires_in":"NaN","interval":7}`, 7 * time.Second, 15 * time.Minute, ""},
		"expires_in of a week":       {start + `,"expires_in":604800}`, 5 * time.Second, 24 * time.Hour, ""},
		"expires_in out of bounds":   {start + `,"expires_in":1e300,"interval":1e300}`, (1<<31 - 1) * time.Second, 24 * time.Hour, ""},
		"a complete address":         {start + `,"expires_in":900,"verification_uri_complete":"https://a.example/device?c=1"}`, 5 * time.Second, 15 * time.Minute, "https://a.example/device?c=1"},
		"null for it":                {start + `,"expires_in":900,"verification_uri_complete":null}`, 5 * time.Second, 15 * time.Minute, ""},
		"a complete address of evil": {start + `,"expires_in":900,"verification_uri_complete":"file:///bin/sh"}`, 5 * time.Second, 15 * time.Minute, ""},
		"unknown members":            {start + `,"expires_in":900,"message":"Open it","x":[{}],"error":""}`, 5 * time.Second, 15 * time.Minute, ""},
		"an early server's name for the address": {
			strings.Replace(start, "verification_uri", "verification_url", 1) + `,"expires_in":900}`, 5 * time.Second, 15 * time.Minute, "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				asked := time.Now()
				a, err := device(connect(t, saysJSON(200, row.body))).Request(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if a.DeviceCode != "dc" || a.UserCode != "BCDF-GHJK" || a.VerificationURI != "https://a.example/device" || a.VerificationURIComplete != row.complete {
					t.Errorf("%+v", a)
				}
				if lives := a.Expires.Sub(asked); a.Interval != row.interval || lives != row.lives {
					t.Errorf("interval %v, lives %v", a.Interval, lives)
				}
			})
		})
	}
	for _, body := range []string{
		"", "null", "[]", "<html>", `{}`, start + `,"expires_in":0}`, start + `,"expires_in":-5}`,
		`{"user_code":"u","verification_uri":"https://a.example/","expires_in":9}`, `{"device_code":"d","verification_uri":"https://a.example/","expires_in":9}`,
	} {
		synctest.Test(t, func(t *testing.T) {
			if _, err := device(connect(t, saysJSON(200, body))).Request(t.Context()); err == nil {
				t.Errorf("%s was accepted", body)
			}
		})
	}
}

func TestB10_DiscoveryFindsADocumentWhereverTheStandardsPutIt(t *testing.T) {
	const host = "http://server.example"
	document := func(issuer string, more ...string) http.HandlerFunc {
		return saysJSON(200, `{"issuer":"`+issuer+`","device_authorization_endpoint":"`+host+`/d","token_endpoint":"`+host+`/t"`+strings.Join(more, "")+`}`)
	}
	page := says(200, "text/html", "<!doctype html><div id=app></div>")
	withoutDevices := saysJSON(200, `{"issuer":"`+host+`","token_endpoint":"`+host+`/t"}`)
	for name, row := range map[string]struct {
		issuer string
		serves map[string]http.HandlerFunc
		fails  string // what the error says; empty: the document is found
	}{
		"RFC 8414":                         {host, map[string]http.HandlerFunc{"/.well-known/oauth-authorization-server": document(host)}, ""},
		"OpenID Connect":                   {host, map[string]http.HandlerFunc{"/.well-known/openid-configuration": document(host)}, ""},
		"RFC 8414 with a path":             {host + "/realms/a", map[string]http.HandlerFunc{"/.well-known/oauth-authorization-server/realms/a": document(host + "/realms/a")}, ""},
		"OpenID Connect with a path":       {host + "/realms/a", map[string]http.HandlerFunc{"/realms/a/.well-known/openid-configuration": document(host + "/realms/a")}, ""},
		"OpenID Connect, path last":        {host + "/a", map[string]http.HandlerFunc{"/.well-known/openid-configuration/a": document(host + "/a")}, ""},
		"RFC 8414, path first":             {host + "/a", map[string]http.HandlerFunc{"/a/.well-known/oauth-authorization-server": document(host + "/a")}, ""},
		"a path that is escaped":           {host + "/a%20b", map[string]http.HandlerFunc{"/.well-known/oauth-authorization-server/a b": document(host + "/a%20b")}, ""},
		"a slash after what was asked":     {host + "/", map[string]http.HandlerFunc{"/.well-known/oauth-authorization-server": document(host)}, ""},
		"a slash after what it says":       {host, map[string]http.HandlerFunc{"/.well-known/oauth-authorization-server": document(host + "/")}, ""},
		"a slash after a path":             {host + "/a/", map[string]http.HandlerFunc{"/a/.well-known/openid-configuration": document(host + "/a/")}, ""},
		"members of other types":           {host, map[string]http.HandlerFunc{"/.well-known/oauth-authorization-server": document(host, `,"scopes_supported":null,"userinfo_endpoint":null,"x":{}`)}, ""},
		"the first is a page for anything": {host, map[string]http.HandlerFunc{"/.well-known/oauth-authorization-server": page, "/.well-known/openid-configuration": document(host)}, ""},
		"the first fails":                  {host, map[string]http.HandlerFunc{"/.well-known/oauth-authorization-server": says(500, "text/html", "x"), "/.well-known/openid-configuration": document(host)}, ""},
		"the first knows no devices":       {host, map[string]http.HandlerFunc{"/.well-known/oauth-authorization-server": withoutDevices, "/.well-known/openid-configuration": document(host)}, ""},
		"a redirect":                       {host, map[string]http.HandlerFunc{"/.well-known/oauth-authorization-server": redirect(301, "/elsewhere"), "/elsewhere": document(host)}, ""},
		"another's first":                  {host, map[string]http.HandlerFunc{"/.well-known/oauth-authorization-server": document("http://other.example"), "/.well-known/openid-configuration": document(host)}, ""},
		"another's":                        {host, map[string]http.HandlerFunc{"/.well-known/openid-configuration": document("http://other.example")}, "another issuer's (http://other.example)"},
		"another's path":                   {host + "/a", map[string]http.HandlerFunc{"/.well-known/openid-configuration/a": document(host + "/b")}, "another issuer's"},
		"devices nowhere":                  {host, map[string]http.HandlerFunc{"/.well-known/openid-configuration": withoutDevices}, "does not offer the device grant"},
		"another's, then without devices":  {host, map[string]http.HandlerFunc{"/.well-known/oauth-authorization-server": document("http://other.example"), "/.well-known/openid-configuration": withoutDevices}, "another issuer's"},
		"no token endpoint":                {host, map[string]http.HandlerFunc{"/.well-known/openid-configuration": saysJSON(200, `{"issuer":"`+host+`","device_authorization_endpoint":"`+host+`/d"}`)}, "does not offer the device grant"},
		"a document that is not found":     {host, map[string]http.HandlerFunc{"/.well-known/openid-configuration": saysJSON(404, `{"issuer":"`+host+`","device_authorization_endpoint":"`+host+`/d","token_endpoint":"`+host+`/t"}`)}, "no authorization server answers there (404)"},
		"an issuer with a fragment":        {host + "#a", nil, "not a web address"},
		"an issuer that is no address":     {"http://[", nil, "not a web address"},
		"nothing":                          {host, nil, "no authorization server answers there (404)"},
		"a page":                           {host, map[string]http.HandlerFunc{"/.well-known/oauth-authorization-server": page}, "no authorization server answers there (200)"},
		"an issuer with a query":           {host + "?a=b", nil, "not a web address"},
		"no issuer":                        {"", nil, "not a web address"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client := connect(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if h, ok := row.serves[r.URL.Path]; ok {
						h(w, r)
						return
					}
					http.NotFound(w, r)
				}))
				e, err := deviceflow.Discover(t.Context(), client, row.issuer)
				switch {
				case row.fails == "" && (err != nil || e.TokenURL != host+"/t" || e.DeviceAuthorizationURL != host+"/d" || e.RevocationURL != ""):
					t.Errorf("%+v %v", e, err)
				case row.fails != "" && (err == nil || !strings.Contains(err.Error(), row.fails)):
					t.Errorf("%v, want %q", err, row.fails)
				}
			})
		})
	}
}

func TestB10_ASecretGoesWhereTheServerTakesIt(t *testing.T) {
	for methods, form := range map[string]bool{
		"": false, `["client_secret_basic"]`: false, `["client_secret_basic","client_secret_post"]`: false, `["none"]`: false,
		`["client_secret_post"]`: true, `["client_secret_post","none"]`: true, `null`: false, `"client_secret_post"`: false,
	} {
		synctest.Test(t, func(t *testing.T) {
			const id, secret = "my app", "s:ä&c"
			answer := func(w http.ResponseWriter, r *http.Request) {
				if strings.Contains(r.URL.Path, ".well-known") {
					listed := ""
					if methods != "" {
						listed = `,"token_endpoint_auth_methods_supported":` + methods
					}
					saysJSON(200, `{"issuer":"http://server.example","device_authorization_endpoint":"http://server.example/code","token_endpoint":"http://server.example/token"`+listed+`}`)(w, r)
					return
				}
				user, password, basic := r.BasicAuth()
				switch {
				case form && (basic || r.PostForm.Get("client_secret") != secret || r.PostForm.Get("client_id") != id),
					!form && (!basic || r.PostForm.Has("client_secret") || user != "my+app" || password != "s%3A%C3%A4%26c"):
					t.Errorf("methods %s: the secret went elsewhere", methods)
				}
				(&script{steps: []func(http.ResponseWriter, *http.Request){grant}}).ServeHTTP(w, r)
			}
			client := connect(t, http.HandlerFunc(answer))
			endpoint, err := deviceflow.Discover(t.Context(), client, "http://server.example")
			if err != nil {
				t.Fatal(err)
			}
			c := &deviceflow.Config{ClientID: id, ClientSecret: secret, HTTPClient: client, Endpoint: endpoint}
			a, err := c.Request(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if _, err := c.Wait(t.Context(), a); err != nil {
				t.Fatal(err)
			}
			if _, err := c.Refresh(t.Context(), "rt"); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestB10_CodesAndSecretsFollowNoRedirectToAnotherHost(t *testing.T) {
	for name, row := range map[string]struct {
		from    string
		status  int
		to      string
		follows bool
	}{
		"the same host":                  {"http", 308, "http://server.example/new", true},
		"the same host, 307":             {"http", 307, "/new", true},
		"the same host by GET, 302":      {"http", 302, "/new", false},
		"the same host by GET, 303":      {"http", 303, "/new", false},
		"the same host, now encrypted":   {"http", 308, "https://server.example/new", true},
		"the same host, in the clear":    {"https", 308, "http://server.example/new", false},
		"encrypted as it was":            {"https", 308, "https://server.example/new", true},
		"another port, now encrypted":    {"http", 308, "https://server.example:444/new", true},
		"another port, encrypted, GET":   {"http", 302, "https://server.example:444/new", false},
		"another host, now encrypted":    {"http", 307, "https://evil.example/new", false},
		"another host":                   {"http", 307, "http://evil.example/new", false},
		"another port":                   {"http", 307, "http://server.example:81/new", false},
		"another host that is encrypted": {"https", 308, "https://evil.example/new", false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var reached []string
				client := connect(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if r.URL.Path == "/token" {
						http.Redirect(w, r, row.to, row.status)
						return
					}
					reached = append(reached, r.Method+" "+strings.TrimSuffix(r.Host, ":444")+" "+r.PostForm.Get("refresh_token")+" "+r.Header.Get("Authorization"))
					grant(w, r)
				}))
				c := device(client)
				c.ClientSecret, c.Endpoint.TokenURL = "secret", row.from+"://server.example/token"
				_, err := c.Refresh(t.Context(), "rt")
				if (err == nil) != row.follows {
					t.Error(err)
				}
				want := []string(nil)
				if row.follows {
					want = []string{"POST server.example rt Basic bXktYXBwOnNlY3JldA=="}
				}
				if !slices.Equal(reached, want) {
					t.Errorf("reached %q, want %q", reached, want)
				}
			})
		})
	}
}

func TestB10_RefreshingAndRevokingReadTheSameOddities(t *testing.T) {
	for name, answer := range map[string]http.HandlerFunc{
		"texts":       saysJSON(200, `{"access_token":"new","expires_in":"60"}`),
		"a form":      says(200, "text/plain; charset=utf-8", "access_token=new&expires_in=60"),
		"cut off":     raw("HTTP/1.1 200 OK", "Content-Length: 5000", "", `{"access_token":"new","expires_in":60}`),
		"a null":      saysJSON(200, `{"access_token":"new","expires_in":60,"refresh_token":null}`),
		"held open":   heldOpen(`{"access_token":"new","expires_in":60}`),
		"with errors": saysJSON(200, `{"access_token":"new","expires_in":60,"error":"none"}`),
	} {
		t.Run("refresh "+name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				token, err := device(connect(t, answer)).Refresh(t.Context(), "old")
				if err != nil || token.AccessToken != "new" || token.RefreshToken != "old" || token.ExpiresIn != 60 {
					t.Errorf("%+v %v", token, err)
				}
			})
		})
	}
	revocations := map[string]struct {
		answer http.HandlerFunc
		ok     bool
	}{
		"empty":         {saysJSON(200, ""), true},
		"204":           {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }, true},
		"a page":        {says(200, "text/html", "<p>done</p>"), true},
		"JSON":          {saysJSON(200, `{"revoked":true}`), true},
		"an error, 200": {saysJSON(200, `{"error":"unsupported_token_type"}`), false},
		"503":           {after("7", says(503, "text/html", "later")), false},
	}
	for _, name := range slices.Sorted(maps.Keys(revocations)) {
		t.Run("revoke "+name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				err := device(connect(t, revocations[name].answer)).Revoke(t.Context(), "old")
				if (err == nil) != revocations[name].ok {
					t.Error(err)
				}
				var lost *deviceflow.TransportError
				if name == "503" && (!errors.As(err, &lost) || lost.RetryAfter != 7*time.Second) {
					t.Errorf("%v asks to be left alone for %v", err, lost.RetryAfter)
				}
			})
		})
	}
}

func TestB10_AServerThatTakesNoFormsIsAskedInJSON(t *testing.T) {
	forms, objects := 0, []map[string]string{}
	inJSON := func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Content-Type") != "application/json" {
			forms++
			saysJSON(http.StatusUnsupportedMediaType, `{"code":"UNSUPPORTED_MEDIA_TYPE","message":"application/json only"}`)(w, r)
			return
		}
		var object map[string]string
		if err := json.NewDecoder(r.Body).Decode(&object); err != nil {
			t.Error(err)
		}
		if objects = append(objects, object); len(objects) == 1 {
			saysJSON(400, `{"error":"authorization_pending"}`)(w, r)
			return
		}
		saysJSON(200, `{"access_token":"at","token_type":"Bearer","expires_in":3600}`)(w, r)
	}
	_, token, err := run(t, inJSON, inJSON, inJSON, inJSON)
	if err != nil || token.AccessToken != "at" {
		t.Fatalf("%v, %v", token, err)
	}
	if forms != len(objects) || objects[0]["device_code"] == "" || objects[0]["client_id"] == "" || !strings.HasSuffix(objects[0]["grant_type"], ":device_code") {
		t.Errorf("%d forms, then %v", forms, objects)
	}
}
