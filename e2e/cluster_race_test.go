//go:build e2e

package e2e

import (
	"crypto/rand"
	"io"
	"log/slog"
	mathrand "math/rand/v2"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"countersign.dev/internal/authz"
	asking "countersign.dev/internal/authz/device"
	"countersign.dev/internal/issuer"
	"countersign.dev/internal/storage/postgres"
	"countersign.dev/internal/storage/postgres/pgtest"
)

func TestD32_R04_OfManyPollsOneGetsTheTokensAndManyRefreshesEndInOne(t *testing.T) {
	t.Parallel()
	const polls = 64
	c := startTrio(t, pgtest.Database(t))
	o := newOwner(t)
	o.signIn(t, c.URL)
	for range 5 {
		deviceCode, userCode := requestCode(t, c.URL)
		if err := o.decide(t.Context(), c.URL, userCode, "approve"); err != nil {
			t.Fatal(err)
		}
		var won atomic.Int32
		var wg sync.WaitGroup
		for n := range polls {
			wg.Go(func() {
				switch a, ok := poll(t.Context(), c.node(n), deviceCode); {
				case !ok:
					t.Error("a poll was not answered")
				case a.AccessToken != "":
					won.Add(1)
				case a.Error != "invalid_grant" && a.Error != "slow_down":
					t.Errorf("a poll that lost is answered %q", a.Error)
				}
			})
		}
		wg.Wait()
		if won.Load() != 1 {
			t.Errorf("%d polls got tokens", won.Load())
		}
	}
	oneSuccessor(t, c, o)
}

// oneSuccessor refreshes one token many times at once, on all servers.
func oneSuccessor(t *testing.T, c *trio, o *owner) {
	t.Helper()
	var device struct {
		Code     string `json:"device_code"`
		UserCode string `json:"user_code"`
	}
	post(t, c.URL+"/api/auth/device/code", url.Values{"client_id": {"countersign-cli"}, "scope": {"openid offline_access"}}, &device)
	if err := o.decide(t.Context(), c.URL, device.UserCode, "approve"); err != nil {
		t.Fatal(err)
	}
	type tokens struct {
		Access  string `json:"access_token"`
		Refresh string `json:"refresh_token"`
		Error   string `json:"error"`
	}
	var first tokens
	post(t, c.URL+"/api/auth/device/token", url.Values{"client_id": {"countersign-cli"}, "grant_type": {authz.GrantDevice}, "device_code": {device.Code}}, &first)
	refresh := func(n int, token string) (fresh tokens) {
		if !ask(t.Context(), c.node(n)+"/api/auth/oauth2/token", url.Values{"client_id": {"countersign-cli"}, "grant_type": {"refresh_token"}, "refresh_token": {token}}, &fresh) {
			t.Error("a refresh was not answered")
		}
		return fresh
	}
	const refreshes = 32
	var successors sync.Map
	var wg sync.WaitGroup
	for n := range refreshes {
		wg.Go(func() { successors.Store(refresh(n, first.Refresh).Refresh, true) })
	}
	wg.Wait()
	var last string
	n := 0
	for successor := range successors.Range {
		last, _ = successor.(string)
		n++
	}
	if n != 1 || last == "" {
		t.Fatalf("%d refreshes end with %d successors", refreshes, n)
	}
	// Who comes with the first one after its successor was used is taken for a thief, by any server.
	if refresh(0, last).Refresh == "" || refresh(1, first.Refresh).Error != "invalid_grant" || refresh(2, last).Error != "invalid_grant" {
		t.Error("a token that was replaced long ago ended nothing")
	}
}

func TestOfManyDecisionsOnAllServersOneHolds(t *testing.T) {
	t.Parallel()
	c := startTrio(t, pgtest.Database(t))
	o := newOwner(t)
	o.signIn(t, c.URL)
	for range 10 {
		deviceCode, userCode := requestCode(t, c.URL)
		if err := o.open(t.Context(), c.URL, userCode); err != nil {
			t.Fatal(err)
		}
		var approved, denied atomic.Int32
		var wg sync.WaitGroup
		for n := range 4 * len(c.nodes) {
			decision, count := "approve", &approved
			if n%2 == 1 {
				decision, count = "deny", &denied
			}
			wg.Go(func() {
				if o.conclude(t.Context(), c.node(n), userCode, decision) == nil {
					count.Add(1)
				}
			})
		}
		wg.Wait()
		a, _ := poll(t.Context(), c.URL, deviceCode)
		switch {
		case approved.Load()+denied.Load() != 1:
			t.Errorf("%d approvals and %d denials were acknowledged", approved.Load(), denied.Load())
		case approved.Load() == 1 && a.AccessToken == "", denied.Load() == 1 && a.Error != "access_denied":
			t.Errorf("%d approvals and %d denials: the poll is answered %q", approved.Load(), denied.Load(), a.Error)
		}
	}
}

// TestServersThatDrawTheSameCodesGiveOutDifferentOnes runs services whose
// randomness is the same, so that every code of one is drawn by the others, too.
func TestServersThatDrawTheSameCodesGiveOutDifferentOnes(t *testing.T) {
	t.Parallel()
	secret := []byte(rand.Text() + rand.Text())
	var seed [32]byte
	services := func(database string, n int) (all []*issuer.Issuer) {
		openService(t, database, secret, rand.Reader) // makes the keys, which the others only read
		for range n {
			all = append(all, openService(t, database, secret, mathrand.NewChaCha8(seed)))
		}
		return all
	}
	alone := services(pgtest.Database(t), 1)[0]
	together := services(pgtest.Database(t), 3)
	seen := map[string]bool{}
	for round := range 20 {
		for i, s := range together {
			code := startDevice(t, s)
			if round == 0 && i == 0 && code != startDevice(t, alone) {
				t.Fatal("the services do not draw the same codes: this shows nothing")
			}
			if seen[code] {
				t.Errorf("service %d gives out the user code %s once more", i, code)
			}
			seen[code] = true
		}
	}
}

func openService(t *testing.T, database string, secret []byte, random io.Reader) *issuer.Issuer {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	store, err := postgres.Open(t.Context(), database, log)
	if err != nil {
		t.Fatal(err)
	}
	s, err := issuer.New(t.Context(), issuer.Options{
		Store: store, Others: store, Secret: secret, Clock: time.Now, Rand: random, Log: log,
		Settings: authz.Settings{
			Issuer: "http://localhost:8628", DeviceCodeLifetime: time.Minute, PollInterval: time.Second, OpenClients: true, PendingLimit: 1000,
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.Close()
		store.Close()
	})
	return s
}

func startDevice(t *testing.T, s *issuer.Issuer) (userCode string) {
	t.Helper()
	client, err := s.Clients.Get(t.Context(), "my-app")
	if err != nil {
		t.Fatal(err)
	}
	d, err := s.Device.Authorize(t.Context(), client, asking.AuthorizationRequest{})
	if err != nil {
		t.Fatal(err)
	}
	return d.UserCode
}
