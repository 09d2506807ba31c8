package kept

import (
	"encoding/json"

	"countersign.dev/internal/authz"
)

// profile has the members of authz.Profile, like client.
type profile struct {
	Name        string `json:"name,omitempty"`
	GivenName   string `json:"given_name,omitempty"`
	FamilyName  string `json:"family_name,omitempty"`
	Picture     string `json:"picture,omitempty"`
	Description string `json:"description,omitempty"`
}

// Profile is how an identity's profile is kept.
func Profile(p authz.Profile) string { return document(profile(p)) }

// ProfileOf is the profile that is kept as a text.
func ProfileOf(kept string) (authz.Profile, error) {
	if kept == "{}" { // most are
		return authz.Profile{}, nil
	}
	var p profile
	err := json.Unmarshal([]byte(kept), &p)
	return authz.Profile(p), err
}
