package main

// task is one request on its way through a node and a database.
type task struct {
	began  int64 // µs
	at     int64 // when it comes to where it goes next
	device uint32
	step   uint8
	stage  uint8
	node   uint8
	shard  uint8
	tries  int64 // since when the database is tried in vain, or 0
}

// heap is a binary heap of tasks, the earliest first. container/heap would box
// each task.
type heap []task

func (h *heap) push(t task) {
	*h = append(*h, t)
	a := *h
	for i := len(a) - 1; i > 0; {
		up := (i - 1) / 2
		if a[up].at <= a[i].at {
			return
		}
		a[up], a[i] = a[i], a[up]
		i = up
	}
}

func (h *heap) pop() task {
	a := *h
	first, last := a[0], len(a)-1
	a[0] = a[last]
	a = a[:last]
	for i := 0; ; {
		down := 2*i + 1
		if down >= last {
			break
		}
		if down+1 < last && a[down+1].at < a[down].at {
			down++
		}
		if a[i].at <= a[down].at {
			break
		}
		a[i], a[down] = a[down], a[i]
		i = down
	}
	*h = a
	return first
}
