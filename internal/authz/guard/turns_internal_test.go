package guard

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
)

// Who goes away while others wait for their turn gives them none.
func TestWhoLeavesTheQueueGivesNobodyATurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns, names := newTurns(), []string{"a name"}
		done, err := turns.take(t.Context(), names)
		if err != nil {
			t.Fatal(err)
		}
		impatient, leave := context.WithCancel(t.Context())
		gone, second := make(chan error), make(chan func())
		go func() {
			_, err := turns.take(impatient, names)
			gone <- err
		}()
		synctest.Wait()
		leave()
		if err := <-gone; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		go func() {
			done, _ := turns.take(t.Context(), names)
			second <- done
		}()
		synctest.Wait()
		select {
		case <-second:
			t.Error("two have their turn")
		default:
		}
		done()
		(<-second)()
	})
}
