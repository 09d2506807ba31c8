package server_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"countersign.dev/internal/authz"
)

// apis are clients that serve something, of the configuration and of the database.
func apis(h *house) {
	h.register("configuration", "rs-1", &authz.Client{ID: "rs-1", Name: "First API", Resources: []string{"https://one.example", "https://shared.example/v1"}})
	h.register("database", "rs-2", &authz.Client{ID: "rs-2", Name: "Second API", Resources: []string{"https://two.example", "https://shared.example/v1"}})
	h.register("database", "rs-1", &authz.Client{ID: "rs-1", Resources: []string{"https://hidden.example"}}) // that of the configuration counts
}

func TestX09_X10_AResourceIsOneThatARegisteredClientServes(t *testing.T) {
	h := newHouse(t)
	apis(h)
	clients := h.service.Clients
	registered, unregistered := authz.Client{ID: "tool", Registered: true}, authz.Client{ID: "anybody"}
	many := make([]string, 9)
	for i := range many {
		many[i] = fmt.Sprintf("https://one.example?%d", i)
	}
	for _, c := range []struct {
		client    authz.Client
		asked     []string
		resources []string // nil: refused
	}{
		{registered, []string{"https://one.example"}, []string{"https://one.example"}},
		{registered, []string{"HTTPS://TWO.example:443/", "https://one.example", "https://two.example"}, []string{"https://two.example", "https://one.example"}},
		{registered, []string{"https://shared.example/v1/"}, []string{"https://shared.example/v1"}},
		{registered, []string{testIssuer + "/"}, []string{testIssuer}},
		{unregistered, []string{testIssuer}, []string{testIssuer}},
		{unregistered, []string{"https://one.example"}, nil},
		{registered, []string{"https://one.example", "https://three.example"}, nil},
		{registered, []string{"https://hidden.example"}, nil},
		{registered, []string{"https://shared.example"}, nil},
		{registered, []string{"one.example"}, nil},
		{registered, []string{"https://one.example#x"}, nil},
		{registered, many, nil},
	} {
		got, err := clients.Resources(t.Context(), c.client, c.asked)
		if !slices.Equal(got, c.resources) || (c.resources == nil) != errors.Is(err, authz.InvalidTarget) {
			t.Errorf("%s asks for %.80q: %q %v", c.client.ID, c.asked, got, err)
		}
	}
	if got, err := clients.Resources(t.Context(), unregistered, nil); got != nil || err != nil {
		t.Errorf("none: %q %v", got, err)
	}
	serving, err := clients.Serving(t.Context(), []string{"https://one.example", "https://two.example", "https://shared.example/v1", "https://three.example"})
	if err != nil || len(serving) != 3 || serving["https://one.example"].Name != "First API" || serving["https://two.example"].Name != "Second API" ||
		serving["https://shared.example/v1"].ID != "rs-1" {
		t.Errorf("%+v %v", serving, err)
	}
}
