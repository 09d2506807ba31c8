package sqlite

import (
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/contract"
)

// callers is how many goroutines ask at once, like connections of a busy server.
const callers = 32

// fill stores requests numbered from 0.
func fill(b *testing.B, s *Store, n int) {
	b.Helper()
	var running sync.WaitGroup
	for w := range callers {
		running.Go(func() {
			for i := w; i < n; i += callers {
				if err := s.CreateDeviceRequest(b.Context(), numbered(i)); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	running.Wait()
}

func BenchmarkCreateDeviceRequest(b *testing.B) {
	for _, rows := range []int{0, 100_000} {
		b.Run("onto="+strconv.Itoa(rows), func(b *testing.B) {
			s := open(b)
			fill(b, s, rows)
			var n atomic.Int64
			n.Store(int64(rows))
			b.SetParallelism(callers)
			b.ReportAllocs()
			b.ResetTimer()
			b.RunParallel(func(p *testing.PB) {
				for p.Next() {
					if err := s.CreateDeviceRequest(b.Context(), numbered(int(n.Add(1)))); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}

func BenchmarkDeviceRequest(b *testing.B) {
	const rows = 20_000
	s := open(b)
	fill(b, s, rows)
	codes := make([]authz.Hash, rows)
	for i := range codes {
		codes[i] = numbered(i).DeviceCode
	}
	var n atomic.Int64
	b.SetParallelism(callers)
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			if _, err := s.DeviceRequest(b.Context(), codes[n.Add(7919)%rows]); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

// BenchmarkWholeFlow is what the store does for one run of RFC 8628: the request,
// a poll, the claim, the approval, the redemption and the check of userinfo.
func BenchmarkWholeFlow(b *testing.B) {
	s := open(b)
	owners := make([]authz.Identity, 500) // one alone would soon have as many grants as it may
	for i := range owners {
		id := "owner " + strconv.Itoa(i)
		owners[i] = authz.Identity{BAPID: id, AccountID: id, MemberKey: "02"}
		if err := s.CreateAccount(b.Context(), authz.Account{ID: id}, owners[i]); err != nil {
			b.Fatal(err)
		}
	}
	var n atomic.Int64
	b.SetParallelism(callers)
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			i := int(n.Add(1))
			if err := s.wholeFlow(b, numbered(i), owners[i%len(owners)]); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

func (s *Store) wholeFlow(b *testing.B, r authz.DeviceRequest, i authz.Identity) error {
	ctx, now := b.Context(), r.CreatedAt.Add(time.Second)
	if err := s.CreateDeviceRequest(ctx, r); err != nil {
		return err
	}
	if _, err := s.DeviceRequest(ctx, r.DeviceCode); err != nil {
		return err
	}
	if _, err := s.OpenDeviceRequest(ctx, contract.Opening{RequestID: r.ID, AccountID: i.AccountID, Claim: true, At: now}); err != nil {
		return err
	}
	err := s.ApproveDeviceRequest(ctx, contract.Approval{
		RequestID: r.ID, AccountID: i.AccountID, At: now,
		Grant: authz.Grant{
			ID: r.ID, AccountID: i.AccountID, ClientID: r.ClientID, Scope: r.Scope, BAPID: i.BAPID, MemberKey: i.MemberKey,
			ACR: authz.ACRSession, AuthTime: now, CreatedAt: now, ExpiresAt: now.Add(24 * time.Hour),
		},
		Living: authz.LivingGrants, Keep: contract.KeepAtMost(authz.GrantsPerAccount),
		Event: contract.NewEvent{Keep: contract.KeepAtMost(authz.EventsPerAccount), Event: authz.Event{ID: r.ID, AccountID: i.AccountID, At: now, Kind: authz.EventApproved}},
	})
	if err != nil {
		return err
	}
	if err := s.RedeemDeviceRequest(ctx, contract.Redemption{DeviceCode: r.DeviceCode, ClientID: r.ClientID, At: now}); err != nil {
		return err
	}
	if g, _, err := s.LiveGrant(ctx, r.ID, now); err != nil || g.LastUsedAt.IsZero() {
		return fmt.Errorf("the grant %v: %w", g, err)
	}
	return nil
}
