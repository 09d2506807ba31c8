package wire

import (
	"net/http"
	"net/url"
	"slices"

	"countersign.dev/internal/authz"
)

// browserLength is what rand.Text gives; a longer cookie is none of ours.
const browserLength = 26

// Browser is what is told of the browser that sent a request, or zero.
func (d *Door) Browser(r *http.Request) authz.Hash {
	cookie, err := r.Cookie(d.Cookies.Browser)
	if err != nil || len(cookie.Value) != browserLength {
		return authz.Hash{}
	}
	return authz.Secret(cookie.Value).Hash()
}

// Asker is who tries a user code.
func (d *Door) Asker(r *http.Request, who authz.Owner) authz.Asker {
	return who.Asker(d.Source(r), d.Browser(r))
}

// Foreign reports whether a page of another origin made a browser send a request:
// by Sec-Fetch-Site, in an older browser by Origin or Referer. A tool sends none.
func (d *Door) Foreign(r *http.Request) bool {
	switch r.Header.Get("Sec-Fetch-Site") {
	case "same-origin", "none":
		return false
	case "":
		return slices.ContainsFunc([]string{r.Header.Get("Origin"), r.Header.Get("Referer")}, func(sender string) bool {
			u, err := url.Parse(sender)
			return sender != "" && (err != nil || u.Host == "" || (u.Host != d.URL.Host && u.Host != r.Host))
		})
	default:
		return true
	}
}
