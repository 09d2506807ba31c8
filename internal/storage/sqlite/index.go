package sqlite

import (
	"hash/maphash"
	"sync"

	"zombiezen.com/go/sqlite"

	"countersign.dev/internal/authz"
)

// keyKind says what a device request is found by.
type keyKind int

const (
	byDeviceCode keyKind = iota
	byUserCode
	byID
	keyKinds // how many there are
)

// requestIndex finds device requests by their codes and ids, in memory.
//
// These keys are random. As indexes in the file each would write a page of its
// own for every row, three pages a row, which costs five times what the row
// costs (docs/decisions/0003-sqlite-driver.md). So the table is only appended
// to, and the index is made anew from it when the server starts. Rows are
// numbered in the order of their commits and no number is used twice: what the
// index lacks, because another process stored it, has a higher number than any
// it has seen, and is read when something is not found.
//
// An entry is a hint. Who follows it compares the whole key with the row.
type requestIndex struct {
	seeds [keyKinds]maphash.Seed

	catching chan struct{} // holds a token; who has it reads a batch of the table

	mu   sync.RWMutex
	rows map[uint64]int64 // guarded by mu: hash of a key → number of its row
	last int64            // guarded by mu: all committed rows up to here are in rows

	// The writer's goroutine alone uses these.
	version int64            // of the file's data, as the last group found it
	stale   bool             // another process has written since rows was looked at
	group   map[uint64]int64 // entries of the open transaction
}

func newRequestIndex() *requestIndex {
	x := &requestIndex{catching: make(chan struct{}, 1), rows: map[uint64]int64{}, stale: true, group: map[uint64]int64{}}
	for kind := range x.seeds {
		x.seeds[kind] = maphash.MakeSeed()
	}
	return x
}

func (x *requestIndex) hash(kind keyKind, key []byte) uint64 {
	return maphash.Bytes(x.seeds[kind], key)
}

func (x *requestIndex) hashes(deviceCode, userCode authz.Hash, id string) [keyKinds]uint64 {
	return [keyKinds]uint64{
		byDeviceCode: x.hash(byDeviceCode, deviceCode[:]), byUserCode: x.hash(byUserCode, userCode[:]),
		byID: maphash.String(x.seeds[byID], id),
	}
}

func (x *requestIndex) row(h uint64) (row int64, found bool) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	row, found = x.rows[h]
	return row, found
}

// entry is one row's number under one of its keys.
type entry struct {
	hash uint64
	row  int64
}

// batch is how many rows are read before the index is locked to take them in.
const batch = 4096

// catchUp adds what other processes stored, or at first what is in the file.
func (x *requestIndex) catchUp(c *sqlite.Conn) error {
	for {
		more, err := x.readOn(c)
		if !more {
			return err
		}
	}
}

// readOn adds the next batch of rows that the index lacks, and reports whether
// there may be more.
func (x *requestIndex) readOn(c *sqlite.Conn) (more bool, err error) {
	x.catching <- struct{}{} // one scan does for all who wait for it
	defer func() { <-x.catching }()
	x.mu.RLock()
	last := x.last
	x.mu.RUnlock()
	var entries []entry
	_, err = query(c, func(r *sqlite.Stmt) {
		last = r.ColumnInt64(0)
		for _, h := range x.hashes(columnHash(r, 1), columnHash(r, 2), r.ColumnText(3)) {
			entries = append(entries, entry{h, last})
		}
	}, `SELECT seq, device_code, user_code, id FROM device_requests WHERE seq > ? ORDER BY seq LIMIT ?`, last, batch)
	if err != nil {
		return false, err
	}
	x.takeIn(entries, last)
	return len(entries) == batch*int(keyKinds), nil
}

// takeIn adds entries of committed rows, of which last is the highest.
func (x *requestIndex) takeIn(entries []entry, last int64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, e := range entries {
		// The writer may have been faster with a later row of the same key.
		if x.rows[e.hash] < e.row {
			x.rows[e.hash] = e.row
		}
	}
	x.last = max(x.last, last)
}

// find returns the number of the row that may have a key, or 0. A reader passes
// what it was told before and turned out to be gone, or 0.
func (x *requestIndex) find(c *sqlite.Conn, h uint64, gone int64) (int64, error) {
	if row, found := x.row(h); found && row != gone {
		return row, nil
	}
	if err := x.catchUp(c); err != nil {
		return 0, err
	}
	if row, found := x.row(h); found && row != gone {
		return row, nil
	}
	return 0, nil
}

// findToWrite is find for the writer, which sees what others wrote before.
func (x *requestIndex) findToWrite(c *sqlite.Conn, h uint64) (int64, error) {
	if err := x.refresh(c); err != nil {
		return 0, err
	}
	row, _ := x.row(h)
	return row, nil
}

// begin is called in each new transaction of the writer.
func (x *requestIndex) begin(c *sqlite.Conn) error {
	return one(c, func(r *sqlite.Stmt) {
		if v := r.ColumnInt64(0); v != x.version {
			x.version, x.stale = v, true
		}
	}, `PRAGMA data_version`)
}

// refresh makes the index complete for the writer, whose transaction keeps
// others from writing.
func (x *requestIndex) refresh(c *sqlite.Conn) error {
	if !x.stale {
		return nil
	}
	if err := x.catchUp(c); err != nil {
		return err
	}
	x.stale = false
	return nil
}

// taken reports whether one of the keys belongs to a row that is there.
func (x *requestIndex) taken(c *sqlite.Conn, keys [keyKinds]uint64) (bool, error) {
	if err := x.refresh(c); err != nil {
		return false, err
	}
	for _, h := range keys {
		row, found := x.row(h)
		if !found {
			continue
		}
		there, err := query(c, func(*sqlite.Stmt) {}, `SELECT 1 FROM device_requests WHERE seq = ?`, row)
		if there || err != nil {
			return there, err
		}
	}
	return false, nil
}

// add enters a row of the open transaction, so that the writes after it find it.
func (x *requestIndex) add(keys [keyKinds]uint64, row int64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, h := range keys {
		x.rows[h], x.group[h] = row, row
	}
}

// end is called when the writer's transaction is over, before callers are
// answered.
func (x *requestIndex) end(committed bool) {
	if len(x.group) == 0 {
		return
	}
	if !committed {
		x.remove(x.group)
	} else {
		x.mu.Lock()
		for _, row := range x.group {
			x.last = max(x.last, row)
		}
		x.mu.Unlock()
	}
	clear(x.group)
}

// remove takes out entries of rows that are gone.
func (x *requestIndex) remove(entries map[uint64]int64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for h, row := range entries {
		if x.rows[h] == row {
			delete(x.rows, h)
		}
	}
}
