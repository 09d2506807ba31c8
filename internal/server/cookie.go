package server

import (
	"crypto/sha256"
	"encoding/base32"
	"net/http"
	"strings"
	"time"
)

// cookieNames are the names of the cookies of one server. A browser sends a host's
// cookies to all of its ports, so that a name must say whose cookie it is where it
// matters (decision 0029).
type cookieNames struct {
	// session carries the issuer in its name: two servers on one host have a session each.
	session string
	// known is what better-auth clients know a session by. It is never set.
	known string
	// browser and language are shared by servers on one host, to nobody's harm.
	browser, language string
}

func newCookieNames(issuer string, secure bool) cookieNames {
	const sessionPrefix, browserCookie, languageCookie = "countersign.session.", "countersign.browser", "countersign.language"
	const letters = 8 // 40 bits: the servers of one host are few
	sum := sha256.Sum256([]byte(issuer))
	instance := strings.ToLower(base32.StdEncoding.EncodeToString(sum[:]))[:letters]
	own, known := "", ""
	if secure {
		own, known = "__Host-", "__Secure-" // no other host, and no http page, can set one of ours
	}
	return cookieNames{
		session: own + sessionPrefix + instance, known: known + "better-auth.session_token",
		browser: own + browserCookie, language: own + languageCookie,
	}
}

// setCookie sets a cookie of ours for so long; for less than nothing removes it.
func (s *Server) setCookie(w http.ResponseWriter, name, value string, lasts time.Duration) {
	http.SetCookie(w, &http.Cookie{ //nolint:gosec // Secure wherever the issuer is https
		Name: name, Value: value, Path: "/", MaxAge: max(-1, int(lasts/time.Second)),
		HttpOnly: true, Secure: s.secure, SameSite: http.SameSiteLaxMode,
	})
}
