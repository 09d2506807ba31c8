package token

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"time"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/contract"
	"countersign.dev/internal/authz/secret"
)

// A key's life (decision 0068, requirements M-08, B-20).
const (
	// publishedBefore is how long a key is published before it signs: caches keep the key
	// set for five minutes, and a server may have its clock five minutes behind the others'
	// or not reach the database for as long.
	publishedBefore = 15 * time.Minute
	// publishedAfter is how long it stays when it signs no more: no token lives for more
	// than a day, whatever access-token-lifetime says, and clocks may differ.
	publishedAfter = 25 * time.Hour
	// openedAfter is how long its private half stays then, for a server whose clock is
	// behind the others'.
	openedAfter = 5 * time.Minute
)

// Keys are the signing keys as they are kept: made, replaced in time, withdrawn. Servers
// and the operator's command do it side by side; of several that want the same one does.
type Keys struct {
	store   contract.KeyStore
	secrets secret.Secrets
	now     func() time.Time
	every   time.Duration
}

// NewKeys returns the keys of a store. rotateEvery is after how long a key is replaced by
// itself; 0: never.
func NewKeys(store contract.KeyStore, secrets secret.Secrets, now func() time.Time, rotateEvery time.Duration) *Keys {
	return &Keys{store, secrets, now, rotateEvery}
}

// Rotate makes a new key for each algorithm. It is published now and signs a little later,
// in the place of the one that does.
//
//	ErrOtherSecret
func (k *Keys) Rotate(ctx context.Context, algorithms ...string) ([]authz.SigningKey, error) {
	return k.change(ctx, func(keys []authz.SigningKey, now time.Time) (_ []authz.SigningKey, err error) {
		for _, alg := range algorithms {
			if keys, err = k.rotated(keys, alg, now); err != nil {
				return nil, err
			}
		}
		return keys, nil
	})
}

// Retire replaces the key that signs by a new one, in the ordinary way.
//
//	ErrOtherSecret
//	ErrNotFound: no key of this id signs or will sign
func (k *Keys) Retire(ctx context.Context, id string) ([]authz.SigningKey, error) {
	return k.change(ctx, func(keys []authz.SigningKey, now time.Time) ([]authz.SigningKey, error) {
		i := slices.IndexFunc(keys, func(k authz.SigningKey) bool { return k.ID == id })
		switch {
		case i < 0 || keys[i].StateAt(now) == authz.KeyRetiring:
			return nil, contract.ErrNotFound
		case !keys[i].SignsUntil.IsZero(): // another is about to take its place
			return keys, nil
		default:
			return k.rotated(keys, keys[i].Algorithm, now)
		}
	})
}

// Withdraw takes a key out at once, for somebody else may have it: nothing it signed is
// accepted any more. The next one signs from now on, and is made if there is none; some
// caches will not have it yet.
//
//	ErrOtherSecret
//	ErrNotFound: there is no such key, or it is gone
func (k *Keys) Withdraw(ctx context.Context, id string) ([]authz.SigningKey, error) {
	return k.change(ctx, func(keys []authz.SigningKey, now time.Time) ([]authz.SigningKey, error) {
		i := slices.IndexFunc(keys, func(k authz.SigningKey) bool { return k.ID == id })
		if i < 0 {
			return nil, contract.ErrNotFound
		}
		if left := withdraw(keys, i, now); !left {
			return k.rotated(keys, keys[i].Algorithm, now)
		}
		return keys, nil
	})
}

// Tend does what is due: it makes the keys that are missing, replaces those that have
// signed for long enough, and drops private halves that are of no use any more.
//
//	ErrOtherSecret
func (k *Keys) Tend(ctx context.Context) error {
	_, err := k.change(ctx, func(keys []authz.SigningKey, now time.Time) (_ []authz.SigningKey, err error) {
		for i := range keys {
			if idle(keys[i], now) {
				keys[i].Sealed = nil
			}
		}
		for _, alg := range SigningAlgs() {
			if !k.due(keys, alg, now) {
				continue
			}
			if keys, err = k.rotated(keys, alg, now); err != nil {
				return nil, err
			}
		}
		return keys, nil
	})
	return err
}

// wants reports whether Tend has something to do.
func (k *Keys) wants(keys []authz.SigningKey, now time.Time) bool {
	return slices.ContainsFunc(keys, func(k authz.SigningKey) bool { return unnoted(k) || idle(k, now) }) ||
		slices.ContainsFunc(SigningAlgs(), func(alg string) bool { return k.due(keys, alg, now) })
}

func unnoted(k authz.SigningKey) bool { return len(k.Public) == 0 }

func idle(k authz.SigningKey, now time.Time) bool {
	return len(k.Sealed) > 0 && !k.SignsUntil.IsZero() && !now.Before(k.SignsUntil.Add(openedAfter))
}

// due reports whether an algorithm needs a new key.
func (k *Keys) due(keys []authz.SigningKey, alg string, now time.Time) bool {
	sign := turns(keys, alg, now)
	return len(sign) == 0 || (k.every > 0 && !now.Before(sign[len(sign)-1].SignsFrom.Add(k.every)))
}

func (k *Keys) publicOf(key authz.SigningKey) ([]byte, error) {
	private, err := privateHalf(key, k.secrets)
	if err != nil || private == nil {
		return nil, errors.Join(err, fmt.Errorf("key %s: it has no public half", key.ID))
	}
	return x509.MarshalPKIXPublicKey(private.Public())
}

// change changes the keys as they are, however often others do so meanwhile, and returns
// those there are then. It notes the public halves of keys from before they were kept, while
// there is the other half to know them by.
func (k *Keys) change(ctx context.Context, do func(keys []authz.SigningKey, now time.Time) ([]authz.SigningKey, error)) ([]authz.SigningKey, error) {
	for {
		now := k.now().Truncate(time.Millisecond) // as it is kept
		seen, err := k.store.SigningKeys(ctx, now)
		if err != nil {
			return nil, err
		}
		keys := slices.Clone(seen)
		for i := range keys {
			if unnoted(keys[i]) {
				if keys[i].Public, err = k.publicOf(keys[i]); err != nil {
					return nil, err
				}
			}
		}
		if keys, err = do(keys, now); err != nil {
			return nil, err
		}
		var changed []authz.SigningKey
		for i, key := range keys {
			if i >= len(seen) || !reflect.DeepEqual(key, seen[i]) {
				changed = append(changed, key)
			}
		}
		if changed == nil {
			return keys, nil
		}
		err = k.store.ChangeSigningKeys(ctx, contract.KeyChange{Seen: seen, At: now, Keys: changed})
		if !errors.Is(err, contract.ErrChanged) {
			return keys, err
		}
	}
}

// rotated adds a key of an algorithm as the last in turn. None is added with a secret that
// does not open the others: it would keep other servers from starting.
func (k *Keys) rotated(keys []authz.SigningKey, alg string, now time.Time) ([]authz.SigningKey, error) {
	for _, key := range keys {
		if _, err := privateHalf(key, k.secrets); err != nil {
			return nil, err
		}
	}
	next, err := newSigningKey(alg, k.secrets)
	if err != nil {
		return nil, err
	}
	return withNext(keys, next, now), nil
}

func withNext(keys []authz.SigningKey, next authz.SigningKey, now time.Time) []authz.SigningKey {
	next.CreatedAt, next.SignsFrom = now, now.Add(publishedBefore)
	keys = append(keys, next)
	last := len(keys) - 1
	inTurn(append(turns(keys[:last], next.Algorithm, now), &keys[last]), now)
	return keys
}

// withdraw takes a key out, and reports whether one of its algorithm is left to sign.
func withdraw(keys []authz.SigningKey, i int, now time.Time) (left bool) {
	k := &keys[i]
	k.WithdrawnAt, k.LeavesAt, k.Sealed = now, now, nil
	if k.SignsUntil.IsZero() || now.Before(k.SignsUntil) {
		k.SignsUntil = now
	}
	sign := turns(keys, k.Algorithm, now)
	inTurn(sign, now)
	return len(sign) > 0
}

// turns are the keys of an algorithm that sign now or later, in the order in which they
// begin.
func turns(keys []authz.SigningKey, alg string, now time.Time) (sign []*authz.SigningKey) {
	for i := range keys {
		state := keys[i].StateAt(now)
		if keys[i].Algorithm == alg && len(keys[i].Sealed) > 0 && (state == authz.KeyPending || state == authz.KeyActive) {
			sign = append(sign, &keys[i])
		}
	}
	slices.SortStableFunc(sign, func(a, b *authz.SigningKey) int { return a.SignsFrom.Compare(b.SignsFrom) })
	return sign
}

// inTurn has each key sign until the next one begins, and the last until there is another.
// Somebody has to sign: where none does, the first begins now. A key that began, or was to
// begin, by a clock that was ahead begins no later than the one behind it.
func inTurn(sign []*authz.SigningKey, now time.Time) {
	for i, k := range slices.Backward(sign) {
		k.SignsUntil, k.LeavesAt = time.Time{}, time.Time{}
		if i+1 < len(sign) {
			next := sign[i+1].SignsFrom
			k.SignsUntil, k.LeavesAt = next, next.Add(publishedAfter)
			if next.Before(k.SignsFrom) {
				k.SignsFrom = next
			}
		}
		if i == 0 && now.Before(k.SignsFrom) {
			k.SignsFrom = now
		}
	}
}
