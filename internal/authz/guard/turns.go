package guard

import (
	"context"
	"sync"

	"countersign.dev/internal/authz"
)

// turns lets one caller at a time act under a name, in no particular order. It
// is for what must be counted one after the other although it comes at once: of
// many parallel tries of a code each must see the failures of those before it.
type turns struct {
	mu    sync.Mutex
	taken map[string]*turn // guarded by mu
}

type turn struct {
	wanted int           // callers that have the turn or wait for it; guarded by turns.mu
	free   chan struct{} // holds a token while nobody has the turn
}

func newTurns() *turns { return &turns{taken: map[string]*turn{}} }

// take waits for the turns of all names and returns what gives them back. Callers
// name what is shared by many after what is shared by few, always in that order,
// so that no two wait for each other.
//
//	ctx's error
func (t *turns) take(ctx context.Context, names []string) (done func(), err error) {
	var held []string
	done = func() {
		for _, name := range held {
			t.leave(name, true)
		}
	}
	for _, name := range names {
		select {
		case <-t.join(name):
			held = append(held, name)
		case <-ctx.Done():
			t.leave(name, false)
			done()
			return nil, ctx.Err()
		}
	}
	return done, nil
}

func (t *turns) join(name string) <-chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	mine := t.taken[name]
	if mine == nil {
		mine = &turn{free: make(chan struct{}, 1)}
		mine.free <- struct{}{}
		t.taken[name] = mine
	}
	mine.wanted++
	return mine.free
}

func (t *turns) leave(name string, had bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	mine := t.taken[name]
	if mine.wanted--; mine.wanted == 0 {
		delete(t.taken, name)
		return
	}
	if had {
		mine.free <- struct{}{}
	}
}

// TurnToRead waits until nobody else reads lists of the owner's account, or in the
// same session or with tokens of the same grant, and returns what ends the turn: a list costs ten times what most requests do,
// the account page a hundred times, and an account that asks on many connections would
// have everybody wait (decision 0051). Sessions, and the tokens of a grant, wait for their own turn
// first, so that who has stolen one keeps no other waiting for more than one list.
//
//	ctx's error
func (s *Guard) TurnToRead(ctx context.Context, owner authz.Owner) (done func(), err error) {
	account := "lists of " + owner.AccountID
	return s.turns.take(ctx, []string{account + " in " + owner.SessionID + owner.GrantID, account})
}
