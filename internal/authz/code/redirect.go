package code

import (
	"net/url"
	"slices"
	"strconv"
	"strings"

	"countersign.dev/internal/authz"
)

// leadsTo reports whether a redirect URI is one of those registered: the very same text
// (RFC 9700 §2.1, requirement Z-01), or on this machine's own address another port, which a
// native application gets when it starts (RFC 8252 §7.3, requirement Z-02).
func leadsTo(registered []string, uri string) bool {
	return slices.ContainsFunc(registered, func(r string) bool {
		if r == uri {
			return true
		}
		host, rest, ok := loopback(r)
		askedHost, askedRest, alike := loopback(uri)
		return ok && alike && host == askedHost && rest == askedRest
	})
}

// loopback splits a redirect URI to this machine into its host and what follows the port. It
// reads the text and parses nothing: no two parsers can differ about it (requirement Z-04).
// "localhost" is one only where it is registered as such (requirement Z-03).
func loopback(uri string) (host, rest string, ok bool) {
	authority, ok := strings.CutPrefix(uri, "http://")
	if !ok {
		return "", "", false
	}
	if end := strings.IndexAny(authority, "/?#"); end >= 0 {
		authority, rest = authority[:end], authority[end:]
	}
	for _, host := range []string{"127.0.0.1", "[::1]", "localhost"} {
		port, ours := strings.CutPrefix(authority, host)
		if ours && (port == "" || port[0] == ':' && isPort(port[1:])) {
			return host, rest, true
		}
	}
	return "", "", false
}

func isPort(digits string) bool {
	n, err := strconv.ParseUint(digits, 10, 16)
	return err == nil && n > 0 && digits[0] != '0'
}

// answer is the address that a browser takes back to the client (RFC 6749 §4.1.2), with who
// answers (RFC 9207 §2, requirements Z-17, Z-29) and the state as it came (requirement Z-08).
func (s *Codes) answer(to authz.Redirect, members url.Values) string {
	if to.HasState {
		members.Set("state", to.State)
	}
	members.Set("iss", s.settings.Issuer)
	return with(to.URI, members)
}

// with adds members to the query of a redirect URI, which stays as it is otherwise.
func with(uri string, members url.Values) string {
	separator := "?"
	if strings.Contains(uri, "?") {
		separator = "&"
	}
	return uri + separator + members.Encode()
}

// Refused is the address that tells the client of a refusal (RFC 6749 §4.1.2.1, requirement
// Z-07).
func (s *Codes) Refused(to authz.Redirect, refusal *authz.Error) string {
	members := url.Values{"error": {string(refusal.Code)}}
	if refusal.Description != "" {
		members.Set("error_description", refusal.Description)
	}
	return s.answer(to, members)
}
