package issuer

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"countersign.dev/internal/authz/audit"
)

// What is done now and then goes on when it fails, and says so sparingly: a database
// may be away for hours.
func TestWhatIsDoneNowAndThenGoesOnThoughItFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		s := &Issuer{now: time.Now, log: slog.New(slog.NewTextHandler(&log, nil))}
		ctx, stop := context.WithCancel(t.Context())
		lines := func() int { return strings.Count(log.String(), "it failed") }
		var before []int // each time: the lines there were
		s.every(ctx, time.Second, "it failed", func(ctx context.Context) error {
			before = append(before, lines())
			switch n := len(before); {
			case n <= 59, n == 660:
				return errors.New("away")
			case n == 661:
				stop() // and what fails because of that is no failure
			}
			return ctx.Err()
		})
		if n := before[59]; n != audit.LinesAPeriod {
			t.Errorf("%d lines of 59 failures in a minute", n)
		}
		if n := before[659]; n != audit.LinesAPeriod {
			t.Errorf("%d lines when all was well for ten minutes", n)
		}
		if n := before[660]; n != audit.LinesAPeriod+1 {
			t.Errorf("%d lines after a new failure", n)
		}
		if n := lines(); n != audit.LinesAPeriod+1 || len(before) != 661 {
			t.Errorf("%d lines after the end, done %d times", n, len(before))
		}
	})
}
