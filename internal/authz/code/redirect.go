package code

import (
	"net/url"
	"strings"

	"countersign.dev/internal/authz"
)

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
