package dpop

import (
	"net/url"
	"strings"
)

// normalForm is an address in the one form in which two are compared (RFC 9449 §4.3;
// RFC 3986 §6.2.2, §6.2.3): without query and fragment, scheme and host in lower case,
// without the port that the scheme implies, dots resolved, percent-encoding only where it
// must be and in upper case.
func normalForm(address string) (string, bool) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.Hostname() == "" || u.User != nil {
		return "", false
	}
	scheme, host := strings.ToLower(u.Scheme), strings.ToLower(u.Host)
	switch scheme {
	case "https":
		host = strings.TrimSuffix(host, ":443")
	case "http":
		host = strings.TrimSuffix(host, ":80")
	default:
		return "", false
	}
	return scheme + "://" + strings.TrimSuffix(host, ":") + withoutDots(plainest(u.EscapedPath())), true
}

// plainest writes a path with as little percent-encoding as means the same.
func plainest(path string) string {
	if !strings.Contains(path, "%") {
		return path
	}
	var b strings.Builder
	for i := 0; i < len(path); i++ {
		if path[i] != '%' || i+2 >= len(path) {
			b.WriteByte(path[i])
			continue
		}
		encoded := path[i : i+3]
		i += 2
		if plain, err := url.PathUnescape(encoded); err == nil && unreserved(plain[0]) {
			b.WriteString(plain)
			continue
		}
		b.WriteString(strings.ToUpper(encoded))
	}
	return b.String()
}

// unreserved are the characters of RFC 3986 §2.3, which mean the same encoded or not.
func unreserved(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-._~", c) >= 0
}

// withoutDots resolves the segments . and .. of a path (RFC 3986 §5.2.4), which begins
// with a slash afterwards.
func withoutDots(path string) string {
	var kept []string
	segments := strings.Split(strings.TrimPrefix(path, "/"), "/")
	for i, segment := range segments {
		last := i == len(segments)-1
		switch segment {
		case ".", "..":
			if segment == ".." && len(kept) > 0 {
				kept = kept[:len(kept)-1]
			}
			if last {
				kept = append(kept, "")
			}
		default:
			kept = append(kept, segment)
		}
	}
	return "/" + strings.Join(kept, "/")
}
