package server

import (
	"crypto/rand"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"countersign.dev/internal/authz"
)

// The cookie of a browser tells it from another, for no other end than to notice
// that one code is being shown around (requirement K-03).
const (
	browserRemembered = 90 * 24 * time.Hour
	// browserLength is what rand.Text gives; a longer cookie is none of ours.
	browserLength = 26
)

// browser is what is told of the browser that sent a request, or zero.
func (s *Server) browser(r *http.Request) authz.Hash {
	cookie, err := r.Cookie(s.cookieNames.browser)
	if err != nil || len(cookie.Value) != browserLength {
		return authz.Hash{}
	}
	return authz.Secret(cookie.Value).Hash()
}

// nameBrowser gives a browser that comes for a device page its cookie.
func (s *Server) nameBrowser(w http.ResponseWriter, r *http.Request) {
	if s.browser(r) != (authz.Hash{}) || !strings.HasPrefix(r.URL.Path, "/device") {
		return
	}
	// One that did not send its cookie may have one: another would make it two browsers.
	if s.foreign(r) && !followed(r) {
		return
	}
	s.setCookie(w, s.cookieNames.browser, rand.Text(), browserRemembered)
}

// keepsNoCookies reports whether a browser comes from one of our pages without the cookie
// that each of those about a code gives it. One of that name that is not ours, as another
// port of this host may set, is a cookie that was kept.
func (s *Server) keepsNoCookies(r *http.Request) bool {
	return r.Header.Get("Sec-Fetch-Site") == "same-origin" && len(r.CookiesNamed(s.cookieNames.browser)) == 0
}

// provedAsker is who tries a code on the page, with the proof that came with it:
// an X-Auth-Token over authz.ProofPath and the code, or empty.
func (s *Server) provedAsker(r *http.Request, who authz.Owner, proof, code string) (authz.Asker, error) {
	return s.authz.ProveCode(r.Context(), who, s.asker(r, who), proof, code)
}

// asker is who tries a user code.
func (s *Server) asker(r *http.Request, who authz.Owner) authz.Asker {
	return who.Asker(s.source(r), s.browser(r))
}

// foreign reports whether a page of another origin made a browser send a request:
// by Sec-Fetch-Site, in an older browser by Origin or Referer. A tool sends none.
func (s *Server) foreign(r *http.Request) bool {
	switch r.Header.Get("Sec-Fetch-Site") {
	case "same-origin", "none":
		return false
	case "":
		return slices.ContainsFunc([]string{r.Header.Get("Origin"), r.Header.Get("Referer")}, func(sender string) bool {
			u, err := url.Parse(sender)
			return sender != "" && (err != nil || u.Host == "" || (u.Host != s.issuer.Host && u.Host != r.Host))
		})
	default:
		return true
	}
}

// followed reports whether a request is a link that was followed in a window of its
// own. To all else from another site a browser adds no SameSite=Lax cookie.
func followed(r *http.Request) bool {
	dest := r.Header.Get("Sec-Fetch-Dest")
	get := r.Method == http.MethodGet || r.Method == http.MethodHead
	return get && r.Header.Get("Origin") == "" && (dest == "" || dest == "document")
}
