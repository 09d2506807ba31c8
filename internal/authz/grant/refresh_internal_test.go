package grant

import (
	"testing"
	"time"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/proof"
)

func TestARefreshTokenIsKeptNoLongerThanItsGrant(t *testing.T) {
	s, now := &Grants{settings: authz.Settings{RefreshIdleLifetime: time.Hour}}, time.Unix(1_800_000_000, 0)
	for grant, want := range map[time.Duration]time.Duration{time.Minute: time.Minute, time.Hour: time.Hour, 2 * time.Hour: time.Hour} {
		if got := s.RefreshToken(authz.Client{}, authz.Grant{ExpiresAt: now.Add(grant)}, "x", proof.Possession{}, now).ExpiresAt.Sub(now); got != want {
			t.Errorf("of a grant of %v it is kept %v", grant, got)
		}
	}
}
