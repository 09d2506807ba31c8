package authz

import (
	"errors"
	"testing"
)

func TestK04_AScopeMayBeBarredFromTheDeviceGrant(t *testing.T) {
	notByDevice["spend"] = true
	t.Cleanup(func() { delete(notByDevice, "spend") })
	c := Client{ID: "a", Registered: true, Scope: "openid spend"}
	for _, asked := range []string{"spend", "openid spend"} {
		if _, err := RequestedScope(c, asked); !errors.Is(err, InvalidScope) {
			t.Errorf("%q: %v", asked, err)
		}
	}
	if got, err := RequestedScope(c, ""); got != "openid" || err != nil {
		t.Errorf("nothing asked gives %q, %v", got, err)
	}
	if _, err := RequestedScope(Client{ID: "a", Registered: true, Scope: "spend"}, ""); !errors.Is(err, InvalidScope) {
		t.Errorf("a client with nothing else: %v", err)
	}
}
