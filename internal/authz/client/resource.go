package client

import (
	"context"
	"fmt"
	"slices"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/scopes"
)

// maxResources bounds how many resources one request names.
const maxResources = 8

// Resources are those that a client asks for access to, in their one form and each once
// (RFC 8707 §2). What may be asked for is what a registered client serves (requirement
// X-10), and this server itself, which alone is what nothing is: none. A client that
// nobody registered is for no one else.
//
//	InvalidTarget: it is no URI of a resource (requirement X-09), or nobody serves it
func (s *Registry) Resources(ctx context.Context, c authz.Client, asked []string) ([]string, error) {
	resources, err := s.Canonical(asked)
	if err != nil {
		return nil, err
	}
	others := slices.DeleteFunc(slices.Clone(resources), func(r string) bool { return r == s.settings.Issuer })
	if len(others) == 0 {
		return nil, nil
	}
	if !c.Registered {
		return nil, errUnserved
	}
	serving, err := s.Serving(ctx, others)
	if err == nil && len(serving) < len(others) {
		err = errUnserved
	}
	if err != nil {
		return nil, err
	}
	return resources, nil
}

// Canonical are resources that a request names, in their one form and each once. The
// UserInfo endpoint, which has metadata of its own, is this server.
//
//	InvalidTarget
func (s *Registry) Canonical(asked []string) (resources []string, err error) {
	if len(asked) > maxResources {
		return nil, authz.Refuse(authz.InvalidTarget, fmt.Sprintf("no more than %d resources may be named", maxResources))
	}
	for _, uri := range asked {
		resource, ok := canonicalResource(uri)
		if !ok {
			return nil, authz.Refuse(authz.InvalidTarget, "resource must be an absolute http or https URI without fragment, as must audience where tokens are exchanged")
		}
		if resource == s.settings.Origin()+authz.UserInfoPath {
			resource = s.settings.Issuer
		}
		if !slices.Contains(resources, resource) {
			resources = append(resources, resource)
		}
	}
	return resources, nil
}

// Audience is for whom an access token of a grant is, which has a scope and for which a
// token request may name some of the grant's resources (RFC 8707 §2.2): for these, or for
// all that were approved, and no other (requirement X-11). With openid it is for this
// server too, at whose UserInfo endpoint it is good; an agent's is good there whomever it is
// for, and only a token for one alone is taken with an X-Auth-Token. None means: for this
// server alone.
//
//	InvalidTarget: a resource that was not approved, or is none (requirement X-10)
func (s *Registry) Audience(g authz.Grant, scope string, asked []string) ([]string, error) {
	audience, err := s.Canonical(asked)
	if err != nil {
		return nil, err
	}
	here := len(g.Resources) == 0 || scopes.Has(scope, "openid") && !g.Delegated.ToAgent()
	for _, resource := range audience {
		if !slices.Contains(g.Resources, resource) && (!here || resource != s.settings.Issuer) {
			return nil, authz.Refuse(authz.InvalidTarget, "this resource is not among those that were approved: ask for it when you ask for the approval")
		}
	}
	if len(audience) == 0 {
		audience = slices.Clone(g.Resources)
	}
	if here && !slices.Contains(audience, s.settings.Issuer) {
		audience = append(audience, s.settings.Issuer)
	}
	return audience, nil
}

var errUnserved = authz.Refuse(authz.InvalidTarget, "no client that is registered here serves this resource, or this client may not ask for it")

// Serving finds the registered client that serves each of some resources. What nobody
// serves is left out; of several that serve the same one it is always the same.
func (s *Registry) Serving(ctx context.Context, resources []string) (map[string]authz.Client, error) {
	if len(resources) == 0 {
		return nil, nil
	}
	clients, err := s.all(ctx)
	if err != nil {
		return nil, err
	}
	serving := map[string]authz.Client{}
	for _, c := range slices.Backward(clients) { // the first is written last
		for _, r := range c.Resources {
			if slices.Contains(resources, r) {
				serving[r] = c
			}
		}
	}
	return serving, nil
}
