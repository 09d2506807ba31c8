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
	if err != nil || u.Hostname() == "" || u.User != nil {
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

// unreserved are the characters of RFC 3986 §2.3, which mean the same encoded or not.
const unreserved = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~"

// plainest writes a path with as little percent-encoding as means the same.
func plainest(path string) string {
	var b strings.Builder
	for {
		before, after, found := strings.Cut(path, "%")
		b.WriteString(before)
		if !found {
			return b.String()
		}
		digits := after[:min(2, len(after))]
		path = after[len(digits):]
		plain, _ := url.PathUnescape("%" + digits) // the path of a URL has none that cannot be read
		if strings.Trim(plain, unreserved) == "" {
			b.WriteString(plain)
			continue
		}
		b.WriteString("%" + strings.ToUpper(digits))
	}
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
