package main

// wheel keeps when each device acts next. Times are µs. Devices of one slot are a
// linked list, so that an entry costs eight bytes; a device is in the wheel once at
// most.
type wheel struct {
	heads []uint32
	links []link // by device
	taken int64  // what comes before it was taken
}

type link struct{ next, at uint32 }

const (
	slotWidth = 64 // µs
	nobody    = ^uint32(0)
)

// newWheel makes a wheel for times up to horizon ahead of now.
func newWheel(horizon int64) *wheel {
	w := &wheel{heads: make([]uint32, horizon/slotWidth+2)}
	for i := range w.heads {
		w.heads[i] = nobody
	}
	return w
}

// add puts a device in. What is due at once waits for the next slot: this one was
// taken.
func (w *wheel) add(device uint32, at int64) {
	at = max(at, w.taken)
	slot := int(at/slotWidth) % len(w.heads)
	w.links[device] = link{w.heads[slot], uint32(at)}
	w.heads[slot] = device
}

// take calls do for each device of the slot that begins at a time.
func (w *wheel) take(begin int64, do func(device uint32, at int64)) {
	w.taken = begin + slotWidth
	slot := int(begin/slotWidth) % len(w.heads)
	d := w.heads[slot]
	w.heads[slot] = nobody
	for d != nobody {
		l := w.links[d]
		do(d, int64(l.at))
		d = l.next
	}
}
