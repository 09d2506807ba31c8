package server

import (
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/rs/cors"

	"countersign.dev/bitcoinauth"
	"countersign.dev/dpop"
	"countersign.dev/internal/issuer"
	"countersign.dev/internal/server/agents"
	"countersign.dev/internal/server/api"
	"countersign.dev/internal/server/oauth"
	"countersign.dev/internal/server/owners"
	"countersign.dev/internal/server/page"
	"countersign.dev/internal/server/page/assets"
	"countersign.dev/internal/server/wire"
)

// Server serves one issuer.
type Server struct {
	issuer  *issuer.Issuer
	door    *wire.Door
	oauth   *oauth.Endpoints
	api     *api.API
	screens *page.Screens
	owners  *owners.Gate
	agents  *agents.Agents
	path    string // of the issuer, mostly empty

	crossOrigin *http.CrossOriginProtection
	cors        *cors.Cors
}

// Options are what a Server is made of.
type Options struct {
	Issuer *issuer.Issuer
	// URL is the configured issuer, parsed.
	URL     *url.URL
	Version string
	Log     *slog.Logger
	// Brand is how the operator wants the pages to look; what is empty is ours.
	Brand assets.Brand
	// TrustedProxies are the proxies whose forwarded headers count (attack B-22).
	TrustedProxies []netip.Prefix
}

// New returns a Server.
func New(o Options) (*Server, error) {
	s := &Server{
		issuer: o.Issuer, door: wire.NewDoor(o.Issuer, o.URL, o.Log, o.TrustedProxies), path: o.URL.Path,
		crossOrigin: http.NewCrossOriginProtection(), cors: newCORS(),
	}
	if err := s.crossOrigin.AddTrustedOrigin(o.URL.Scheme + "://" + o.URL.Host); err != nil {
		return nil, err
	}
	s.owners = owners.New(o.Issuer, s.door)
	s.agents = agents.New(o.Issuer, s.door, s.owners)
	s.api = api.New(o.Issuer, s.door, s.owners, o.Version)
	var err error
	if s.oauth, err = oauth.New(o.Issuer, s.door); err != nil {
		return nil, err
	}
	if s.screens, err = page.New(o.Issuer, s.door, o.Brand); err != nil {
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
		ExposedHeaders: []string{"WWW-Authenticate", "Retry-After", "Preference-Applied", dpop.NonceHeader},
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
