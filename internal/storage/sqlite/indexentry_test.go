package sqlite

import (
	"testing"

	"countersign.dev/internal/authz"
)

// Between the removal of a row and that of its entries another row may get one of
// its keys.
func TestEntriesOfANewerRowStay(t *testing.T) {
	x := newRequestIndex()
	keys := x.hashes(authz.Hash{1}, authz.Hash{2}, "three")
	entries := func(row int64) map[uint64]int64 {
		of := map[uint64]int64{}
		for _, h := range keys {
			of[h] = row
		}
		return of
	}
	x.add(keys, 7)
	x.end(true)
	x.add(keys, 8)
	x.end(true)
	x.remove(entries(7))
	for kind, h := range keys {
		if row, found := x.row(h); !found || row != 8 {
			t.Errorf("key %d: row %d, %v", kind, row, found)
		}
	}
	x.takeIn([]entry{{keys[byID], 7}}, 7) // read before row 8 was written
	if row, _ := x.row(keys[byID]); row != 8 || x.last != 8 {
		t.Errorf("row %d, last %d", row, x.last)
	}
	x.remove(entries(8))
	if _, found := x.row(keys[byID]); found {
		t.Error("the entry of a row that is gone is still there")
	}
}
