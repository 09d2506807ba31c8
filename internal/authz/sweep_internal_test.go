package authz

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// What is done now and then goes on when it fails, and says so sparingly: a database
// may be away for hours.
func TestWhatIsDoneNowAndThenGoesOnThoughItFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		s := &Service{now: time.Now, log: slog.New(slog.NewTextHandler(&log, nil))}
		ctx, stop := context.WithCancel(t.Context())
		done, fails, stops := 0, true, false
		go s.every(ctx, time.Second, "it failed", func(ctx context.Context) error {
			done++
			if stops {
				stop()
			}
			if fails {
				return errors.New("away")
			}
			return ctx.Err()
		})
		lines := func(after time.Duration) (n int) {
			time.Sleep(after)
			synctest.Wait()
			n = strings.Count(log.String(), "it failed")
			log.Reset()
			return n
		}
		if n := lines(59 * time.Second); n != sparingly || done != 59 {
			t.Errorf("%d lines of %d failures", n, done)
		}
		fails = false
		if n := lines(10 * time.Minute); n != 0 || done != 659 {
			t.Errorf("%d lines, done %d times", n, done)
		}
		fails = true
		if n := lines(time.Second); n != 1 {
			t.Errorf("%d lines of a new failure", n)
		}
		stops = true // and what fails because of that is no failure
		if n := lines(time.Hour); n != 0 || done != 661 {
			t.Errorf("%d lines after the end, done %d times", n, done)
		}
	})
}
