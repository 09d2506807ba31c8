package deviceflow

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// Discover finds a server's endpoints by its issuer identifier (RFC 8414, then
// OpenID Connect Discovery). The document must name that very issuer.
//
//	*TransportError: no document, or one that does not fit
func Discover(ctx context.Context, client *http.Client, issuer string) (Endpoint, error) {
	if client == nil {
		client = http.DefaultClient
	}
	issuer = strings.TrimSuffix(issuer, "/")
	if !webAddress(issuer) {
		return Endpoint{}, &TransportError{Err: errors.New("the issuer is not a web address")}
	}
	var last error
	for _, path := range []string{"/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"} {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, issuer+path, nil)
		if err != nil {
			return Endpoint{}, &TransportError{Err: err}
		}
		req.Header.Set("Accept", "application/json")
		answer, err := send(client, req)
		if err != nil {
			return Endpoint{}, err
		}
		if last = answer.failure(); last == nil {
			return parseMetadata(answer.body, issuer)
		}
	}
	return Endpoint{}, &TransportError{Err: fmt.Errorf("no authorization server answers there: %w", last)}
}

// parseMetadata reads a discovery document (RFC 8414 §3.2, §3.3).
func parseMetadata(body []byte, issuer string) (Endpoint, error) {
	var m struct {
		Issuer              string `json:"issuer"`
		DeviceAuthorization string `json:"device_authorization_endpoint"`
		Token               string `json:"token_endpoint"`
		Revocation          string `json:"revocation_endpoint"`
		UserInfo            string `json:"userinfo_endpoint"`
	}
	if err := json.Unmarshal(body, &m); err != nil {
		return Endpoint{}, &TransportError{Err: errors.New("the discovery document is not JSON")}
	}
	if strings.TrimSuffix(m.Issuer, "/") != issuer {
		return Endpoint{}, &TransportError{Err: fmt.Errorf("the discovery document is another issuer's (%s): use the address the server calls itself", visible(m.Issuer))}
	}
	if !webAddress(m.DeviceAuthorization) || !webAddress(m.Token) {
		return Endpoint{}, &TransportError{Err: errors.New("the server does not offer the device grant")}
	}
	return Endpoint{
		Issuer: m.Issuer, DeviceAuthorizationURL: m.DeviceAuthorization, TokenURL: m.Token,
		RevocationURL: m.Revocation, UserInfoURL: m.UserInfo,
	}, nil
}
