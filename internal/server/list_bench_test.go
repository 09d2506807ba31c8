package server_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/contract"
)

// BenchmarkReadersOfLists is how long a neighbour's get-session takes while one session
// of an account that has as much as it may have reads its lists on many connections,
// the last pages, which the pages before name: the median in the middle, and the ratio to a
// neighbour who is alone. COUNTERSIGN_TEST_STORE names the database.
func BenchmarkReadersOfLists(b *testing.B) {
	h := newHouse(b)
	cookie, neighbour := h.signIn("alice"), h.signIn("mallory")
	h.fillLists(cookie)
	events := h.lastPage(cookie, "/api/events")
	grants := h.lastPage(cookie, "/api/grants")
	account := "/account"
	for older := regexp.MustCompile(`/account\?events=[^"#]+`); ; {
		next := older.FindString(h.send(http.MethodGet, account, "", "Cookie", cookie).wantOK().body)
		if next == "" {
			break
		}
		account = next
	}
	const window = 2 * time.Second
	median := func(readers int, target string) (took time.Duration, read float64) {
		var over atomic.Bool
		var reads atomic.Int64
		var reading sync.WaitGroup
		for range readers {
			reading.Go(func() {
				for !over.Load() {
					h.send(http.MethodGet, target, "", "Cookie", cookie).wantOK()
					reads.Add(1)
				}
			})
		}
		var all []time.Duration
		for end := time.Now().Add(window); time.Now().Before(end); {
			began := time.Now()
			h.send(http.MethodGet, "/api/auth/get-session", "", "Cookie", neighbour).wantOK()
			all = append(all, time.Since(began))
			time.Sleep(2 * time.Millisecond)
		}
		over.Store(true)
		reading.Wait()
		slices.Sort(all)
		return all[len(all)/2], float64(reads.Load()) / window.Seconds()
	}
	for _, c := range []struct{ what, target string }{
		{"events", "/api/events"}, {"last events", events}, {"last grants", grants}, {"account", "/account"}, {"account, last events", account},
	} {
		for _, readers := range []int{8, 64} {
			b.Run(fmt.Sprintf("%s/%d", c.what, readers), func(b *testing.B) {
				for b.Loop() {
					alone, _ := median(0, "")
					beside, rate := median(readers, c.target)
					b.ReportMetric(alone.Seconds()*1000, "alone-ms")
					b.ReportMetric(beside.Seconds()*1000, "beside-ms")
					b.ReportMetric(float64(beside)/float64(alone), "ratio")
					b.ReportMetric(rate, "reads/s")
				}
			})
		}
	}
}

// fillLists gives an account all the grants and events that it may have, few of them alive.
func (h *house) fillLists(cookie string) {
	h.t.Helper()
	for range 20 {
		h.approve(cookie, h.ask("pub-a", "openid").userCode)
	}
	for n := range authz.GrantsPerAccount {
		h.approve(cookie, h.ask("pub-a", "openid").userCode)
		h.advance(time.Second)
		if n%20 == 19 {
			h.revokeNewest(cookie)
		}
	}
	who := h.ownerOf(cookie)
	for n := range authz.EventsPerAccount {
		e := contract.NewEvent{Keep: contract.KeepAtMost(authz.EventsPerAccount), Event: authz.Event{
			ID: fmt.Sprint("w", n), AccountID: who.AccountID, At: h.now().Add(time.Duration(n) * time.Millisecond), Kind: authz.EventBackupSaved,
			UserAgent: strings.Repeat("u", 200), Subject: strings.Repeat("s", 60),
		}}
		if err := h.store.SaveBackup(h.t.Context(), authz.Backup{AccountID: who.AccountID, BAPID: who.BAPID, Text: "x"}, who.BAPID, e); err != nil {
			h.t.Fatal(err)
		}
		e.ID, e.Kind = fmt.Sprint("o", n), authz.EventProfileSet
		if err := h.store.SetProfile(h.t.Context(), who.BAPID, authz.Profile{}, e); err != nil {
			h.t.Fatal(err)
		}
	}
}

// revokeNewest takes back what was allowed last, but for the oldest of all.
func (h *house) revokeNewest(cookie string) {
	h.t.Helper()
	var page struct{ Grants []struct{ ID string } }
	if err := json.Unmarshal([]byte(h.send(http.MethodGet, "/api/grants", "", "Cookie", cookie).wantOK().body), &page); err != nil {
		h.t.Fatal(err)
	}
	for _, g := range page.Grants[:20] {
		h.postJSON("/api/grants/"+g.ID+"/revoke", map[string]any{}, "Cookie", cookie).wantOK()
	}
}

// lastPage follows a list to its end.
func (h *house) lastPage(cookie, list string) string {
	h.t.Helper()
	for target := list; ; {
		next := h.send(http.MethodGet, target, "", "Cookie", cookie).wantOK().text("next")
		if next == "" {
			return target
		}
		target = list + "?cursor=" + next
	}
}
