package server

import (
	"maps"
	"net/http"
	"slices"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/issuer"
	"countersign.dev/internal/server/page"
)

// Routes are the methods and paths of every endpoint.
func (s *Server) Routes() (all [][2]string) {
	for _, r := range s.routes() {
		all = append(all, [2]string{r.method, r.path})
	}
	return all
}

// ProblemCodes are the codes that pages have words for, and one of our own
// failures, which has none.
func ProblemCodes() []authz.Code {
	return append(slices.Sorted(maps.Keys(page.Problems)), authz.ServerError)
}

// Refusing is a page that answers with a refusal and nothing else.
func (s *Server) Refusing(code authz.Code) http.Handler {
	return s.adapt(route{class: person, handler: func(http.ResponseWriter, *http.Request) error {
		return &authz.Error{Code: code, Description: "for the developer", RequestID: "the-id"}
	}})
}

// Handling is an endpoint for programs, or a page for people, that a test answers.
func (s *Server) Handling(people bool, h func(w http.ResponseWriter, r *http.Request) error) http.Handler {
	if people {
		return s.adapt(route{class: person, handler: h})
	}
	return s.adapt(route{class: public, handler: h})
}

// GETPaths are the patterns of all routes that answer GET.
func GETPaths() (paths []string) {
	for _, r := range (&Server{issuer: &issuer.Issuer{}}).routes() {
		if r.method == http.MethodGet {
			paths = append(paths, r.path)
		}
	}
	return paths
}

// Endpoint is a row of the table of routes.
type Endpoint struct{ Method, Path string }

// Endpoints are all there are.
func Endpoints() (all []Endpoint) {
	for _, r := range (&Server{issuer: &issuer.Issuer{}}).routes() {
		all = append(all, Endpoint{r.method, r.path})
	}
	return all
}

// OwnerRoutes are the routes of the class owner, each as "METHOD pattern", and
// PublicRoutes those of the class public.
func OwnerRoutes() []string  { return routesOf(owner) }
func PublicRoutes() []string { return routesOf(public) }

func routesOf(c class) (routes []string) {
	for _, r := range (&Server{issuer: &issuer.Issuer{}}).routes() {
		if r.class == c {
			routes = append(routes, r.method+" "+r.path)
		}
	}
	return routes
}
