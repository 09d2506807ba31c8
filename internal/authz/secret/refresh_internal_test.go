package secret

import (
	"crypto/rand"
	"strings"
	"testing"

	"countersign.dev/internal/authz"
)

// A token of before tokens named their grant is known by its row alone, which the
// token after the next one removes where it is named.
func TestATokenThatSaysNothingOfItselfIsNamedByNoSuccessor(t *testing.T) {
	s, err := Derive(make([]byte, authz.SecretLength), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ours := s.RefreshToken(authz.Hash{1}, "grant")
	for token, named := range map[authz.Secret]bool{ours: true, "csr_" + authz.Secret(strings.Repeat("A", 43)): false} {
		replaces, grant, ok := s.ReadRefreshToken(s.Successor(token, "grant"))
		if !ok || grant != "grant" || (replaces == token.Hash()) != named {
			t.Errorf("named: %v, want %v", replaces == token.Hash(), named)
		}
	}
}
