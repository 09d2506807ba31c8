package group_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"countersign.dev/internal/storage/group"
)

func TestAllThatWaitAreTakenAtOnceInTheirOrder(t *testing.T) {
	q := group.NewQueue[int]()
	const items = group.Limit + 10
	for i := range items {
		if err := q.Add(t.Context(), i); err != nil {
			t.Fatal(err)
		}
	}
	first := q.Take(nil)
	second := q.Take(nil)
	if len(first) != group.Limit || len(second) != 10 || q.Len() != 0 || !slices.IsSorted(append(first, second...)) {
		t.Errorf("took %d, then %d; %d are left", len(first), len(second), q.Len())
	}
}

func TestAClosedQueueLetsNothingInAndGivesOutWhatItHas(t *testing.T) {
	q := group.NewQueue[int]()
	if err := q.Add(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	q.Close()
	q.Close()
	if err := q.Add(t.Context(), 2); !errors.Is(err, group.ErrClosed) {
		t.Errorf("got %v", err)
	}
	if got := q.Take(nil); !slices.Equal(got, []int{1}) {
		t.Errorf("took %v", got)
	}
	if got := q.Take(nil); len(got) != 0 {
		t.Errorf("took %v of an empty queue", got)
	}
}

func TestAFullQueueIsWaitedForNoLongerThanTheCallerWants(t *testing.T) {
	q := group.NewQueue[int]()
	ctx, cancel := context.WithCancel(t.Context())
	full := make(chan error)
	go func() {
		for i := 0; ; i++ {
			if err := q.Add(ctx, i); err != nil {
				full <- err
				return
			}
			if i == 4095 { // the next one waits
				cancel()
			}
		}
	}()
	if err := <-full; !errors.Is(err, context.Canceled) || q.Len() < 4096 {
		t.Errorf("got %v with %d in the queue", err, q.Len())
	}
}
