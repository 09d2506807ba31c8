package authz

import (
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// How often networks may do what costs a row or work: each is what one IPv4 address or
// IPv6 /64 may do; a /24 or /48 may four times that, and twice a minute's worth may come
// at once (docs/security/bounds.md).
const (
	// signInsPerMinute is of one account: a session lasts a week, so only a program that
	// keeps none comes often.
	signInsPerMinute = 60
	// actsPerMinute is of what one account changes, or signs by which a row is stored: a
	// machine that approves a rack of devices, two requests each.
	actsPerMinute = 240
	// networkActsPerMinute is of all accounts together: a classroom of a hundred that
	// opens and approves at once, each with a handful of requests.
	networkActsPerMinute = 1200
	// stopsPerMinute is of one session, or of one key: somebody who denies, takes back and
	// ends as fast as they can press.
	stopsPerMinute = 60
)

// guard bounds how much anybody may try, start and bring. Its methods may be called
// concurrently.
type guard struct {
	store    Store
	settings Settings
	now      func() time.Time
	log      *slog.Logger
	local    bool // no proxy stands before this server

	pending pendingCount
	drawn   codesDrawn
	shunned shunned
	turns   *turns
	owed    owed
	// creation bounds what a network starts, stops, acts and signIns what is done with one
	// account there, networkActs what is done with all of them.
	creation, stops, acts, signIns, networkActs *allowance

	spentIn  atomic.Int64 // the window, in Unix seconds, whose spent budget is in the log
	sharedIn atomic.Int64 // the same of a network's share of it
}

func newGuard(store Store, settings Settings, now func() time.Time, log *slog.Logger) *guard {
	s := &guard{
		store: store, settings: settings, now: now, log: log, local: settings.Local(),
		turns:       newTurns(),
		creation:    newAllowance(settings.DeviceRequestsPerNetwork),
		stops:       newAllowance(stopsPerMinute),
		acts:        newAllowance(actsPerMinute),
		signIns:     newAllowance(signInsPerMinute),
		networkActs: newAllowance(networkActsPerMinute),
	}
	// What was drawn before this start is not known: codes of any length may live.
	for length := range codeLengths {
		s.drawn.drew(length, now().Add(settings.DeviceCodeLifetime))
	}
	return s
}

// AdmitDeviceRequest is asked before anything else is done for a device request:
// before its client is looked up and its signature checked (requirement K-05, attack
// B-10). It asks no database.
//
//	Unavailable: too many come from this network, or too many of them were reported
func (s *guard) AdmitDeviceRequest(from Source, says DeviceSays) error {
	if !from.own() {
		return nil
	}
	if s.shunned.has(startedIn(CoarseNetwork(from.Address), says)) {
		return refuse(Unavailable, "what devices in this network asked for was reported by several people today: ask the operator, or try again tomorrow")
	}
	if !s.creation.allow(from, s.now()) {
		return refuse(Unavailable, "too many device requests come from this network: try again in a minute")
	}
	return nil
}

// Deed is what an owner's request does. Each has an allowance of its own, so that what
// stops something is never refused for what was done before.
type Deed int

// The deeds told apart.
const (
	Reads   Deed = iota // stores nothing, where it is not signed
	Changes             // stores something
	Stops               // denies, takes back, ends or takes out
)

// Admit takes a deed out of its owner's allowance in a network. Whoever proves nothing
// stores nothing, and is not asked: the neighbours behind one address could stop each
// other there with requests that anybody can send (decision 0049).
//
//	Unavailable: too much of it comes from this network
func (s *guard) Admit(owner Owner, from Source, deed Deed) error {
	now := s.now()
	switch deed {
	case Reads:
		return nil
	case Stops:
		// A thief's session or token spends nothing of what the owner's next one has, or their key.
		if !s.stops.allowIn(owner.SessionID+owner.GrantID+owner.BAPID, from, now) {
			return errTooMuch
		}
		return nil
	default:
		if !s.acts.allowIn(owner.AccountID, from, now) {
			return errTooMuch
		}
		if !s.networkActs.allow(from, now) {
			return refuse(Unavailable, "too much is done from this network: try again in a minute")
		}
		return nil
	}
}

// admitSignIn takes a sign-in out of its account's allowance in a network, when all that
// proves the account has been verified.
//
//	Unavailable
func (s *guard) admitSignIn(accountID string, from Source) error {
	if !s.signIns.allowIn(accountID, from, s.now()) {
		return errTooMuch
	}
	return nil
}

var errTooMuch = refuse(Unavailable, "too much is done with this account from this network: try again in a minute")

const (
	// creationBurst is how many minutes' worth may come at once: a classroom or a
	// build farm that starts together, not a flood.
	creationBurst = 2
	creationHolds = creationBurst * time.Minute
	// creationWide is how much more a /24 or /48 may start than one address of it.
	creationWide = 4
	// creationRemembered bounds how many of them each allowance remembers, to some
	// megabytes; who did something longest ago is forgotten first.
	creationRemembered = 1 << 16
)

// allowance bounds how often something is done by a network, or by whatever else a
// name stands for; in memory and per node: losing it costs a minute's worth. It keeps
// one time for each, the one at which its allowance is whole again (a leaky bucket
// written as GCRA).
type allowance struct {
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
func allowedIn(f Source, name string) (narrow, wide allowed) {
	n, w := f.blocks()
	return allowed{name, n, f.Page}, allowed{name, w, f.Page}
}

func newAllowance(perMinute int) *allowance {
	whole, _ := simplelru.NewLRU[allowed, int64](creationRemembered, nil) // which fails for a size below one
	l := &allowance{whole: whole}
	if perMinute > 0 {
		l.every = time.Minute / time.Duration(perMinute)
	}
	return l
}

// allow takes one out of the allowance of both blocks of a source, or reports that
// one of them has none left and takes nothing. Where nobody knows whose the address
// is, nothing is counted.
func (l *allowance) allow(from Source, now time.Time) bool { return l.allowIn("", from, now) }

// allowIn is allow for a name in those blocks.
func (l *allowance) allowIn(name string, from Source, now time.Time) bool {
	if !from.own() {
		return true
	}
	narrow, wide := allowedIn(from, name)
	return l.take(now, []allowed{narrow, wide})
}

// left reports whether allowIn would allow one, and takes nothing. Of what is not
// counted nothing was taken.
func (l *allowance) left(name string, from Source, now time.Time) bool {
	narrow, wide := allowedIn(from, name)
	l.mu.Lock()
	defer l.mu.Unlock()
	const holds = int64(creationBurst * time.Minute)
	return l.wholeAt(narrow, now.UnixNano())-now.UnixNano()+int64(l.every) <= holds &&
		l.wholeAt(wide, now.UnixNano())-now.UnixNano()+int64(l.every/creationWide) <= holds
}

// allowOne is allow for a name wherever it is.
func (l *allowance) allowOne(name string, now time.Time) bool {
	return l.take(now, []allowed{{name: name}})
}

// take takes one for each; the second has creationWide times what the first has.
func (l *allowance) take(now time.Time, whose []allowed) bool {
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
		has = has && after[i]-now.UnixNano() <= int64(creationHolds)
		every /= creationWide
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
func (l *allowance) wholeAt(w allowed, now int64) int64 {
	at, _ := l.whole.Peek(w) // zero: long ago
	if at-now > int64(creationHolds+readingsApart) {
		return now
	}
	return max(at, now)
}

// Enter counts one more pending request of a client.
//
//	Unavailable: there is no room for it
func (s *guard) Enter(c Client) error { return s.pending.enter(c, s.settings.PendingLimit) }

// Leave counts one pending request of a client less.
func (s *guard) Leave(clientID string) { s.pending.leave(clientID) }

// Pending is about how many requests are pending.
func (s *guard) Pending() int { return s.pending.all() }

// SetPending sets the count of pending requests right: in all, and by registered client.
func (s *guard) SetPending(total int, of map[string]int) { s.pending.set(total, of) }

// Drew notes that a code of a length, by its index, lives until a time.
func (s *guard) Drew(length int, until time.Time) { s.drawn.drew(length, until) }

// pendingCount approximates the number of pending requests, in all and by
// client: raised and lowered by what happens here, set right by each sweep.
type pendingCount struct {
	mu           sync.Mutex
	total        int            // guarded by mu
	unregistered int            // of clients that nobody registered; guarded by mu
	of           map[string]int // by registered client; guarded by mu
}

// Shares of PendingLimit (attack B-10): what strangers or one application do
// must leave room for everybody else.
const (
	unregisteredShare = 10 // a tenth, for all of them together
	clientShare       = 2  // half
)

// enter counts one more request of a client.
//
//	Unavailable: there is no room for it
func (p *pendingCount) enter(c Client, limit int) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.total >= limit:
		return refuse(Unavailable, "too many device requests are pending here: try again in a minute")
	case !c.Registered && p.unregistered >= max(1, limit/unregisteredShare):
		return refuse(Unavailable, "too many device requests of unregistered clients are pending here: try again in a minute, or have the client registered")
	case c.Registered && p.of[c.ID] >= max(1, limit/clientShare):
		return refuse(Unavailable, "too many device requests of this client are pending here: try again in a minute")
	}
	p.add(c.ID, c.Registered, 1)
	return nil
}

// leave counts one request less.
func (p *pendingCount) leave(clientID string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.add(clientID, p.of[clientID] > 0, -1)
}

func (p *pendingCount) add(clientID string, registered bool, n int) {
	p.total = max(0, p.total+n)
	if !registered {
		p.unregistered = max(0, p.unregistered+n)
		return
	}
	if p.of[clientID] += n; p.of[clientID] <= 0 {
		delete(p.of, clientID)
	}
}

func (p *pendingCount) all() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.total
}

// set replaces the count by what the store has.
func (p *pendingCount) set(total int, of map[string]int) {
	unregistered := total
	for _, n := range of {
		unregistered -= n
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.total, p.unregistered, p.of = total, unregistered, of
}

// codesDrawn remembers until when codes of each length may be live, because the
// site's budget of wrong codes depends on the shortest.
type codesDrawn struct {
	until [len(codeLengths)]atomic.Int64 // Unix milliseconds
}

// drew notes a code of a length that lives until a time.
func (d *codesDrawn) drew(length int, until time.Time) { d.until[length].Store(until.UnixMilli()) }

// shortest is the index of the shortest length that a code pending now may have.
func (d *codesDrawn) shortest(now time.Time) int {
	for i := range d.until {
		if d.until[i].Load() > now.UnixMilli() {
			return i
		}
	}
	return len(d.until) - 1
}

// siteBudget is how many failures all askers together may have in the window.
func (s *guard) siteBudget(now time.Time) int {
	pending := s.pending.all()
	return siteGuesses(pending, min(s.drawn.shortest(now), lengthFor(pending)))
}

// NetworkOf is the coarse network of a source, fit to be kept and shown, or empty
// where its address says nothing: on a public server a loopback or private
// address that no listed proxy told is that of a proxy.
func (s *guard) NetworkOf(f Source) string {
	addr := f.Address.Unmap()
	if !s.local && !f.Forwarded && (addr.IsLoopback() || addr.IsPrivate()) {
		return ""
	}
	return CoarseNetwork(addr)
}
