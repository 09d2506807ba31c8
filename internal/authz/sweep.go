package authz

import (
	"context"
	"errors"
	"time"
)

const (
	sweepEvery = 30 * time.Second
	// sweepBatch keeps each transaction short enough that nobody waits for it.
	sweepBatch = 500
	// sweepPause lets the writes that queued up behind a batch go first. It is as long as the batch took, and
	// at most this: where rows come faster than they would go, they still go.
	sweepPause = 50 * time.Millisecond
	// expiredKept is how long a device that slept through the expiry of its code
	// still hears expired_token instead of invalid_grant.
	expiredKept = 15 * time.Minute
	// endedKept is how long an owner sees a grant that is over, and what happened.
	endedKept = 90 * 24 * time.Hour
)

// sweep removes what is over, in small batches, until ctx ends.
func (s *Service) sweep(ctx context.Context) {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err := s.sweepOnce(ctx); err != nil && ctx.Err() == nil {
			s.log.ErrorContext(ctx, "removing expired rows failed", "error", err)
		}
	}
}

func (s *Service) sweepOnce(ctx context.Context) error {
	for {
		now, began := s.now(), time.Now()
		deleted, err := s.store.Sweep(ctx, SweepTimes{
			DeviceRequests: now.Add(-expiredKept),
			Grants:         now.Add(-endedKept),
			Events:         now.Add(-endedKept),
			Rest:           now,
		}, sweepBatch)
		if err != nil {
			return err
		}
		if deleted < sweepBatch {
			break
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(min(time.Since(began), sweepPause)):
		}
	}
	s.pace.forget(s.now())
	return errors.Join(s.countPending(ctx), s.readShunned(ctx))
}
