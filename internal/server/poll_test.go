package server_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"countersign.dev/internal/authz"
)

func TestD22_D23_ThePollNeedsItsGrantTypeAndCode(t *testing.T) {
	h := newHouse(t)
	for _, path := range []string{pollPath, tokenPath} {
		for _, c := range []struct {
			form url.Values
			want string
		}{
			{url.Values{"client_id": {"pub-a"}, "grant_type": {"device_code"}, "device_code": {"x"}}, "unsupported_grant_type"},
			{url.Values{"client_id": {"pub-a"}, "device_code": {"x"}}, "invalid_request"},
			{url.Values{"client_id": {"pub-a"}, "grant_type": {deviceGrant}}, "invalid_request"},
			{url.Values{"client_id": {"pub-a"}, "grant_type": {deviceGrant}, "device_code": {"csd_unknown"}}, "invalid_grant"},
		} {
			h.postForm(path, c.form).wantError(http.StatusBadRequest, c.want)
		}
	}
}

func TestD24_ACodeIsItsClientsOwn(t *testing.T) {
	h := newHouse(t)
	d := h.ask("pub-a", "openid")
	h.approve(h.signIn("alice"), d.userCode)
	thief := d
	thief.client = "pub-b"
	h.poll(thief).wantError(http.StatusBadRequest, "invalid_grant")
	h.poll(d).wantOK()
}

func TestD25_D26_PendingThenSlowDownThenPending(t *testing.T) {
	h := newHouse(t)
	d := h.ask("pub-a", "openid")
	h.poll(d).wantError(http.StatusBadRequest, "authorization_pending")
	h.advance(100 * time.Millisecond)
	r := h.poll(d)
	r.wantError(http.StatusBadRequest, "slow_down")
	if r.members()["interval"] != 10.0 {
		t.Errorf("%s", r.body)
	}
	h.advance(9900 * time.Millisecond)
	h.poll(d).wantError(http.StatusBadRequest, "authorization_pending")
}

func TestD27_AnApprovedCodeRedeemsAtTheNextWellTimedPoll(t *testing.T) {
	h := newHouse(t)
	d := h.ask("pub-a", "openid")
	h.poll(d).wantError(http.StatusBadRequest, "authorization_pending")
	h.approve(h.signIn("alice"), d.userCode)
	h.poll(d).wantError(http.StatusBadRequest, "slow_down")
	h.advance(10 * time.Second)
	h.poll(d).wantOK()
}

func TestD28_ADeniedDeviceIsToldSo(t *testing.T) {
	h := newHouse(t)
	d := h.ask("pub-a", "openid")
	cookie := h.signIn("alice")
	h.open(cookie, d.userCode).wantOK()
	h.postJSON(denyPath, map[string]any{"userCode": d.userCode}, "Cookie", cookie).wantOK()
	for range 2 {
		h.poll(d).wantError(http.StatusBadRequest, "access_denied")
		h.advance(5 * time.Second)
	}
}

func TestD29_AnExpiredCodeGivesNothingApprovedOrNot(t *testing.T) {
	h := newHouse(t)
	waiting, approved := h.ask("pub-a", "openid"), h.ask("pub-a", "openid")
	h.advance(15*time.Minute - 2*time.Second)
	h.approve(h.signIn("alice"), approved.userCode)
	h.advance(2 * time.Second)
	h.poll(waiting).wantError(http.StatusBadRequest, "expired_token")
	h.poll(approved).wantError(http.StatusBadRequest, "expired_token")
}

// What the review says of a permission's end is what everything says afterwards,
// however late the device comes for its token.
func TestAPermissionLastsAsLongAsTheReviewSays(t *testing.T) {
	for name, c := range map[string]struct {
		scope       string
		once, whole time.Duration
		late        time.Duration // between the decision and the device's poll
		said, token string
	}{
		"an hour":                    {"openid", time.Hour, 100 * 24 * time.Hour, 13 * time.Minute, "lasts 1 hour, then", "2820"},
		"an hour and a half":         {"openid", 90 * time.Minute, 100 * 24 * time.Hour, time.Minute, "lasts 90 minutes, then", "5340"},
		"a day and a half, renewed":  {"openid offline_access", time.Hour, 36 * time.Hour, 13 * time.Minute, "36 hours at most", "3600"},
		"half an hour, renewed":      {"openid offline_access", time.Hour, 30 * time.Minute, 10 * time.Minute, "30 minutes at most", "1200"},
		"shorter than a code's life": {"openid", time.Minute, time.Hour, 61 * time.Second, "lasts 1 minute, then", "expired_token"},
	} {
		h := newHouse(t, func(s *authz.Settings) { s.AccessTokenLifetime, s.RefreshLifetime = c.once, c.whole })
		lasts := c.once
		if strings.Contains(c.scope, "offline") {
			lasts = c.whole
		}
		d := h.ask("pub-a", c.scope)
		h.advance(time.Minute)
		cookie := h.signIn("alice")
		page, _ := h.review(cookie, d.userCode)
		page.wantPage(200, c.said)
		facts := h.signed("alice", http.MethodGet, "/api/auth/device/approval?user_code="+d.userCode, "").wantOK().members()
		if facts["lasts"] != lasts.Seconds() {
			t.Errorf("%s: the facts say %v", name, facts["lasts"])
		}
		h.approve(cookie, d.userCode)
		decided := h.now()
		ends := decided.Add(lasts)
		var grants struct {
			Grants []struct {
				ID        string `json:"id"`
				CreatedAt int64  `json:"created_at"`
				ExpiresAt int64  `json:"expires_at"`
			} `json:"grants"`
		}
		list := h.send(http.MethodGet, "/api/grants", "", "Cookie", cookie).wantOK()
		if err := json.Unmarshal([]byte(list.body), &grants); err != nil || len(grants.Grants) != 1 {
			t.Fatalf("%s: %v %s", name, err, list.body)
		}
		g := grants.Grants[0]
		if g.ExpiresAt != ends.Unix() || g.ExpiresAt-g.CreatedAt != int64(lasts.Seconds()) {
			t.Errorf("%s: the list says from %d to %d, want %d", name, g.CreatedAt, g.ExpiresAt, ends.Unix())
		}
		for _, address := range []string{"/device/done/" + g.ID, "/account"} {
			h.send(http.MethodGet, address, "", "Cookie", cookie).wantPage(200, ends.UTC().Format("2006-01-02T15:04"))
		}
		h.advance(c.late)
		r := h.poll(d)
		if c.token == "expired_token" {
			r.wantError(http.StatusBadRequest, c.token)
			continue
		}
		_, access := claimsOf(t, r.wantOK().text("access_token"))
		_, id := claimsOf(t, r.text("id_token"))
		for what, exp := range map[string]any{"access token": access["exp"], "ID token": id["exp"]} {
			if end, _ := exp.(float64); int64(end) > ends.Unix() {
				t.Errorf("%s: the %s outlives the permission by %d s", name, what, int64(end)-ends.Unix())
			}
		}
		if fmt.Sprint(r.members()["expires_in"]) != c.token {
			t.Errorf("%s: expires_in is %v, want %s", name, r.members()["expires_in"], c.token)
		}
	}
}

func TestD30_D31_SuccessIsATokenResponseOnce(t *testing.T) {
	h := newHouse(t)
	for _, path := range []string{pollPath, tokenPath} {
		d := h.ask("pub-a", "openid profile offline_access")
		h.approve(h.signIn("alice"), d.userCode)
		form := map[string]any{"grant_type": deviceGrant, "device_code": d.deviceCode, "client_id": d.client}
		r := h.postJSON(path, form).wantOK()
		if r.text("token_type") != "Bearer" || r.members()["expires_in"] != 3600.0 || r.text("scope") != "openid profile offline_access" ||
			r.text("access_token") == "" || r.text("id_token") == "" || r.text("refresh_token") == "" {
			t.Errorf("%s: %s", path, r.body)
		}
		h.advance(5 * time.Second)
		h.postJSON(path, form).wantError(http.StatusBadRequest, "invalid_grant")
	}
}

func TestD32_SixtyFourParallelPollsGetOneTokenResponse(t *testing.T) {
	h := newHouse(t)
	d := h.ask("pub-a", "openid")
	h.approve(h.signIn("alice"), d.userCode)
	var mu sync.Mutex
	won := 0
	var together sync.WaitGroup
	for range 64 {
		together.Go(func() {
			r := h.poll(d)
			mu.Lock()
			defer mu.Unlock()
			if r.status == http.StatusOK {
				won++
			} else if r.text("error") == "" {
				t.Errorf("%d %s", r.status, r.body)
			}
		})
	}
	together.Wait()
	if won != 1 {
		t.Errorf("%d polls got tokens", won)
	}
}

// waitingPoll sends a poll that waits and returns its answer when it comes.
func waitingPoll(ctx context.Context, h *house, d device) <-chan reply {
	answered := make(chan reply, 1)
	form := url.Values{"grant_type": {deviceGrant}, "device_code": {d.deviceCode}, "client_id": {d.client}}
	r := httptest.NewRequestWithContext(ctx, http.MethodPost, pollPath, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Prefer", "wait=30")
	go func() {
		w := httptest.NewRecorder()
		h.handler.ServeHTTP(w, r)
		answered <- reply{h.t, w.Code, w.Header(), w.Body.String()}
	}()
	return answered
}

func TestAWaitingPollIsAnsweredAtTheDecision(t *testing.T) {
	h := newHouse(t)
	for _, decision := range []string{"approve", "deny"} {
		d := h.ask("pub-a", "openid")
		answered := waitingPoll(t.Context(), h, d)
		select {
		case r := <-answered:
			t.Fatalf("answered before the decision: %s", r.body)
		default:
		}
		cookie := h.signIn("alice")
		h.open(cookie, d.userCode).wantOK()
		h.postJSON("/api/auth/device/"+decision, map[string]any{"userCode": d.userCode}, "Cookie", cookie).wantOK()
		r := <-answered
		if decision == "approve" {
			if r.wantOK(); r.header.Get("Preference-Applied") != "wait=30" {
				t.Errorf("Preference-Applied: %q", r.header.Get("Preference-Applied"))
			}
		} else {
			r.wantError(http.StatusBadRequest, "access_denied")
		}
	}
}

func TestAStoppingServerAnswersThosePollsThatWait(t *testing.T) {
	h := newHouse(t)
	answered := waitingPoll(t.Context(), h, h.ask("pub-a", "openid"))
	h.service.Drain()
	r := <-answered
	r.wantError(http.StatusBadRequest, "authorization_pending")
}

func TestAClientThatGoesAwayFreesItsPlace(t *testing.T) {
	h := newHouse(t)
	ctx, cancel := context.WithCancel(t.Context())
	answered := waitingPoll(ctx, h, h.ask("pub-a", "openid"))
	cancel()
	<-answered // the handler returns; goroutines left behind would fail the race run
}

func TestThousandsMayWaitAtOnce(t *testing.T) {
	const many = 2000
	h := newHouse(t)
	devices, answers := make([]device, many), make([]<-chan reply, many)
	for i := range devices {
		devices[i] = h.ask("pub-a", "openid")
		answers[i] = waitingPoll(t.Context(), h, devices[i])
	}
	cookie := h.signIn("alice")
	h.approve(cookie, devices[0].userCode)
	(<-answers[0]).wantOK()
	h.service.Drain()
	for _, a := range answers[1:] {
		if r := <-a; r.text("error") != "authorization_pending" {
			t.Fatalf("%s", r.body)
		}
	}
}
