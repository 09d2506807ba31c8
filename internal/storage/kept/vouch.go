package kept

import (
	"encoding/json"

	"countersign.dev/internal/authz"
)

// vouch has the members of authz.Vouch.
type vouch struct {
	Path  string `json:"path"`
	Body  string `json:"body"`
	Token string `json:"token"`
}

// Vouch is how the request is kept that added a passkey; nothing for one that was not kept.
func Vouch(v authz.Vouch) string {
	if v == (authz.Vouch{}) {
		return ""
	}
	return document(vouch(v))
}

// VouchOf is the request of which this is kept.
func VouchOf(kept string) (authz.Vouch, error) {
	if kept == "" {
		return authz.Vouch{}, nil
	}
	var v vouch
	err := json.Unmarshal([]byte(kept), &v)
	return authz.Vouch(v), err
}
