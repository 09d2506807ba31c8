package authz

import (
	"errors"
	"testing"
	"time"
)

func TestAPageSaysWhatFailedAndWhetherThereIsMore(t *testing.T) {
	torn := errors.New("torn")
	of := func(n int, err error) ([]int, string, error) {
		read := func(Position, int) ([]int, error) { return make([]int, n), err }
		return page(serverSecrets{}, Owner{}, "grants", "", 3, read, func(int) Position { return Position{} })
	}
	for n := range 6 {
		if _, next, err := of(n, torn); !errors.Is(err, torn) || next != "" {
			t.Errorf("%d were found: next %q, %v", n, next, err)
		}
	}
	for n := range 4 {
		if found, next, err := of(n, nil); len(found) != n || next != "" || err != nil {
			t.Errorf("of %d it has %d, next %q, %v", n, len(found), next, err)
		}
	}
}

func TestARefreshTokenIsKeptNoLongerThanItsGrant(t *testing.T) {
	s, now := &grants{settings: Settings{RefreshIdleLifetime: time.Hour}}, time.Unix(1_800_000_000, 0)
	for grant, want := range map[time.Duration]time.Duration{time.Minute: time.Minute, time.Hour: time.Hour, 2 * time.Hour: time.Hour} {
		if got := s.refreshToken(Grant{ExpiresAt: now.Add(grant)}, "x", now).ExpiresAt.Sub(now); got != want {
			t.Errorf("of a grant of %v it is kept %v", grant, got)
		}
	}
}
