package main

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"countersign.dev/bench/internal/model"
)

// What is simulated: devices that ask for a code at random times (Poisson), poll
// every interval with a jitter of 2 %, and stop with a token or when the code has
// expired; one in a hundred polls too soon once, is told to slow down, and does.
// Owners look and then approve after a lognormal time, or never. Each request takes
// its measured time of one of its node's cores, then of one of its shard's, in the
// order of arrival. What writes.waits for the node's writer to that shard, which
// takes at most a group at a time into one transaction. Of a request and its owner
// in different shards both are written, the grant first (docs/scaling.md).
//
// What is left out: the network, garbage collection, the disk but for the time of
// a flush, and whatever makes a measured time vary. Denials cost what approvals
// do, and are counted among them.

// steps as small numbers.
const (
	code uint8 = iota
	firstPoll
	nextPoll
	waitPoll
	open
	approve
	tokenPoll
	userInfo
	stepKinds
)

var names = [stepKinds]string{model.Code, model.FirstPoll, model.NextPoll, model.WaitPoll, model.Open, model.Approve, model.TokenPoll, model.UserInfo}

// stages of a task: where it arrives next.
const (
	toDatabase uint8 = iota
	toRead           // it is at the database
	toWrite          // its reading is done
	toCross          // its first write is done, the other shard's is next
	toEnd
	groupEnd // of a writer
)

// states of a device.
const (
	unused uint8 = iota
	asking
	pending
	approving // the owner's requests are on their way
	approved
	redeeming
	redeemed
	expired
	stateKinds
)

// remembered is how many polls of a device are looked back on.
const remembered = 8

type device struct {
	born, decides uint32 // µs; decides 0: never
	state         uint8
	node          uint8
	shard, owner  uint8 // of the request, and of the owner's account
	slow          uint8 // seconds added to its interval
	hasty         uint8
	holding       bool // a poll of it waits at its node
	// readers are the nodes (plus one) at which its last polls read the database; 0
	// is a poll that was answered from memory.
	readers [remembered]uint8
}

// Whether a device polls too soon, once.
const (
	never uint8 = iota
	willBe
	isNow
)

// times of a step, ns.
type times struct{ server, reading, writing int64 }

type sim struct {
	p       model.Population
	cost    [stepKinds]times
	claim   int64
	rand    *rand.Rand
	begins  int64 // when the simulation begins, µs
	now     int64 // µs
	devices []device
	free    []uint32 // devices that are done
	polls   *wheel
	decides *wheel
	arrival float64 // of the next device, µs
	stopped bool    // no more arrive
	tasks   heap
	nodes   []cores
	dead    []bool
	shards  []cores
	away    []int64 // until when a shard is away
	writers [][]writer
	slot    []uint64 // of the slot at hand: offset, kind, device
	events  int64
	done    [stepKinds]int64
	took    [stepKinds]histogram
	failed  int64
	holding int64
	window  int
	sum     [stateKinds]int64 // of devices that were ever
	begun   int64
}

func us(d time.Duration) int64 { return d.Microseconds() }

func newSim(p model.Population, c model.Costs, seed uint64) *sim {
	s := &sim{p: p, rand: rand.New(rand.NewPCG(seed, 0)), claim: c.Claim().Nanoseconds(), begins: us(p.Lifetime), now: us(p.Lifetime), window: p.Window()}
	for step, name := range names {
		l := c[name]
		s.cost[step] = times{int64(l.Server * 1000), l.Reading().Nanoseconds(), l.Writing().Nanoseconds()}
	}
	for range p.Nodes {
		s.nodes = append(s.nodes, newCores(p.NodeCores))
		s.writers = append(s.writers, make([]writer, p.Shards))
	}
	for range p.Shards {
		s.shards = append(s.shards, newCores(p.DatabaseCores))
	}
	s.dead, s.away = make([]bool, p.Nodes), make([]int64, p.Shards)
	s.polls = newWheel(us(max(p.Hold, p.Interval+time.Minute) + time.Second))
	s.decides = newWheel(us(p.Lifetime + time.Second))
	s.populate()
	return s
}

// populate makes the devices that came in the lifetime before the beginning and
// still wait.
func (s *sim) populate() {
	room := int(s.p.Pending*1.1) + 1000
	s.devices = make([]device, 0, room)
	for _, w := range []*wheel{s.polls, s.decides} {
		w.links = make([]link, 0, room)
	}
	gap := 1e6 / s.p.Arrivals()
	for born := s.rand.ExpFloat64() * gap; born < float64(s.now); born += s.rand.ExpFloat64() * gap {
		decides := s.decision(int64(born))
		if decides != 0 && decides <= s.now {
			continue
		}
		d := s.newDevice(int64(born), decides)
		s.devices[d].state = pending
		// Its node read its request some polls ago, or will.
		if polled, ago := (s.now-int64(born))/us(s.p.Interval), s.rand.IntN(s.window); ago > 0 && polled > 0 {
			s.devices[d].readers[min(ago, int(polled))-1] = s.devices[d].node + 1
		}
		s.schedule(d)
	}
	s.arrival = float64(s.now) + s.rand.ExpFloat64()*gap
}

// decision draws when the owner of a device decides; 0 is never, or too late.
func (s *sim) decision(born int64) int64 {
	if s.rand.Float64() < s.p.Abandoned {
		return 0
	}
	after := us(time.Duration(float64(s.p.Median) * math.Exp(s.p.Spread*s.rand.NormFloat64())))
	if after >= us(s.p.Lifetime) {
		return 0
	}
	return born + after
}

func (s *sim) newDevice(born, decides int64) uint32 {
	var d uint32
	if last := len(s.free) - 1; last >= 0 {
		d, s.free = s.free[last], s.free[:last]
	} else {
		d = uint32(len(s.devices))
		s.devices = append(s.devices, device{})
		s.polls.links, s.decides.links = append(s.polls.links, link{}), append(s.decides.links, link{})
	}
	hasty := never
	if s.rand.Float64() < 0.01 {
		hasty = willBe
	}
	s.devices[d] = device{
		born: uint32(born), decides: uint32(decides), node: s.anyNode(), hasty: hasty,
		shard: uint8(s.rand.IntN(s.p.Shards)), owner: uint8(s.rand.IntN(s.p.Shards)),
	}
	s.begun++
	return d
}

// schedule puts a pending device into the wheels: its first poll, which a device
// that came before the beginning does anywhere in its interval, and its owner's
// decision.
func (s *sim) schedule(d uint32) {
	born := int64(s.devices[d].born)
	switch every := us(s.p.Interval); {
	case s.p.Waits && born < s.begins:
		s.polls.add(d, s.now+1+int64(s.rand.Float64()*float64(us(s.p.Hold))))
	case s.p.Waits:
		s.polls.add(d, s.now+1)
	case born < s.begins:
		s.polls.add(d, s.now+1+int64(s.rand.Float64()*float64(every)))
	default:
		s.polls.add(d, s.now+every)
	}
	if s.devices[d].decides != 0 {
		s.decides.add(d, max(s.now+1, int64(s.devices[d].decides)))
	}
}

func (s *sim) anyNode() uint8 {
	for {
		if n := s.rand.IntN(s.p.Nodes); !s.dead[n] {
			return uint8(n)
		}
	}
}

// The kinds of what happens in a slot.
const (
	aPoll uint64 = iota
	aDecision
	anArrival
)

// run simulates so much time, slot by slot.
func (s *sim) run(d time.Duration) {
	gap := 1e6 / s.p.Arrivals()
	end := (s.now + us(d)) / slotWidth * slotWidth
	for begin := s.now / slotWidth * slotWidth; begin < end; begin += slotWidth {
		s.slot = s.slot[:0]
		s.polls.take(begin, func(d uint32, at int64) { s.enter(at-begin, aPoll, d) })
		s.decides.take(begin, func(d uint32, at int64) { s.enter(at-begin, aDecision, d) })
		for !s.stopped && s.arrival < float64(begin+slotWidth) {
			s.enter(max(0, int64(s.arrival)-begin), anArrival, 0)
			s.arrival += s.rand.ExpFloat64() * gap
		}
		slices.Sort(s.slot)
		for _, e := range s.slot {
			at := begin + int64(e>>40)
			s.catchUp(at)
			s.now = max(s.now, at)
			s.events++
			switch d := uint32(e); e >> 32 & 3 {
			case aPoll:
				s.poll(d)
			case aDecision:
				s.decide(d)
			case anArrival:
				s.arrive()
			}
		}
		s.catchUp(begin + slotWidth)
		s.now = max(s.now, begin+slotWidth)
	}
}

func (s *sim) enter(offset int64, kind uint64, d uint32) {
	s.slot = append(s.slot, uint64(offset)<<40|kind<<32|uint64(d))
}

// catchUp lets the tasks go on until a time.
func (s *sim) catchUp(until int64) {
	for len(s.tasks) > 0 && s.tasks[0].at <= until {
		t := s.tasks.pop()
		s.now = max(s.now, t.at)
		s.events++
		s.advance(t)
	}
}

// check says whether every device is in exactly one state.
func (s *sim) check() error {
	var now [stateKinds]int64
	for _, d := range s.devices {
		now[d.state]++
	}
	// Some have ended, but are asked for in the wheel once more.
	living := now[asking] + now[pending] + now[approving] + now[approved] + now[redeeming] + now[redeemed] + now[expired]
	if ended := s.sum[redeemed] + s.sum[expired]; living+ended != s.begun {
		return fmt.Errorf("of %d devices %d live and %d have ended", s.begun, living, ended)
	}
	return nil
}
