package protect

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
)

// API is an API that accepts the access tokens of one issuer. Its methods may be called
// concurrently.
type API struct {
	// resources are whom tokens may be for; the first is what this API calls itself.
	resources []string
	// base is what clients put before the path of a request, path what of it is a path.
	base, path string
	// described is where the metadata are: all of the address, and its path.
	described, wellKnown string
	leeway               time.Duration
	signed               bool
	now                  func() time.Time
	log                  *slog.Logger
	client               *http.Client
	// prove authenticates this API at the introspection endpoint; nil: it is not asked. A
	// function does not print what it knows.
	prove func(*http.Request)

	issuer *issuer
	keys   *keys
	spent  *spent
	told   *lru.Cache[[sha256.Size]byte, *answer] // by the tokens' hashes; nil: the issuer is not asked

	mu     sync.Mutex // guards which answer told has, and
	scopes []string   // that something here needs
}

// Option changes how an API judges.
type Option func(*API)

// AlsoFor accepts tokens that are for another resource too: the API's former name, or one
// for several of which it is.
func AlsoFor(resources ...string) Option {
	return func(a *API) { a.resources = append(a.resources, resources...) }
}

// At says which address clients put before the path that the handlers see, where that is not
// the host of the resource: https://api.example/v1 behind a proxy that takes /v1 off.
func At(address string) Option { return func(a *API) { a.base = address } }

// Leeway lets a token live on for as long as the clock here may be ahead of the issuer's. Five
// minutes at most; none if it is not given.
func Leeway(d time.Duration) Option { return func(a *API) { a.leeway = d } }

// Signed wants each request signed by the key that the token names as its owner's (`pubkey`),
// in an X-Auth-Token: see package bitcoinauth. It covers path, query and body, which may
// have a megabyte.
func Signed() Option { return func(a *API) { a.signed = true } }

// Clock is another clock than time.Now.
func Clock(now func() time.Time) Option { return func(a *API) { a.now = now } }

// Client is what asks the issuer, for who needs a proxy or an authority of their own. It
// follows no redirects, whatever it does elsewhere.
func Client(c *http.Client) Option { return func(a *API) { a.client = c } }

// Log is told when the issuer could not be asked, instead of slog.Default. Tokens are never
// in what it is told.
func Log(l *slog.Logger) Option { return func(a *API) { a.log = l } }

// maxLeeway is as much as clocks differ by that somebody sets.
const maxLeeway = 5 * time.Minute

// New makes an API that accepts an issuer's tokens which are for a resource: the address that
// it has for its clients, as it was registered. It asks the issuer for its metadata and keys:
// a wrong address shows when the program starts, not when somebody needs it.
func New(ctx context.Context, issuerID, resource string, options ...Option) (*API, error) {
	a := &API{resources: []string{resource}, now: time.Now, log: slog.Default(), spent: &spent{most: maxSpent}}
	for _, o := range options {
		o(a)
	}
	for _, r := range a.resources {
		if !isResource(r) {
			return nil, errors.New("protect: a resource is https (on this machine http), host in lower case, without a port that goes without saying, query, fragment and slash at the end: https://api.example/v1")
		}
	}
	u, _ := trusted(resource)
	a.wellKnown = wellKnown + u.EscapedPath()
	a.described = u.Scheme + "://" + u.Host + a.wellKnown
	a.base = strings.TrimSuffix(cmp.Or(a.base, u.Scheme+"://"+u.Host), "/")
	id, secure := trusted(issuerID)
	base, ok := trusted(a.base)
	switch {
	case !secure:
		return nil, errors.New("protect: the issuer is not https, nor http on this machine")
	case !ok || base.RawQuery != "":
		return nil, errors.New("protect: the address of At is not https, nor http on this machine")
	case a.leeway < 0 || a.leeway > maxLeeway:
		return nil, errors.New("protect: the leeway is more than five minutes, or less than none")
	}
	a.path = base.EscapedPath()
	a.issuer = newIssuer(issuerID, id, a.client)
	a.keys = &keys{issuer: a.issuer, now: a.now, log: a.log}
	if err := a.keys.begin(ctx); err != nil {
		return nil, fmt.Errorf("protect: %w", err)
	}
	if a.prove == nil {
		return a, nil
	}
	if _, ok := trusted(a.keys.introspectionEndpoint()); !ok {
		return nil, fmt.Errorf("protect: %w", errNoIntrospection)
	}
	var err error
	a.told, err = lru.New[[sha256.Size]byte, *answer](maxTold)
	return a, err
}

// isResource wants a resource as tokens name it: the server compares in one form, and a
// token is compared with that to the letter.
func isResource(resource string) bool {
	u, ok := trusted(resource)
	return ok && u.RawQuery == "" && !strings.HasSuffix(resource, "/") && u.Host == strings.ToLower(u.Host) &&
		!strings.HasSuffix(u.Host, map[string]string{"https": ":443", "http": ":80"}[u.Scheme])
}

// trusted reads an address, and reports whether it is one that nobody on the way can answer
// for: https, or http that does not leave this machine.
func trusted(address string) (*url.URL, bool) {
	u, err := url.Parse(address)
	if err != nil || u.Hostname() == "" || u.User != nil || strings.Contains(address, "#") {
		return nil, false
	}
	host := u.Hostname()
	here := host == "localhost" || strings.HasSuffix(host, ".localhost") || net.ParseIP(host).IsLoopback()
	return u, u.Scheme == "https" || u.Scheme == "http" && here
}

// Require lets requests through whose token may do all that a scope names, separated by
// spaces; an empty one wants a token alone. Put it before what changes a request's path, as
// http.StripPrefix does: proofs are for the path as it came. Inside another Require of this
// API it asks for more, of the same token, whose proof has counted.
func (a *API) Require(scope string, next http.Handler) http.Handler {
	needed := strings.Fields(scope)
	a.mu.Lock()
	a.scopes = append(a.scopes, needed...)
	a.mu.Unlock()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		in, _ := r.Context().Value(contextKey{}).(admission)
		var refused *refusal
		if in.by != a {
			in = admission{by: a}
			in.token, refused = a.admit(w, r)
		}
		// Who asks for what is needed here alone could not come as far as here (requirement S-03).
		for _, s := range needed {
			if !slices.Contains(in.needed, s) {
				in.needed = append(in.needed, s)
			}
		}
		if refused == nil && slices.ContainsFunc(needed, func(s string) bool { return !in.token.May(s) }) {
			refused = errScope
		}
		if refused != nil {
			a.refuse(w, r, refused, strings.Join(in.needed, " "))
			return
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), contextKey{}, in)))
	})
}

type contextKey struct{}

// admission is how a request was let through, and by whom.
type admission struct {
	by     *API
	token  Token
	needed []string // scopes
}

// FromContext is the token that a request was let through with; where nothing was required it
// is empty, with no subject.
func FromContext(ctx context.Context) Token {
	in, _ := ctx.Value(contextKey{}).(admission)
	return in.token
}
