package authz

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"
)

func TestTenLinesAMinuteAreSaidAndTheRestIsCounted(t *testing.T) {
	var l sparing
	now := time.Unix(1_800_000_000, 0)
	say := func(n int) (said, leftOut int) {
		for range n {
			if before, ok := l.say(now); ok {
				said, leftOut = said+1, leftOut+before
			}
		}
		return said, leftOut
	}
	for i, step := range []struct {
		later         time.Duration
		n             int
		said, leftOut int
	}{{0, 12, 10, 0}, {sparinglyEach - 1, 1, 0, 0}, {1, 11, 10, 3}, {-time.Second, 1, 1, 1}, {time.Hour, 1, 1, 0}} {
		now = now.Add(step.later)
		if said, leftOut := say(step.n); said != step.said || leftOut != step.leftOut {
			t.Errorf("step %d: %d said, %d left out before", i, said, leftOut)
		}
	}
}

// away is a store that cannot be reached.
type away struct{ Store }

func (away) Clients(context.Context) ([]Client, error) { return nil, ErrUnreachable }

func TestClientsThatCannotBeReadAreNotSaidToBeRemoved(t *testing.T) {
	var log bytes.Buffer
	s := &registry{store: away{}, log: slog.New(slog.NewTextHandler(&log, nil))}
	if err := s.watchClients([]Client{{ID: "there"}})(t.Context()); !errors.Is(err, ErrUnreachable) || log.Len() > 0 {
		t.Errorf("%v, %s", err, log.String())
	}
}

func TestTheLogSaysWhichClientsCameAndWent(t *testing.T) {
	var log bytes.Buffer
	s := &registry{log: slog.New(slog.NewTextHandler(&log, nil))}
	before := []Client{{ID: "stays", GrantTypes: []string{"a"}}, {ID: "goes"}, {ID: "changes", Scope: "openid"}}
	now := []Client{{ID: "stays", GrantTypes: []string{"a"}}, {ID: "changes", Scope: "openid email"}, {ID: "comes"}, {ID: "signs", MemberKey: "02"}, {ID: "knows", Secret: Hash{1}}}
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
