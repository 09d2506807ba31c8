package main

import (
	"math"
	"math/bits"
)

// cores are the processors of a node or a database: work waits in line for the one
// that is free first. Work must be given in the order of time. Its length is in ns,
// for there is much of it that takes a few µs.
type cores struct {
	free []int64 // when each is free, ns
	busy int64   // ns of work taken on
}

func newCores(n int) cores { return cores{free: make([]int64, n)} }

// do takes on work that arrives at a time (µs) and returns when it is done (µs).
func (c *cores) do(at, work int64) int64 {
	first := 0
	for i, free := range c.free {
		if free < c.free[first] {
			first = i
		}
	}
	c.free[first] = max(at*1000, c.free[first]) + work
	c.busy += work
	return (c.free[first] + 999) / 1000
}

// writer is a node's one writer to a shard: it takes what waits, all at once, into
// one transaction and one flush.
type writer struct {
	waiting []task
	group   []task // in the transaction
}

// histogram counts times in buckets: sixteen for each power of two.
type histogram struct {
	counts [16 * 40]int64
	n      int64
}

func (h *histogram) add(us int64) {
	v := uint64(max(us, 16))
	power := bits.Len64(v) - 5
	h.counts[power*16+int(v>>power)-16]++
	h.n++
}

// percentile in ms: the upper end of its bucket.
func (h *histogram) percentile(p float64) float64 {
	left := int64(p * float64(h.n))
	for bucket, n := range h.counts {
		if left -= n; left < 0 {
			return math.Ldexp(float64(bucket%16+17), bucket/16) / 1000
		}
	}
	return 0
}

func (h *histogram) since(before *histogram) histogram {
	now := *h
	for i := range now.counts {
		now.counts[i] -= before.counts[i]
	}
	now.n -= before.n
	return now
}
