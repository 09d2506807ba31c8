package wire

import (
	"crypto/sha256"
	"encoding/base32"
	"net/http"
	"strings"
	"time"
)

// CookieNames are the names of the cookies of one server. A browser sends a host's
// cookies to all of its ports, so that a name must say whose cookie it is where it
// matters (decision 0029).
type CookieNames struct {
	// Session carries the issuer in its name: two servers on one host have a session each.
	Session string
	// Known is what better-auth clients know a session by. It is never set.
	Known string
	// Browser and language are shared by servers on one host, to nobody's harm.
	Browser, Language string
}

func newCookieNames(issuer string, secure bool) CookieNames {
	const sessionPrefix, browserCookie, languageCookie = "countersign.session.", "countersign.browser", "countersign.language"
	const letters = 8 // 40 bits: the servers of one host are few
	sum := sha256.Sum256([]byte(issuer))
	instance := strings.ToLower(base32.StdEncoding.EncodeToString(sum[:]))[:letters]
	own, known := "", ""
	if secure {
		own, known = "__Host-", "__Secure-" // no other host, and no http page, can set one of ours
	}
	return CookieNames{
		Session: own + sessionPrefix + instance, Known: known + "better-auth.session_token",
		Browser: own + browserCookie, Language: own + languageCookie,
	}
}

// SetCookie sets a cookie of ours for so long; for less than nothing removes it.
func (d *Door) SetCookie(w http.ResponseWriter, name, value string, lasts time.Duration) {
	http.SetCookie(w, &http.Cookie{
		Name: name, Value: value, Path: "/", MaxAge: max(-1, int(lasts/time.Second)),
		HttpOnly: true, Secure: d.Secure, SameSite: http.SameSiteLaxMode,
	})
}
