package authz

import (
	"sync"
	"time"
)

// remembered keeps answers for a while, so that the same question need not be
// worked out again. It holds at most limit answers; beyond that it forgets all,
// which costs no more than working them out once.
type remembered[K comparable, V any] struct {
	limit int

	mu      sync.Mutex
	answers map[K]answer[V] // guarded by mu
}

type answer[V any] struct {
	value        V
	since, until time.Time
}

func newRemembered[K comparable, V any](limit int) *remembered[K, V] {
	return &remembered[K, V]{limit: limit, answers: map[K]answer[V]{}}
}

// get returns an answer that holds at now. One that is still to be given holds as
// little as one that is over: somebody set the clock back.
func (r *remembered[K, V]) get(key K, now time.Time) (V, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	a := r.answers[key] // one that is not there was over long ago
	return a.value, !now.Before(a.since) && now.Before(a.until)
}

func (r *remembered[K, V]) put(key K, value V, since, until time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.answers) >= r.limit {
		r.answers = map[K]answer[V]{}
	}
	r.answers[key] = answer[V]{value, since, until}
}
