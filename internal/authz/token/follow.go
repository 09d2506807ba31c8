package token

import (
	"context"
	"time"

	"countersign.dev/internal/authz"
)

const (
	// FollowEvery is how soon a server knows of keys that others made or withdrew.
	FollowEvery = time.Second
	// lookAgain is how often, at most, the keys are read because a token names one that is
	// not known. Anybody can name keys that there are not.
	lookAgain = 100 * time.Millisecond
)

// KeySet is the key set (RFC 7517 §5, requirement M-07): the keys that verify this server's
// tokens, and those that soon will. One that is gone has left it when the keys are read next.
func (s *Signer) KeySet() []byte { return s.ring.Load().set }

// Follow takes over what others have made of the keys, and does with them what is due.
// While that cannot be done, the keys there are sign on.
func (s *Signer) Follow(ctx context.Context) error {
	if err := s.read(ctx); err != nil || !s.keys.wants(s.ring.Load().kept, s.now()) {
		return err
	}
	if err := s.keys.Tend(ctx); err != nil {
		return err
	}
	return s.read(ctx)
}

// read reads the keys, and opens them if they are others than before.
func (s *Signer) read(ctx context.Context) error {
	s.reading.Lock()
	defer s.reading.Unlock()
	return s.readLocked(ctx)
}

func (s *Signer) readLocked(ctx context.Context) error {
	now := s.now()
	kept, err := s.keys.store.SigningKeys(ctx, now)
	s.readAt, s.readErr = s.now(), err // who waited for a database that is away does not try as well
	ring := s.ring.Load()
	if err != nil || ring.holds(kept) {
		return err
	}
	next, err := openKeys(kept, s.secrets)
	if err != nil {
		return err
	}
	s.ring.Store(next)
	s.noteKeys(ctx, ring, next, now)
	return nil
}

// noteKeys logs what has become of the keys since they were first read.
func (s *Signer) noteKeys(ctx context.Context, before, after *keyring, now time.Time) {
	if before.kept == nil {
		return
	}
	for _, k := range after.kept {
		if before.byID[k.ID] == nil {
			s.log.InfoContext(ctx, "signing key published", "key", k.ID, "algorithm", k.Algorithm, "signs_from", k.SignsFrom)
		}
	}
	for _, k := range before.kept {
		if after.byID[k.ID] == nil && k.StateAt(now) != authz.KeyGone {
			s.log.WarnContext(ctx, "signing key withdrawn: what it signed is refused", "key", k.ID, "algorithm", k.Algorithm)
		}
	}
}

// lookUp is the key that a token names. One that is not known may have been made by
// another server a moment ago; that is asked now and then only, by whoever comes next.
func (s *Signer) lookUp(ctx context.Context, ring *keyring, id string, now time.Time) (*openKey, error) {
	if key := ring.verifier(id, now); key != nil || len(id) != thumbprintLength {
		return key, nil
	}
	s.reading.Lock()
	defer s.reading.Unlock()
	now = s.now() // somebody may have read them while this one waited
	if now.Before(s.readAt) || now.Sub(s.readAt) >= lookAgain {
		_ = s.readLocked(context.WithoutCancel(ctx)) // what comes of it is for all who wait
	}
	if key := s.ring.Load().verifier(id, now); key != nil {
		return key, nil
	}
	return nil, s.readErr
}
