package kept

import (
	"encoding/json"

	"countersign.dev/internal/authz"
)

// redirect has the members of authz.Redirect, as client has those of a client.
type redirect struct {
	URI           string `json:"uri"`
	State         string `json:"state,omitempty"`
	HasState      bool   `json:"has_state,omitempty"`
	CodeChallenge string `json:"code_challenge"`
	ProvedSince   int64  `json:"proved_since,omitempty"`
}

// Redirect is how it is kept where a request leads back to; nothing for a device's.
func Redirect(r authz.Redirect) string {
	if r == (authz.Redirect{}) {
		return ""
	}
	return document(redirect(r))
}

// RedirectOf is where a request leads back to of which this is kept.
func RedirectOf(kept string) (authz.Redirect, error) {
	if kept == "" {
		return authz.Redirect{}, nil
	}
	var r redirect
	err := json.Unmarshal([]byte(kept), &r)
	return authz.Redirect(r), err
}
