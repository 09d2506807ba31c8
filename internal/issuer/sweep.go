package issuer

import (
	"context"
	"errors"
	"time"

	"countersign.dev/internal/authz/audit"
	"countersign.dev/internal/authz/contract"
	"countersign.dev/internal/authz/guard"
)

const (
	sweepEvery = 30 * time.Second
	// sweepBatch keeps each transaction short enough that nobody waits for it.
	sweepBatch = 500
	// sweepPause lets the writes that queued up behind a batch go first. It is as long
	// as the batch took, and at most this.
	sweepPause = 50 * time.Millisecond
	// sweepHurry is after how many batches the pause is halved: who has so much to
	// remove is falling behind. Without a pause each transaction of SQLite's removes
	// more rows than it makes, which are 255 at most.
	sweepHurry = 16
	// expiredKept is how long a device that slept through the expiry of its code
	// still hears expired_token instead of invalid_grant.
	expiredKept = 15 * time.Minute
	// endedKept is how long an owner sees a grant that is over, and what happened.
	endedKept = 90 * 24 * time.Hour
	// clockSkew is how far apart the clocks of servers on one database may be. What one
	// of them believes to be over may still count for another: a passkey's challenge
	// would be good for a second time there, had it been removed.
	clockSkew = 5 * time.Minute
)

// every does something once a period until ctx ends. failed is what the log says when
// it could not, sparingly: a database may be away for hours.
func (s *Issuer) every(ctx context.Context, period time.Duration, failed string, do func(ctx context.Context) error) {
	tick := time.NewTicker(period)
	defer tick.Stop()
	var lines audit.Sparing
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		err := do(ctx)
		if err == nil || ctx.Err() != nil {
			continue
		}
		if leftOut, ok := lines.Say(s.now()); ok {
			s.log.ErrorContext(ctx, failed, "error", err, "left_out", leftOut)
		}
	}
}

// Sweep removes what is over, in small batches. The server does it by itself.
func (s *Issuer) Sweep(ctx context.Context) error {
	for batches := 1; ; batches++ {
		now, began := s.now(), time.Now()
		deleted, err := s.store.Sweep(ctx, contract.SweepTimes{
			DeviceRequests: now.Add(-expiredKept),
			Grants:         now.Add(-endedKept),
			Events:         now.Add(-endedKept),
			Counted:        now.Add(-clockSkew - guard.ReportsCount),
			Rest:           now.Add(-clockSkew),
		}, sweepBatch)
		if err != nil || deleted < sweepBatch {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(min(time.Since(began), sweepPause) >> (batches / sweepHurry)):
		}
	}
}

// recount sets right what this server counts and remembers by itself. It does not
// wait for Sweep, which may take long just when it matters.
func (s *Issuer) recount(ctx context.Context) error {
	return errors.Join(s.Device.Recount(ctx), s.Guard.ReadShunned(ctx))
}
