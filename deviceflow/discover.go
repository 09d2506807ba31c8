package deviceflow

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// Discover finds a server's endpoints by its issuer identifier (RFC 8414 §3, and
// OpenID Connect Discovery). The document must name that very issuer; a slash at
// its end makes no difference.
//
//	*TransportError: no document, or none that fits
func Discover(ctx context.Context, client *http.Client, issuer string) (Endpoint, error) {
	if client == nil {
		client = http.DefaultClient
	}
	issuer = strings.TrimSuffix(issuer, "/")
	u, _ := url.Parse(issuer)
	if !webAddress(issuer) || u.RawQuery != "" || u.Fragment != "" {
		return Endpoint{}, &TransportError{Err: errors.New("the issuer is not a web address")}
	}
	var nearest *TransportError // what to say if none fits
	for _, address := range documents(u) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
		if err != nil {
			return Endpoint{}, &TransportError{Err: err}
		}
		answer, err := send(client, req, answerTime)
		if err != nil {
			return Endpoint{}, err // it will not answer the next question either
		}
		endpoint, unfit := answer.metadata(issuer)
		if unfit == nil {
			return endpoint, nil
		}
		if nearest == nil || (nearest.Status != 0 && unfit.Status == 0) {
			nearest = unfit
		}
	}
	return Endpoint{}, nearest
}

// documents are the addresses where an issuer's metadata may lie: RFC 8414 §3.1
// puts the well-known part before the issuer's path, OpenID Connect Discovery §4
// behind it, and each has servers that do it the other's way.
func documents(issuer *url.URL) []string {
	const oauth, openID = "/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"
	host, path := issuer.Scheme+"://"+issuer.Host, issuer.EscapedPath()
	if path == "" {
		return []string{host + oauth, host + openID}
	}
	return []string{host + oauth + path, host + path + openID, host + openID + path, host + path + oauth}
}

// metadata reads a discovery document (RFC 8414 §3.2, §3.3). A status of 0 in its
// error says that there was a document.
func (a *answer) metadata(issuer string) (Endpoint, *TransportError) {
	m := a.members
	if a.status != http.StatusOK || m.text("issuer") == "" {
		return Endpoint{}, &TransportError{Status: a.status, Err: fmt.Errorf("no authorization server answers there (%d)", a.status)}
	}
	if strings.TrimSuffix(m.text("issuer"), "/") != issuer {
		return Endpoint{}, &TransportError{Err: fmt.Errorf("the discovery document is another issuer's (%s): use the address the server calls itself", visible(m.text("issuer")))}
	}
	e := Endpoint{
		Issuer: m.text("issuer"), DeviceAuthorizationURL: m.text("device_authorization_endpoint"), TokenURL: m.text("token_endpoint"),
		RevocationURL: m.text("revocation_endpoint"), UserInfoURL: m.text("userinfo_endpoint"),
	}
	if !webAddress(e.DeviceAuthorizationURL) || !webAddress(e.TokenURL) {
		return Endpoint{}, &TransportError{Err: errors.New("the server does not offer the device grant")}
	}
	methods := m.texts("token_endpoint_auth_methods_supported")
	e.SecretInForm = slices.Contains(methods, "client_secret_post") && !slices.Contains(methods, "client_secret_basic")
	e.ScopesSupported = m.texts("scopes_supported")
	e.ProofAlgs = m.texts("dpop_signing_alg_values_supported")
	return e, nil
}
