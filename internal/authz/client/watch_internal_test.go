package client

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/contract"
)

// away is a store that cannot be reached.
type away struct{ contract.Store }

func (away) Clients(context.Context) ([]authz.Client, error) { return nil, contract.ErrUnreachable }

func TestClientsThatCannotBeReadAreNotSaidToBeRemoved(t *testing.T) {
	var log bytes.Buffer
	s := &Registry{store: away{}, log: slog.New(slog.NewTextHandler(&log, nil))}
	if err := s.Watch([]authz.Client{{ID: "there"}})(t.Context()); !errors.Is(err, contract.ErrUnreachable) || log.Len() > 0 {
		t.Errorf("%v, %s", err, log.String())
	}
}

func TestTheLogSaysWhichClientsCameAndWent(t *testing.T) {
	var log bytes.Buffer
	s := &Registry{log: slog.New(slog.NewTextHandler(&log, nil))}
	before := []authz.Client{{ID: "stays", GrantTypes: []string{"a"}}, {ID: "goes"}, {ID: "changes", Scope: "openid"}}
	now := []authz.Client{{ID: "stays", GrantTypes: []string{"a"}}, {ID: "changes", Scope: "openid email"}, {ID: "comes"}, {ID: "signs", MemberKey: "02"}, {ID: "knows", Secret: authz.Hash{1}}}
	s.noteClients(t.Context(), before, now)
	for line, times := range map[string]int{
		`removed, its grants ended" client_id=goes`: 1, `removed, its grants ended" client_id=changes`: 1,
		`registered" client_id=changes`: 1, `registered" client_id=comes`: 1, "client_id=stays": 0, "client_id=": 6,
		`client_id=comes name="" scope="" confidential=false`: 1, `client_id=signs name="" scope="" confidential=true`: 1,
		`client_id=knows name="" scope="" confidential=true`: 1,
	} {
		if n := strings.Count(log.String(), line); n != times {
			t.Errorf("%q is said %d times:\n%s", line, n, log.String())
		}
	}
}
