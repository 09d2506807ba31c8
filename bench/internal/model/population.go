package model

import (
	"math"
	"slices"
	"time"
)

// Population is who uses the servers, and what they are.
type Population struct {
	// Pending is how many devices wait for their owners at any moment.
	Pending float64
	// Interval is between two polls of a device; Waits says that a poll asks the
	// server to wait instead (Prefer: wait), for as long as Hold.
	Interval time.Duration
	Waits    bool
	Hold     time.Duration
	// Lifetime is that of a code. Of Abandoned no owner ever decides; the others'
	// owners need a time that is lognormal, of this median and spread.
	Lifetime  time.Duration
	Abandoned float64
	Median    time.Duration
	Spread    float64 // the standard deviation of the logarithm
	// Nodes share a database, or Shards of it. Sticky says that the polls of a code
	// come to the same node; otherwise to any.
	Nodes  int
	Shards int
	Sticky bool
	// Trust is for how long a node answers polls of a request from memory before it
	// asks the database again.
	Trust time.Duration
	// Cores are those of one node and of one database. A server hands its writes to
	// a database one group at a time, of at most Group, and Flush is how long one
	// flush to disk takes.
	NodeCores, DatabaseCores int
	Group                    int
	Flush                    time.Duration
}

// Typical are the assumptions of docs/scaling.md.
func Typical() Population {
	return Population{
		Pending: 10e6, Interval: 5 * time.Second, Hold: 30 * time.Second,
		Lifetime: 15 * time.Minute, Abandoned: 0.3, Median: 35 * time.Second, Spread: 0.9,
		Nodes: 18, Shards: 4, Sticky: true, Trust: 30 * time.Second,
		NodeCores: 8, DatabaseCores: 16, Group: 256, Flush: time.Millisecond,
	}
}

// decidedBefore is the share of deciding owners who take less than t.
func (p Population) decidedBefore(t time.Duration) float64 {
	return normal((math.Log(t.Seconds()) - math.Log(p.Median.Seconds())) / p.Spread)
}

// normal is the distribution function of the standard normal distribution.
func normal(x float64) float64 { return 0.5 * math.Erfc(-x/math.Sqrt2) }

// Decided is the share of devices whose owner decides in time.
func (p Population) Decided() float64 { return (1 - p.Abandoned) * p.decidedBefore(p.Lifetime) }

// Waiting is how long a device waits on average, in seconds: until its owner
// decides or its code expires.
func (p Population) Waiting() float64 {
	mu, life := math.Log(p.Median.Seconds()), p.Lifetime.Seconds()
	// The mean of min(T, life) for a lognormal T.
	early := math.Exp(mu+p.Spread*p.Spread/2) * normal((math.Log(life)-mu-p.Spread*p.Spread)/p.Spread)
	return (1-p.Abandoned)*(early+life*(1-p.decidedBefore(p.Lifetime))) + p.Abandoned*life
}

// Arrivals is how many devices ask each second: by Little's law those that wait,
// over how long they do.
func (p Population) Arrivals() float64 { return p.Pending / p.Waiting() }

// alive is the share of devices that still wait after t.
func (p Population) alive(t time.Duration) float64 {
	if t == 0 {
		return 1
	}
	if t >= p.Lifetime {
		return 0
	}
	return 1 - (1-p.Abandoned)*p.decidedBefore(t)
}

// Window is how many polls of a device fall into the time that a node answers from
// memory, the one that read included.
func (p Population) Window() int {
	return max(1, int(math.Ceil(p.Trust.Seconds()/p.Interval.Seconds())))
}

// reads is the share of the n-th polls of devices that read the database. A poll
// reads unless one of the k-1 polls before it read at the same node, of which no
// two can be; each came to this node with probability 1/Nodes, or surely.
func (p Population) reads(polls int) []float64 {
	same := 1 / float64(p.Nodes)
	if p.Sticky {
		same = 1
	}
	k, share := p.Window(), make([]float64, polls+1)
	for n := 1; n <= polls; n++ {
		share[n] = 1
		for before := max(1, n-k+1); before < n; before++ {
			share[n] -= same * share[before]
		}
	}
	return share
}

// Rates are how often each step is done in a second.
func (p Population) Rates() map[string]float64 {
	arrivals := p.Arrivals()
	decided := arrivals * p.Decided()
	r := map[string]float64{Code: arrivals, Open: decided, Approve: decided, TokenPoll: decided, UserInfo: decided}
	if p.Waits {
		// A device polls at once, and again whenever a poll has waited in vain. The
		// last one ends with the code.
		for n := range int(p.Lifetime / p.Hold) {
			r[WaitPoll] += arrivals * p.alive(time.Duration(n)*p.Hold)
		}
		return r
	}
	polls := int(p.Lifetime / p.Interval)
	for n, share := range p.reads(polls) {
		if n == 0 {
			continue
		}
		pending := arrivals * p.alive(time.Duration(n)*p.Interval)
		r[FirstPoll] += pending * share
		r[NextPoll] += pending * (1 - share)
	}
	r[FirstPoll] += arrivals - decided // whose last poll hears that the code has expired
	return r
}

// Connections are how many are open because a poll waits.
func (p Population) Connections() float64 {
	if p.Waits {
		return p.Pending
	}
	return 0
}

// Use is what a population takes.
type Use struct {
	Rates map[string]float64
	// ServerCores and DatabaseCores are how many are busy on average, in all.
	ServerCores, DatabaseCores float64
	// Of one node and one shard: the share of its cores that is busy.
	ServerLoad, DatabaseLoad float64
	// WAL is bytes a second in all; Writes are operations that write, a second.
	WAL, Writes float64
	// Writer is the load of a node's one writer to each shard: what it gets, of what
	// it can do when every group is full.
	Writer float64
}

// written are the statements that write, by the names that bench/cost gives them.
var written = []string{
	"store a request", "claim a request", "note who opened it", "approve: request, grant, event",
	"redeem: request, grant, refresh token", "rotate a refresh token",
}

// Writing and Reading are the database's processor time for a step, split by what
// its statements take. What belongs to no statement (commits, connections) is
// split alike.
func (l Line) Writing() time.Duration {
	all, some := 0.0, 0.0
	for _, s := range l.Statements {
		all += s.Calls * s.Each
		if slices.Contains(written, s.Name) {
			some += s.Calls * s.Each
		}
	}
	if all == 0 {
		return 0
	}
	return micros(l.DatabaseCPU * some / all)
}

// Reading is the rest.
func (l Line) Reading() time.Duration { return micros(l.DatabaseCPU) - l.Writing() }

// Claim is what the update of one row of a request takes the database: the second
// write of an approval whose request and owner are in different shards.
func (c Costs) Claim() time.Duration {
	for _, s := range c[Open].Statements {
		if s.Name == "claim a request" {
			return micros(s.Each)
		}
	}
	return 0
}

// Use is what the population takes at these costs.
func (p Population) Use(c Costs) Use {
	u := Use{Rates: p.Rates()}
	writing := 0.0 // seconds a second
	for step, rate := range u.Rates {
		l := c[step]
		u.ServerCores += rate * l.Server / 1e6
		u.DatabaseCores += rate * l.DatabaseCPU / 1e6
		u.WAL += rate * l.WAL
		if l.Writing() > 0 {
			u.Writes += rate
			writing += rate * l.Writing().Seconds()
		}
	}
	if crossing := u.Rates[Approve] * (1 - 1/float64(p.Shards)); crossing > 0 {
		u.DatabaseCores += crossing * c.Claim().Seconds()
		u.Writes += crossing
		writing += crossing * c.Claim().Seconds()
	}
	u.ServerLoad = u.ServerCores / float64(p.Nodes*p.NodeCores)
	u.DatabaseLoad = u.DatabaseCores / float64(p.Shards*p.DatabaseCores)
	writers := float64(p.Nodes * p.Shards)
	u.Writer = (writing + u.Writes*p.Flush.Seconds()/float64(p.Group)) / writers
	return u
}
