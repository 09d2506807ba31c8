package page

import (
	"crypto/rand"
	"net/http"
	"strings"
	"time"

	"countersign.dev/internal/authz"
)

// The cookie of a browser tells it from another, for no other end than to notice
// that one code is being shown around (requirement K-03).
const browserRemembered = 90 * 24 * time.Hour

// nameBrowser gives a browser that comes for a device page its cookie.
func (s *Screens) nameBrowser(w http.ResponseWriter, r *http.Request) {
	if s.door.Browser(r) != (authz.Hash{}) || !strings.HasPrefix(r.URL.Path, "/device") {
		return
	}
	// One that did not send its cookie may have one: another would make it two browsers.
	if s.door.Foreign(r) && !followed(r) {
		return
	}
	s.door.SetCookie(w, s.door.Cookies.Browser, rand.Text(), browserRemembered)
}

// keepsNoCookies reports whether a browser comes from one of our pages without the cookie
// that each of those about a code gives it. One of that name that is not ours, as another
// port of this host may set, is a cookie that was kept.
func (s *Screens) keepsNoCookies(r *http.Request) bool {
	return r.Header.Get("Sec-Fetch-Site") == "same-origin" && len(r.CookiesNamed(s.door.Cookies.Browser)) == 0
}

// followed reports whether a request is a link that was followed in a window of its
// own. To all else from another site a browser adds no SameSite=Lax cookie.
func followed(r *http.Request) bool {
	dest := r.Header.Get("Sec-Fetch-Dest")
	get := r.Method == http.MethodGet || r.Method == http.MethodHead
	return get && r.Header.Get("Origin") == "" && (dest == "" || dest == "document")
}
