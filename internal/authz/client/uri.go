package client

import (
	"errors"
	"net"
	"net/url"
	"slices"
	"strings"

	"countersign.dev/internal/authz"
)

// maxURI bounds a URI of a client's metadata, or of a request, in bytes.
const maxURI = 2048

// maxResource bounds the URI of a resource: access tokens have some in them.
const maxResource = 255

// parseURI reads an absolute URI of the characters that RFC 3986 §2 knows: none that
// browsers take for others, as the backslash, or that end a line or a word. It has no
// fragment and no user.
func parseURI(text string) (*url.URL, bool) {
	const extra = "-._~:/?[]@!$&'()*+,;=%"
	strange := func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune(extra, r)
	}
	if len(text) > maxURI || strings.ContainsFunc(text, strange) {
		return nil, false
	}
	u, err := url.Parse(text)
	return u, err == nil && u.IsAbs() && u.User == nil
}

// checkRedirect says what is wrong with a URI to which a browser shall be sent, of a
// kind of application (requirement Z-06). What a browser would run, javascript: and its
// like, has no dot in its scheme; and nothing stands for something else: what is
// registered is compared as it is.
func checkRedirect(uri, applicationType string) error {
	u, ok := parseURI(uri)
	local := ok && isLoopback(u)
	private := ok && strings.Contains(u.Scheme, ".") && u.Path+u.Opaque+u.Host != ""
	switch {
	case !ok || strings.Contains(uri, "*"):
		return errors.New("must be absolute URIs, as they are asked for to the letter, without fragment, user and wildcard")
	case u.Scheme == "https" && u.Hostname() != "":
		return nil
	case applicationType == authz.ApplicationWeb && (local || private):
		return errors.New("must be https for application_type web: leave that out, or register another client, for what runs on its user's machine")
	case local || private:
		return nil
	default:
		return errors.New("must be https; http with 127.0.0.1, [::1] or localhost; or a scheme of the application's own with a dot in it, like com.example.app:/back")
	}
}

// isLoopback reports whether a URI leads to the browser's own machine (RFC 8252 §7.3).
func isLoopback(u *url.URL) bool {
	return u.Scheme == "http" && slices.Contains([]string{"127.0.0.1", "::1", "localhost"}, u.Hostname())
}

// hostOf is the host of a URI as URIs have it, with a port unless that is empty.
func hostOf(u *url.URL, port string) string {
	host := strings.ToLower(u.Hostname())
	if port != "" {
		return net.JoinHostPort(host, port)
	}
	if strings.Contains(host, ":") {
		return "[" + host + "]"
	}
	return host
}

// canonicalResource is the one form of a resource's URI (RFC 8707 §2, requirements X-09,
// S-07): scheme and host in lower case, no port that the scheme has anyway, no slash at
// the end.
func canonicalResource(uri string) (string, bool) {
	u, ok := parseURI(uri)
	if !ok || len(uri) > maxResource || u.Hostname() == "" || (u.Scheme != "https" && u.Scheme != "http") {
		return "", false
	}
	port := u.Port()
	if port == map[string]string{"http": "80", "https": "443"}[u.Scheme] {
		port = ""
	}
	canonical := u.Scheme + "://" + hostOf(u, port) + strings.TrimRight(u.EscapedPath(), "/")
	if u.RawQuery != "" {
		canonical += "?" + u.RawQuery
	}
	return canonical, true
}

// canonicalResources are some URIs in their one form, which of what is none is empty.
func canonicalResources(uris []string) (canonical []string) {
	for _, uri := range uris {
		c, _ := canonicalResource(uri)
		canonical = append(canonical, c)
	}
	return canonical
}
