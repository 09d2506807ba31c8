package oauth

import (
	"net/http"
	"strings"
)

// preferredWait is the `wait` of the Prefer header in seconds (RFC 7240 §4.3),
// or 0.
func preferredWait(h http.Header) int {
	for _, value := range h.Values("Prefer") {
		for preference := range strings.SplitSeq(value, ",") {
			preference, _, _ = strings.Cut(preference, ";")
			name, seconds, _ := strings.Cut(preference, "=")
			if !strings.EqualFold(strings.TrimSpace(name), "wait") {
				continue
			}
			return boundedSeconds(strings.Trim(strings.TrimSpace(seconds), `"`))
		}
	}
	return 0
}

// boundedSeconds reads digits; more than a day's worth is all the same.
func boundedSeconds(digits string) int {
	const aDay = 86400
	n := 0
	for _, d := range digits {
		if d < '0' || d > '9' {
			return 0
		}
		if n = n*10 + int(d-'0'); n > aDay {
			return aDay
		}
	}
	return n
}
