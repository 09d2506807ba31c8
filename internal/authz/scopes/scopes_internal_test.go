package scopes

import (
	"errors"
	"strings"
	"testing"

	"countersign.dev/internal/authz"
)

func TestWithoutAScopeOfItsOwnAClientMayHaveWhatItsGrantsMean(t *testing.T) {
	for want, c := range map[string]authz.Client{
		"openid profile":                {Registered: true, GrantTypes: []string{authz.GrantDevice}},
		"openid profile offline_access": {Registered: true, GrantTypes: []string{authz.GrantDevice, authz.GrantRefresh}},
		"openid admin":                  {Registered: true, GrantTypes: []string{authz.GrantDevice}, Scope: "openid admin"},
	} {
		if got := MayHave(c, "openid profile offline_access admin", false); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestAScopeIsAsLongAsItMayBe(t *testing.T) {
	longest := strings.TrimSpace(strings.Repeat("openid ", maxScope/7)) + strings.Repeat(" ", maxScope%7+1)
	if len(longest) != maxScope {
		t.Fatalf("%d bytes", len(longest))
	}
	if got, err := Requested(authz.Client{}, longest); got != "openid" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	if got, err := Requested(authz.Client{}, longest+" "); err == nil {
		t.Errorf("%q", got)
	}
	if got, err := Requested(authz.Client{Registered: true}, ""); got != defaultScope || err != nil {
		t.Errorf("who is registered without a scope and asks for none gets %q, %v", got, err)
	}
}

func TestWhatIsTickedIsGrantedAndWhatCannotBeUnticked(t *testing.T) {
	for _, c := range []struct{ requested, chosen, want string }{
		{"openid profile email", "profile", "openid profile"},
		{"openid profile email", "email openid", "openid email"},
		{"openid profile", "", "openid"},
		{"profile email", "email", "email"},
	} {
		if got, err := Chosen(c.requested, c.chosen); got != c.want || err != nil {
			t.Errorf("%q of %q: %q, %v", c.chosen, c.requested, got, err)
		}
	}
	if _, err := Chosen("profile", " "); err == nil || !strings.Contains(err.Error(), "nothing is left") {
		t.Errorf("nothing of profile: %v", err)
	}
	if _, err := Chosen("openid", "openid profile"); err == nil || !strings.Contains(err.Error(), "more was chosen") {
		t.Errorf("more: %v", err)
	}
}

func TestK04_AScopeMayBeBarredFromTheDeviceGrant(t *testing.T) {
	notByDevice["spend"] = true
	t.Cleanup(func() { delete(notByDevice, "spend") })
	c := authz.Client{ID: "a", Registered: true, Scope: "openid spend"}
	for _, asked := range []string{"spend", "openid spend"} {
		if _, err := Requested(c, asked); !errors.Is(err, authz.InvalidScope) {
			t.Errorf("%q: %v", asked, err)
		}
	}
	if got, err := Requested(c, ""); got != "openid" || err != nil {
		t.Errorf("nothing asked gives %q, %v", got, err)
	}
	if _, err := Requested(authz.Client{ID: "a", Registered: true, Scope: "spend"}, ""); !errors.Is(err, authz.InvalidScope) {
		t.Errorf("a client with nothing else: %v", err)
	}
}

func TestAServiceThatMayHaveNoScopeIsToldSo(t *testing.T) {
	_, err := RequestedForItself(authz.Client{Registered: true, GrantTypes: []string{authz.GrantCredentials}}, "openid")
	if !errors.Is(err, authz.InvalidScope) || !strings.HasSuffix(err.Error(), "may ask for: none, until its operator registers some") {
		t.Errorf("%v", err)
	}
}
