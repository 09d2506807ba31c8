package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"
)

type result struct {
	ops       int
	errors    int
	firstErr  error
	seconds   float64
	latencies []time.Duration
}

// errDone is what work says when there is no more of it.
var errDone = errors.New("all is done")

// run repeats work on every connection until the time is up, or all is done.
func run(work op, conns int, d time.Duration) result {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	var mu sync.Mutex
	var total result
	start := time.Now()
	var wg sync.WaitGroup
	for range conns {
		wg.Go(func() {
			var part result
			for ctx.Err() == nil {
				// The request itself is not cut off: one in flight at the end completes uncounted.
				took, err := work(context.WithoutCancel(ctx))
				if ctx.Err() != nil || errors.Is(err, errDone) {
					break
				}
				if err != nil {
					part.errors++
					part.firstErr = errors.Join(part.firstErr, err)
					if part.errors > 3 {
						break
					}
					continue
				}
				part.ops++
				part.latencies = append(part.latencies, took)
			}
			mu.Lock()
			defer mu.Unlock()
			total.ops += part.ops
			total.errors += part.errors
			if total.firstErr == nil {
				total.firstErr = part.firstErr
			}
			total.latencies = append(total.latencies, part.latencies...)
		})
	}
	wg.Wait()
	total.seconds = min(time.Since(start).Seconds(), d.Seconds())
	slices.Sort(total.latencies)
	return total
}

func (r result) rate() float64 { return float64(r.ops) / r.seconds }

func (r result) percentile(p float64) time.Duration {
	if len(r.latencies) == 0 {
		return 0
	}
	return r.latencies[min(len(r.latencies)-1, int(p*float64(len(r.latencies))))]
}

func report(work string, results []result, asJSON bool) (failed bool) {
	slices.SortFunc(results, func(a, b result) int { return cmp.Compare(a.rate(), b.rate()) })
	errs := 0
	for _, r := range results {
		errs += r.errors
	}
	mid := results[len(results)/2]
	low, high := results[0].rate(), results[len(results)-1].rate()
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	if asJSON {
		line, err := json.Marshal(map[string]any{
			"work": work, "ops_per_s": mid.rate(), "min": low, "max": high,
			"p50_ms": ms(mid.percentile(.50)), "p99_ms": ms(mid.percentile(.99)), "errors": errs,
		})
		if err != nil {
			panic(err) // it is made of texts and numbers
		}
		fmt.Println(string(line))
	} else {
		fmt.Printf("%-9s %9.0f ops/s  (min %.0f, max %.0f)  p50 %.2f ms  p99 %.2f ms  errors %d\n",
			work, mid.rate(), low, high, ms(mid.percentile(.50)), ms(mid.percentile(.99)), errs)
	}
	for _, r := range results {
		if r.firstErr != nil {
			fmt.Fprintln(os.Stderr, "deviceload: first error:", r.firstErr)
			break
		}
	}
	if low == 0 {
		fmt.Fprintln(os.Stderr, "deviceload: nothing was done in a run")
	}
	return errs > 0 || low == 0
}
