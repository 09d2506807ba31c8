package client

import (
	"testing"

	"countersign.dev/internal/authz"
)

func TestB07_NamesThatPassForAnotherAtAGlance(t *testing.T) {
	tv := authz.Client{ID: "living-room-tv", Name: "Living Room TV", Registered: true}
	for id, want := range map[string]bool{
		"living-room-tv": true, "Living Room TV": true, "l1ving-r00m-tv": true, "LIVINGROOMTV": true, "livlng room tv": true, "living-roorn-tv": true, "l_iving room tv!": true, "|iving r_oom tv": false,
		"living-room": false, "my-tv": false, "living-room-tv-2nd": false, "---": false,
	} {
		if got := looksLike(skeleton(id), tv); got != want {
			t.Errorf("%q looks like %q: %v", id, tv.Name, got)
		}
	}
	if looksLike(skeleton(""), authz.Client{}) {
		t.Error("nothing looks like nothing")
	}
}

func TestB07_NamesThatPoseAsTheServer(t *testing.T) {
	for id, want := range map[string]bool{
		"countersign": true, "Countersign Security Team": true, "c0untersign-app": true, "5upport": true, "my.admin.tool": true,
		"counter-sign": true, "Counter.Sign": true, "Counter Sign": true, "countersigns": true, "mycountersign": true, "countersignlogin": true, "c-o-u-n-t-e-r-s-i-g-n": true,
		"the counter/sign app": true, "COUNTER$IGN": true, "count3r-s1gn": true, "MyC0untersign Login": true, "sec-urity": true, "adm!n": true, "coun-ter-slgn": true,
		"counter": false, "sign": false, "counter-app": false, "sign-counter": false, "counter-signal": false, "encounter-sign": false, "counter-strike": false, "cosign": false, "design-counter": false,
		"Sign In": false, "countdown": false, "co-sign-tool": false, "people counter": false, "docusign": false, "max-ad-min-price": false, "supported-devices": false, "administrators-guide": false,
		"file-system-check": true, "systemd": false, "my-app": false, "supporter": false, "badminton": false, "ecosystem": false, "": false,
	} {
		if got := posesAsServer(id); got != want {
			t.Errorf("%q poses as the server: %v", id, got)
		}
	}
}
