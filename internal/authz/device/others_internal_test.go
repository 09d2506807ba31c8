package device

import (
	"testing"
	"time"

	"countersign.dev/internal/authz"
)

func TestWhatIsKnownOfOthersHoldsForAWhile(t *testing.T) {
	p, now := newPace(trustOthers), time.Unix(1_700_000_000, 0)
	r := authz.DeviceRequest{DeviceCode: authz.Hash{1}, ClientID: "client", ExpiresAt: now.Add(time.Hour)}
	learn := func() {
		_, epoch := p.known(r.DeviceCode, r.ClientID, now)
		p.accept(r, now, time.Second)
		p.remember(r, now, epoch)
	}
	known := func(after time.Duration) bool {
		pending, _ := p.known(r.DeviceCode, r.ClientID, now.Add(after))
		return pending
	}
	learn()
	if !known(0) || !known(trustOthers-time.Millisecond) || known(trustOthers) {
		t.Error("known for another time than trusted")
	}
	if !known(-time.Second) || known(-time.Minute) { // somebody set the clock back
		t.Error("trusted for longer because it was learned later than now")
	}
	p.setDisconnected(true)
	if known(0) {
		t.Error("known while deaf")
	}
	learn()
	if known(0) {
		t.Error("learned while deaf")
	}
	p.setDisconnected(false)
	if known(0) {
		t.Error("what was known before a time of deafness is known after it")
	}
	_, epoch := p.known(r.DeviceCode, r.ClientID, now)
	p.setDisconnected(true)
	p.setDisconnected(false)
	p.remember(r, now, epoch)
	if known(0) {
		t.Error("what was read before a time of deafness is known after it")
	}
	learn()
	if !known(0) {
		t.Error("nothing is known any more")
	}
	p.decided(r.DeviceCode)
	if known(0) {
		t.Error("known after its decision")
	}
}
