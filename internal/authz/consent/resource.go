package consent

import (
	"context"
	"net/url"

	"countersign.dev/internal/authz"
)

// Resource is a client that serves what another one asks for access to.
type Resource struct {
	URI string
	// ClientID is that client, Name its display name, Host where it is.
	ClientID, Name, Host string
}

// Resources say in words what a request wants access to (requirement X-12).
//
//	NotFound: nobody serves one of them any more
func (s *Consents) Resources(ctx context.Context, uris []string) (resources []Resource, err error) {
	serving, err := s.clients.Serving(ctx, uris)
	if err != nil {
		return nil, err
	}
	for _, uri := range uris {
		c, served := serving[uri]
		switch u, err := url.Parse(uri); {
		case err == nil && uri == s.settings.Issuer:
			resources = append(resources, Resource{uri, "", u.Host, u.Host})
		case err != nil || !served:
			return nil, authz.Refuse(authz.NotFound, "what the client asks for access to is served by nobody here any more: start again on the device")
		default:
			resources = append(resources, Resource{uri, c.ID, c.DisplayName(), u.Host})
		}
	}
	return resources, nil
}
