package authz

import (
	"encoding/json"

	"github.com/go-jose/go-jose/v4"
)

// Signed is a token of a type and with claims of the test's own, signed with our key.
func (s *Service) Signed(typ string, claims map[string]any) (Secret, error) {
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	token, err := s.keys.sign(accessTokenAlg, jose.ContentType(typ), payload)
	return Secret(token), err
}
