package guard

import (
	"net/netip"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"countersign.dev/internal/authz"
)

const (
	// burst is how many minutes' worth of something may come at once: a classroom or a
	// build farm that starts together, not a flood.
	burst = 2
	holds = burst * time.Minute
	// wideFactor is how much more a /24 or /48 may do than one address of it.
	wideFactor = 4
	// remembered bounds how many names and blocks each allowance remembers, to some
	// megabytes; who did something longest ago is forgotten first.
	remembered = 1 << 15
)

// Allowance bounds how often something is done by a network, or by whatever else a
// name stands for; in memory and per node: losing it costs a minute's worth. It keeps
// one time for each, the one at which its allowance is whole again (a leaky bucket
// written as GCRA).
type Allowance struct {
	every time.Duration // one for a narrow block; 0: no limit

	mu    sync.Mutex
	whole *simplelru.LRU[allowed, int64] // when each is whole again, in Unix nanoseconds; guarded by mu
}

// allowed is whose allowance it is: a name, a block, or a name in a block. Pages of
// other sites have one for themselves: what they make their visitors send spends
// nothing of what the visitors' own programs have.
type allowed struct {
	name  string
	block netip.Prefix
	page  bool
}

// allowedIn are whose allowances a source has under a name.
func allowedIn(f authz.Source, name string) (narrow, wide allowed) {
	n, w := f.Blocks()
	return allowed{name, n, f.Page}, allowed{name, w, f.Page}
}

// NewAllowance makes an allowance of so many a minute; 0: any number.
func NewAllowance(perMinute int) *Allowance {
	whole, _ := simplelru.NewLRU[allowed, int64](remembered, nil) // which fails for a size below one
	l := &Allowance{whole: whole}
	if perMinute > 0 {
		l.every = time.Minute / time.Duration(perMinute)
	}
	return l
}

// Allow takes one out of the allowance of both blocks of a source, or reports that
// one of them has none left and takes nothing. Where nobody knows whose the address
// is, nothing is counted.
func (l *Allowance) Allow(from authz.Source, now time.Time) bool { return l.AllowIn("", from, now) }

// AllowIn is Allow for a name in those blocks.
func (l *Allowance) AllowIn(name string, from authz.Source, now time.Time) bool {
	if !from.Own() {
		return true
	}
	narrow, wide := allowedIn(from, name)
	return l.take(now, []allowed{narrow, wide})
}

// Left reports whether AllowIn would allow one, and takes nothing. Of what is not
// counted nothing was taken.
func (l *Allowance) Left(name string, from authz.Source, now time.Time) bool {
	narrow, wide := allowedIn(from, name)
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.wholeAt(narrow, now.UnixNano())-now.UnixNano()+int64(l.every) <= int64(holds) &&
		l.wholeAt(wide, now.UnixNano())-now.UnixNano()+int64(l.every/wideFactor) <= int64(holds)
}

// AllowName is Allow for a name wherever it is.
func (l *Allowance) AllowName(name string, now time.Time) bool {
	return l.take(now, []allowed{{name: name}})
}

// take takes one for each; the second has wideFactor times what the first has.
func (l *Allowance) take(now time.Time, whose []allowed) bool {
	if l.every == 0 {
		return true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	has, every := true, int64(l.every)
	before, after := make([]int64, len(whose)), make([]int64, len(whose))
	for i, w := range whose {
		before[i] = l.wholeAt(w, now.UnixNano())
		after[i] = before[i] + every
		has = has && after[i]-now.UnixNano() <= int64(holds)
		every /= wideFactor
	}
	for i, w := range whose {
		if !has {
			l.whole.Add(w, before[i])
			continue
		}
		l.whole.Add(w, after[i])
	}
	return has
}

// wholeAt is when an allowance is whole again. A time that is farther away than any
// that was given is from before the clock was set back.
func (l *Allowance) wholeAt(w allowed, now int64) int64 {
	at, _ := l.whole.Peek(w) // zero: long ago
	if at-now > int64(holds+ReadingsApart) {
		return now
	}
	return max(at, now)
}

// ReadingsApart is how far the times of two requests that come together may be from
// their order. What was noted for later than that is from before somebody set the
// clock back, and counts for nothing (decision 0031).
const ReadingsApart = time.Second
