package approval

import (
	"testing"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/guard"
)

func TestK12_ReportsMakeAMatchNecessary(t *testing.T) {
	c := authz.Client{ID: "a", Registered: true}
	for _, kind := range []struct {
		reports guard.Reports
		want    MatchKind
	}{
		{guard.Reports{}, MatchNone},
		{guard.Reports{Client: 99}, MatchNone}, // a registered client is not at the mercy of reports
		{guard.Reports{Network: guard.WarnedReports}, MatchLetters},
	} {
		if got := matchKind(authz.DeviceRequest{ClientProved: true}, c, "openid", NetworkSame, kind.reports); got != kind.want {
			t.Errorf("%+v: %s", kind.reports, got)
		}
	}
	if got := matchKind(authz.DeviceRequest{MatchNumber: 42, ClientProved: true}, c, "openid", NetworkSame, guard.Reports{Network: 3}); got != MatchNumber {
		t.Errorf("with a number: %s", got)
	}
	if got := matchKind(authz.DeviceRequest{}, authz.Client{ID: "x"}, "openid", NetworkSame, guard.Reports{}); got == MatchNone {
		t.Error("no match for an unregistered client")
	}
	if got := matchKind(authz.DeviceRequest{}, c, "openid", NetworkSame, guard.Reports{}); got == MatchNone {
		t.Error("no match for whoever sends a registered client's id")
	}
}
