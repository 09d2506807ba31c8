package approval

import (
	"testing"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/guard"
)

func TestB01_AMatchIsAskedForUnlessAllIsKnown(t *testing.T) {
	for name, c := range map[string]struct {
		proved, registered bool
		scope              string
		network            NetworkDistance
		reports, number    int
		want               MatchKind
	}{
		"all":               {true, true, "openid profile", NetworkSame, 0, 0, MatchNone},
		"not who asks":      {false, true, "openid profile", NetworkSame, 0, 0, MatchLetters},
		"not the client":    {true, false, "openid profile", NetworkSame, 0, 0, MatchLetters},
		"more than basic":   {true, true, "openid repo", NetworkSame, 0, 0, MatchLetters},
		"elsewhere":         {true, true, "openid", NetworkOther, 0, 0, MatchLetters},
		"who knows where":   {true, true, "openid", NetworkUnknown, 0, 0, MatchLetters},
		"reported":          {true, true, "openid", NetworkSame, guard.WarnedReports, 0, MatchLetters},
		"all, and a number": {true, true, "openid", NetworkSame, 0, 42, MatchNone},
		"with a number":     {false, true, "openid", NetworkSame, 0, 42, MatchNumber},
	} {
		r := authz.DeviceRequest{ClientProved: c.proved, MatchNumber: c.number}
		if got := matchKind(r, authz.Client{Registered: c.registered}, c.scope, c.network, guard.Reports{Network: c.reports}); got != c.want {
			t.Errorf("%s: %s", name, got)
		}
	}
}
