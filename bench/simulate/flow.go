package main

import "slices"

// begin sends a request to a node: its work there, and then the database, or the
// end for what is answered from memory.
func (s *sim) begin(step uint8, d uint32, node uint8) {
	if s.dead[node] {
		node = s.anyNode()
	}
	t := task{began: s.now, device: d, step: step, node: node, shard: s.devices[d].shard, stage: toDatabase}
	if step == userInfo || step == approve {
		t.shard = s.devices[d].owner
	}
	t.at = s.nodes[node].do(s.now, s.cost[step].server)
	if step == nextPoll {
		s.finish(t) // nothing is left to queue for, so it is known when it will be done
		return
	}
	s.tasks.push(t)
}

// patience is how long a node tries a database that is away (internal/storage/postgres).
const patience = 3e6

// advance takes a task to where it goes next.
func (s *sim) advance(t task) {
	switch t.stage {
	case groupEnd:
		s.endGroup(t)
	case toDatabase, toCross:
		if s.dead[t.node] {
			s.refuse(t)
			return
		}
		if s.now < s.away[t.shard] {
			s.tryLater(t)
			return
		}
		if t.stage == toCross {
			s.write(t)
			return
		}
		t.at, t.stage = s.shards[t.shard].do(s.now, s.cost[t.step].reading), toWrite
		if s.cost[t.step].writing == 0 {
			t.stage = toEnd
		}
		s.tasks.push(t)
	case toWrite:
		s.write(t)
	case toEnd:
		s.finish(t)
	}
}

// tryLater tries a database again until patience ends.
func (s *sim) tryLater(t task) {
	if t.tries == 0 {
		t.tries = s.now
	}
	if s.now-t.tries > patience {
		s.refuse(t)
		return
	}
	t.at = s.now + 50_000 + s.rand.Int64N(200_000)
	s.tasks.push(t)
}

// write puts a task in the line of its node's writer to the shard.
func (s *sim) write(t task) {
	w := &s.writers[t.node][t.shard]
	w.waiting = append(w.waiting, t)
	if len(w.group) == 0 {
		s.beginGroup(t.node, t.shard)
	}
}

func (s *sim) beginGroup(node, shard uint8) {
	w := &s.writers[node][shard]
	n := min(len(w.waiting), s.p.Group)
	w.group = append(w.group[:0], w.waiting[:n]...)
	w.waiting = w.waiting[:copy(w.waiting, w.waiting[n:])]
	var work int64
	for _, t := range w.group {
		if t.stage == toCross {
			work += s.claim
		} else {
			work += s.cost[t.step].writing
		}
	}
	at := s.shards[shard].do(max(s.now, s.away[shard]), work) + s.p.Flush.Microseconds()
	s.tasks.push(task{at: at, stage: groupEnd, node: node, shard: shard})
}

// endGroup answers a group that is on disk, and begins the next.
func (s *sim) endGroup(g task) {
	w := &s.writers[g.node][g.shard]
	group := w.group
	for _, t := range group {
		if t.step == approve && t.stage == toWrite && s.devices[t.device].shard != t.shard {
			t.stage, t.shard, t.at = toCross, s.devices[t.device].shard, s.now
			s.tasks.push(t)
			continue
		}
		t.at = s.now
		s.finish(t)
	}
	w.group = w.group[:0]
	if len(w.waiting) > 0 {
		s.beginGroup(g.node, g.shard)
	}
}

// finish is the answer to a request, at t.at.
func (s *sim) finish(t task) {
	if s.dead[t.node] {
		s.refuse(t)
		return
	}
	s.done[t.step]++
	s.took[t.step].add(t.at - t.began)
	d := &s.devices[t.device]
	switch t.step {
	case code:
		d.state = pending
		s.schedule(t.device)
	case firstPoll, nextPoll, waitPoll:
		if d.state == expired {
			s.end(t.device)
			return
		}
		s.polled(t)
	case open:
		s.begin(approve, t.device, s.anyNode())
	case approve:
		d.state = approved
		if d.holding {
			s.wake(t.device)
		}
	case tokenPoll:
		s.begin(userInfo, t.device, s.anyNode())
	case userInfo:
		d.state = redeemed
		if !d.holding {
			s.end(t.device)
		}
	}
}

// end frees a device that has its token or knows that its code expired.
func (s *sim) end(d uint32) {
	s.sum[s.devices[d].state]++
	s.devices[d].state = unused
	s.free = append(s.free, d)
}

// polled plans the next poll of a device whose poll was answered pending.
func (s *sim) polled(t task) {
	d := &s.devices[t.device]
	if t.step == waitPoll {
		d.holding = true
		s.holding++
		s.polls.add(t.device, t.began+us(s.p.Hold))
		if d.state == approved { // decided while the poll was on its way
			s.wake(t.device)
		}
		return
	}
	interval := float64(us(s.p.Interval)) + float64(d.slow)*1e6
	switch d.hasty {
	case willBe:
		d.hasty = isNow
		interval *= 0.4
	default:
		interval *= 0.98 + 0.04*s.rand.Float64()
	}
	s.polls.add(t.device, max(s.now, t.began+int64(interval))+1)
}

// wake answers a poll that waits with the tokens. The poll stays in the wheel, and
// the device is freed when its turn comes.
func (s *sim) wake(d uint32) {
	s.holding--
	s.devices[d].state = redeeming
	s.begin(tokenPoll, d, s.devices[d].node)
}

// arrive is a device that asks for a code.
func (s *sim) arrive() {
	d := s.newDevice(s.now, s.decision(s.now))
	s.devices[d].state = asking
	s.begin(code, d, s.devices[d].node)
}

// decide is an owner who comes to decide.
func (s *sim) decide(d uint32) {
	if s.devices[d].state != pending {
		return
	}
	s.devices[d].state = approving
	s.begin(open, d, s.anyNode())
}

// poll is a device whose time to poll has come.
func (s *sim) poll(n uint32) {
	d := &s.devices[n]
	if d.holding {
		d.holding = false
		if d.state == pending || d.state == approving { // nobody has woken it
			s.holding--
		}
	}
	if !s.p.Sticky || s.dead[d.node] {
		d.node = s.anyNode()
	}
	since := s.now - int64(d.born)
	switch {
	case d.state == redeemed:
		s.end(n)
	case d.state == redeeming:
		d.holding = true // it is being answered; look again
		s.polls.add(n, s.now+10_000)
	case d.state == approved:
		d.state = redeeming
		s.begin(tokenPoll, n, d.node)
	case d.state == pending && since >= us(s.p.Lifetime):
		d.state = expired
		if s.p.Waits { // its last poll has just heard so
			s.end(n)
			return
		}
		s.begin(firstPoll, n, d.node)
	case s.p.Waits:
		s.begin(waitPoll, n, d.node)
	case d.hasty == isNow:
		d.hasty, d.slow = never, 5 // RFC 8628 §3.5
		s.begin(nextPoll, n, d.node)
	case d.known(s.window):
		s.begin(nextPoll, n, d.node)
	default:
		s.begin(firstPoll, n, d.node)
	}
}

// known reports whether the device's node has read its request within the last
// polls, and notes who reads now.
func (d *device) known(window int) bool {
	reader := d.node + 1
	known := slices.Contains(d.readers[:window-1], reader)
	copy(d.readers[1:], d.readers[:])
	d.readers[0] = 0
	if !known {
		d.readers[0] = reader
	}
	return known
}

// refuse is a request that was not answered, or with an error; who asked tries again
// at their next turn.
func (s *sim) refuse(t task) {
	s.failed++
	d := &s.devices[t.device]
	const again = 2_000_000
	switch t.step {
	case code:
		// The device asks anew: this one never was.
		d.state = expired
		s.end(t.device)
	case firstPoll, nextPoll, waitPoll:
		if d.state == expired {
			s.end(t.device)
			return
		}
		d.readers = [remembered]uint8{}
		s.polls.add(t.device, s.now+us(s.p.Interval))
	case open, approve:
		if s.now-int64(d.born) >= us(s.p.Lifetime) {
			d.state = pending // too late: its poll will hear so
			return
		}
		d.state = pending
		s.decides.add(t.device, s.now+again)
	case tokenPoll, userInfo:
		d.state = approved
		if !d.holding {
			s.polls.add(t.device, s.now+us(s.p.Interval))
		}
	}
}
