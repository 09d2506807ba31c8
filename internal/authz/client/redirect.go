package client

import (
	"slices"
	"strconv"
	"strings"
)

// LeadsTo reports whether a redirect URI is one of those registered: the very same text
// (RFC 9700 §2.1, requirement Z-01), or on this machine's own address another port, which a
// native application gets when it starts (RFC 8252 §7.3, requirement Z-02).
func LeadsTo(registered []string, uri string) bool {
	return slices.ContainsFunc(registered, func(r string) bool {
		if r == uri {
			return true
		}
		host, rest, ok := loopback(r)
		askedHost, askedRest, alike := loopback(uri)
		return ok && alike && host == askedHost && rest == askedRest
	})
}

// IsPlace reports whether a redirect URI is a place in the web that is registered to the letter.
// A scheme of an application's own, and a port of this machine that was free, are whoever's takes
// them (RFC 8252 §8.6).
func IsPlace(registered []string, uri string) bool {
	return (strings.HasPrefix(uri, "https://") || strings.HasPrefix(uri, "http://")) && slices.Contains(registered, uri)
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
