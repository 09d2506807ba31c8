// Package server is the door of the authorization server: it turns HTTP requests
// into questions to internal/authz and answers into JSON and HTML.
//
// Here belong routes, decoding, encoding, headers, cookies, CORS and pages. No
// rule is decided here: a handler decodes, identifies who asks, asks the domain
// once, and encodes. Start reading at routes.go; every endpoint is a row there.
package server

import (
	"cmp"
	"html/template"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/rs/cors"

	"countersign.dev/bitcoinauth"
	"countersign.dev/internal/authz"
)

// Server serves one issuer.
type Server struct {
	authz   *authz.Service
	log     *slog.Logger
	version string
	issuer  *url.URL

	secure      bool // the issuer is https
	cookieNames cookieNames
	// trustedProxies are believed when they say whom they heard.
	trustedProxies []netip.Prefix
	unlisted       unlisted

	crossOrigin *http.CrossOriginProtection
	cors        *cors.Cors
	pages       map[screen]*template.Template
	brand       Brand
	assets      assets
	catalogue   *catalogue
	metadata    []byte // the discovery document
	jwks        []byte
}

// Options are what a Server is made of.
type Options struct {
	Service *authz.Service
	// Issuer is the configured issuer, parsed.
	Issuer  *url.URL
	Version string
	Log     *slog.Logger
	// Brand is how the operator wants the pages to look; what is empty is ours.
	Brand Brand
	// TrustedProxies are the proxies whose forwarded headers count (attack B-22).
	TrustedProxies []netip.Prefix
}

// New returns a Server.
func New(o Options) (*Server, error) {
	issuer := o.Issuer
	s := &Server{
		authz: o.Service, log: o.Log, version: o.Version, issuer: issuer,
		secure:      issuer.Scheme == "https",
		crossOrigin: http.NewCrossOriginProtection(), trustedProxies: o.TrustedProxies,
	}
	if err := s.crossOrigin.AddTrustedOrigin(issuer.Scheme + "://" + issuer.Host); err != nil {
		return nil, err
	}
	s.cors, s.cookieNames = newCORS(), newCookieNames(o.Service.Issuer(), s.secure)
	s.brand = o.Brand
	s.brand.Name, s.brand.Accent = cmp.Or(s.brand.Name, defaultName), cmp.Or(s.brand.Accent, defaultAccent)
	var err error
	if s.assets, err = newAssets(s.brand); err != nil {
		return nil, err
	}
	if s.catalogue, err = embeddedCatalogue(); err != nil {
		return nil, err
	}
	if s.pages, err = newPages(); err != nil {
		return nil, err
	}
	if err := s.prepareDocuments(); err != nil {
		return nil, err
	}
	return s, nil
}

// newCORS lets any web page call the open endpoints (requirement U-11, attack B-21),
// `null` origins among them (desktop apps have no better one), without credentials:
// ambient cookies never count there (ruling 0.11). So any request header may come along:
// what a page's monitoring adds to its requests is none of ours (decision 0008).
func newCORS() *cors.Cors {
	const maxAge = 600 // seconds; ruling 0.14
	return cors.New(cors.Options{
		AllowedOrigins: []string{"*"},
		AllowedMethods: []string{http.MethodGet, http.MethodPost},
		AllowedHeaders: []string{"*"},
		ExposedHeaders: []string{"WWW-Authenticate", "Retry-After", "Preference-Applied"},
		MaxAge:         maxAge,
	})
}

// unsentCredentials are headers that a web page is not allowed: credentials that no
// page needs there.
var unsentCredentials = []string{"cookie", "set-cookie", "proxy-authorization", strings.ToLower(bitcoinauth.Header)}

// withoutCredentials takes those out of what a preflight asks for. What is not
// allowed by name a browser does not send.
func withoutCredentials(next http.Handler) http.Handler {
	const asked = "Access-Control-Request-Headers"
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if values := r.Header.Values(asked); len(values) > 0 {
			names := strings.Split(strings.Join(values, ","), ",")
			names = slices.DeleteFunc(names, func(name string) bool {
				return slices.Contains(unsentCredentials, strings.ToLower(strings.TrimSpace(name)))
			})
			r.Header.Set(asked, strings.Join(names, ","))
		}
		next.ServeHTTP(w, r)
	})
}
