package server_test

import (
	"context"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"countersign.dev/bitcoinauth"
	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/contract"
)

// What was looked at a moment ago may have changed when it is stored: the store says
// so, and who asked is told what is so now. Each row is what one call of a request that
// would succeed finds; done is that the other request did the same.
func TestWhatAnotherRequestDidMeanwhileIsTold(t *testing.T) {
	f := newFrail(t)
	f.settings.RefreshGrace = 0
	f.restart()
	alice := f.ownerOf(f.cookie).AccountID
	state := func(s authz.State, account string, expires time.Time) error {
		return &contract.StateError{Request: authz.DeviceRequest{State: s, AccountID: account, ExpiresAt: expires}}
	}
	later := f.now().Add(1000 * time.Hour)
	for name, c := range map[string]struct {
		route, ask, method string
		err                error
		done               bool
		status             int
		says               string
	}{
		"the voucher was taken out":          {"POST " + identitiesPath, "", "LinkIdentity", contract.ErrNotFound, false, 403, "X-Vouch-Token is not accepted"},
		"another account linked it":          {"POST " + identitiesPath, "", "LinkIdentity", contract.ErrExists, false, 403, "belongs to another account"},
		"this account linked it":             {"POST " + identitiesPath, "", "LinkIdentity", contract.ErrExists, true, 200, ""},
		"it is full of identities":           {"POST " + identitiesPath, "", "LinkIdentity", contract.ErrFull, false, 400, "20 identities at most"},
		"the identity was taken out":         {"POST " + identitiesPath + "/{id}/remove", "", "RemoveIdentity", contract.ErrNotFound, false, 404, "no such identity"},
		"the passkey's identity is gone":     {"POST " + passkeysPath, "", "AddPasskey", contract.ErrNotFound, false, 403, "of no identity of this account"},
		"the passkey was added":              {"POST " + passkeysPath, "", "AddPasskey", contract.ErrExists, false, 400, "here already"},
		"it is full of passkeys":             {"POST " + passkeysPath, "", "AddPasskey", contract.ErrFull, false, 400, "20 passkeys at most"},
		"the passkey was removed":            {"POST " + passkeysPath + "/{id}/remove", "", "RemovePasskey", contract.ErrNotFound, false, 404, "no such passkey"},
		"the passkey that signs in is gone":  {"POST " + passkeySignInPath, "", "CreateSession", contract.ErrNotFound, false, 401, "not accepted here"},
		"the passkey has signed in":          {"POST " + passkeySignInPath, "", "CreateSession", contract.ErrCounter, false, 401, "not accepted here"},
		"the identity that signs in is gone": {"POST " + signInPath, "somebody again", "CreateSession", contract.ErrNotFound, false, 401, "taken out of its account"},
		"the same key has signed up":         {"POST " + signInPath, "somebody new", "CreateAccount", contract.ErrExists, true, 200, ""},
		"the signature was used":             {"POST " + signInPath, "somebody again", "UseOnce", contract.ErrExists, false, 401, "used before"},
		"the ceremony was used":              {"POST " + passkeySignInPath, "", "UseOnce", contract.ErrExists, false, 400, "done before"},
		"the backup's identity is gone":      {"POST " + backupPath, "", "SaveBackup", contract.ErrNotFound, false, 404, "no such identity"},
		"the backup was removed":             {"POST " + backupPath + "/remove", "", "RemoveBackup", contract.ErrNotFound, false, 404, "no backup"},
		"the session has ended":              {"POST /api/sessions/{id}/end", "", "EndSession", contract.ErrNotFound, false, 404, "no such session"},
		"the user code is taken":             {"POST " + codePath, "", "CreateDeviceRequest", contract.ErrExists, false, 200, ""},
		"another poll was first":             {"POST " + pollPath, "approved", "RedeemDeviceRequest", state(authz.Redeemed, alice, later), false, 400, "already redeemed"},
		"the code was removed":               {"POST " + pollPath, "approved", "RedeemDeviceRequest", contract.ErrNotFound, false, 400, "already redeemed"},
		"the code expired under the poll":    {"POST " + pollPath, "approved", "RedeemDeviceRequest", state(authz.Approved, alice, time.Time{}), false, 400, "has expired"},
		"the grant ended under the poll":     {"POST " + pollPath, "approved", "LiveGrant", contract.ErrNotFound, false, 400, "denied"},
		"the refresh token was used":         {"POST " + tokenPath, "refresh", "RotateRefreshToken", contract.ErrReused, false, 400, "unknown, expired, revoked"},
		"the grant is forgotten":             {"POST " + pollPath, "taken back before it was redeemed", "Grant", contract.ErrNotFound, false, 400, "denied"},
		"the grant of an old token is swept": {"POST " + tokenPath, "replaced long ago", "RevokeGrant", contract.ErrNotFound, false, 400, "unknown, expired, revoked"},
		"the reviewed request was removed":   {"POST /device/decide", "approve", "DeviceRequestByID", contract.ErrNotFound, false, 400, "cannot be used"},
		"the grant ended under the refresh":  {"POST " + tokenPath, "refresh", "LiveGrant", contract.ErrNotFound, false, 400, "unknown, expired, revoked"},
		"the grant of a token was swept":     {"POST " + revokePath, "refresh token", "Grant", contract.ErrNotFound, false, 200, ""},
		"the client of a token was removed":  {"GET " + userinfoPath, "", "LiveGrant", contract.ErrNotFound, false, 401, "revoked"},
		"the owner was signed out":           {"POST " + approvePath, "by session", "ApproveDeviceRequest", contract.ErrGone, false, 401, "nobody is signed in"},
		"the request was removed":            {"POST " + approvePath, "by session", "ApproveDeviceRequest", contract.ErrNotFound, false, 400, "no such code"},
		"it is full of grants":               {"POST " + approvePath, "by session", "ApproveDeviceRequest", contract.ErrFull, false, 400, "200 devices"},
		"the request expired":                {"POST " + approvePath, "by session", "ApproveDeviceRequest", state(authz.Pending, alice, time.Time{}), false, 400, "has expired"},
		"somebody else opened it":            {"POST " + approvePath, "signed", "ApproveDeviceRequest", state(authz.Pending, "another", later), false, 403, "opened by somebody else"},
		"too many opened it":                 {"POST " + approvePath, "by session", "ApproveDeviceRequest", state(authz.Denied, "", later), false, 403, "too many people"},
		"it was decided":                     {"POST " + approvePath, "by session", "ApproveDeviceRequest", state(authz.Denied, alice, later), false, 400, "already decided"},
		"nobody has it open":                 {"POST " + approvePath, "by session", "ApproveDeviceRequest", state(authz.Pending, "", later), false, 400, "not opened yet"},
		"it was approved and is denied":      {"POST " + denyPath, "by session", "DenyDeviceRequest", state(authz.Approved, alice, later), false, 400, "already decided"},
		"it is opened after its approval":    {"GET /api/auth/device", "signed in", "OpenDeviceRequest", state(authz.Approved, alice, later), false, 200, `"status":"approved"`},
		"it is opened after it was redeemed": {"GET /api/auth/device", "signed in", "OpenDeviceRequest", state(authz.Redeemed, alice, later), false, 200, `"status":"approved"`},
		"it is opened after its denial":      {"GET /api/auth/device", "signed in", "OpenDeviceRequest", state(authz.Denied, alice, later), false, 200, `"status":"denied"`},
		"it is opened after too many":        {"GET /api/auth/device", "signed in", "OpenDeviceRequest", state(authz.Denied, "", later), false, 403, "too many people"},
		"it is opened after another did":     {"GET /api/auth/device", "signed in", "OpenDeviceRequest", state(authz.Pending, "another", later), false, 403, "opened by somebody else"},
		"it is opened after it expired":      {"GET /api/auth/device", "signed in", "OpenDeviceRequest", state(authz.Approved, alice, time.Time{}), false, 400, "has expired"},
		"another approved it for himself":    {"GET /api/auth/device", "signed in", "OpenDeviceRequest", state(authz.Approved, "another", later), false, 403, "opened by somebody else"},
		"the review was used":                {"POST /device/decide", "approve", "TakeReview", contract.ErrNotFound, false, 400, "is used up"},
	} {
		ask := asks[c.route][c.ask]
		if ask == nil {
			ask = refused[c.route][c.ask]
		}
		if ask == nil {
			t.Fatalf("%s: %s %q is asked nothing", name, c.route, c.ask)
		}
		request := ask(f)
		f.advance(2 * time.Second)
		var r reply
		calls := f.store.during(&fault{c.method, 1, c.done, c.err}, func(ctx context.Context) { r = f.do(ctx, request) })
		if r.status != c.status || !strings.Contains(r.body, c.says) {
			t.Errorf("%s: %d %.300s, after %v", name, r.status, r.body, calls)
		}
		if r.status == http.StatusOK && strings.Contains(r.body, "error") {
			t.Errorf("%s: %s", name, r.body)
		}
	}
}

// held is a store that keeps waiting who asks for something, until it is let go.
type held struct {
	contract.Store
	asked, letGo chan struct{}
	what         string // a code, a slip or a list
}

func (s *held) wait(ctx context.Context, what string) {
	if what != s.what {
		return
	}
	select {
	case s.asked <- struct{}{}:
		<-s.letGo
	case <-ctx.Done():
	}
}

func (s *held) DeviceRequestByUserCode(ctx context.Context, code authz.Hash) (authz.DeviceRequest, error) {
	s.wait(ctx, "a code")
	return s.Store.DeviceRequestByUserCode(ctx, code)
}

func (s *held) Guesses(ctx context.Context, subjects []string, window time.Time) ([]int, error) {
	if strings.HasPrefix(subjects[0], "slip:") {
		s.wait(ctx, "a slip")
	}
	return s.Store.Guesses(ctx, subjects, window)
}

func (s *held) Passkeys(ctx context.Context, accountID string, limit int) ([]authz.Passkey, error) {
	s.wait(ctx, "a list")
	return s.Store.Passkeys(ctx, accountID, limit)
}

// Those who try the same, or read the lists of one account, take turns. Who goes away
// while waiting has done nothing, and is answered nothing.
func TestWhoGoesAwayBeforeItsTurnHasDoneNothing(t *testing.T) {
	approving := func(h *house) func() call {
		d := h.ask("some-app", "openid")
		body := `{"userCode":"` + d.userCode + `","match":"","statement":` + inJSON(h.statementOf("alice", d.userCode)) + `}`
		return func() call {
			return call{http.MethodPost, approvePath, body, append(jsonBody, bitcoinauth.Header, h.sign("alice", approvePath, body))}
		}
	}
	listing := func(h *house) func() call {
		cookie := h.signIn("alice")
		return func() call { return call{http.MethodGet, passkeysPath, "", []string{"Cookie", cookie}} }
	}
	for what, row := range map[string]struct {
		request func(h *house) func() call
		status  int // of the first
	}{
		"a code": {approving, http.StatusBadRequest}, "a slip": {approving, http.StatusBadRequest}, "a list": {listing, http.StatusOK},
	} {
		h := newHouse(t)
		request := row.request(h)
		kept, store := h.store, &held{Store: h.store, asked: make(chan struct{}), letGo: make(chan struct{}), what: what}
		h.store = store
		h.restart()
		send := func(ctx context.Context) <-chan reply {
			answered := make(chan reply, 1)
			c := request()
			go func() { answered <- h.do(ctx, c) }()
			return answered
		}
		first := send(context.Background())
		<-store.asked
		ctx, leave := context.WithCancel(t.Context())
		second := send(ctx)
		for range 5 { // which takes longer than to come to the turn
			h.ask("pub-a", "openid")
		}
		leave()
		if r := <-second; r.body != "" || len(h.lines("panic")) > 0 || len(h.lines("request failed")) > 0 {
			t.Errorf("%s: %d %s\n%s", what, r.status, r.body, h.log.String())
		}
		close(store.letGo)
		if r := <-first; r.status != row.status {
			t.Errorf("%s: the first hears %d", what, r.status)
		}
		h.store = kept
	}
}

// counting is a store in which a count waits until it is let go, or fails.
type counting struct {
	contract.Store
	asked, letGo chan struct{}
	full         atomic.Bool
	calls        atomic.Int32
}

func (s *counting) CountGuesses(ctx context.Context, subjects []string, window time.Time) error {
	s.calls.Add(1)
	if s.full.Load() {
		return errAway
	}
	s.asked <- struct{}{}
	<-s.letGo
	return s.Store.CountGuesses(ctx, subjects, window)
}

// A database that is slow to count is waited for by one.
func TestB02_OneCountsWhatIsOwedAndNobodyWaitsForIt(t *testing.T) {
	h := newHouse(t)
	d := h.ask("pub-a", "openid")
	kept, store := h.store, &counting{Store: h.store, asked: make(chan struct{}, 2), letGo: make(chan struct{})}
	h.store = store
	h.restart()
	look := func(code string) reply { return h.send(http.MethodGet, statusPath+code, "") }
	h.from(here)
	store.full.Store(true)
	look(wrong(1)).wantError(http.StatusServiceUnavailable, "temporarily_unavailable")
	store.full.Store(false)
	first := make(chan reply)
	go func() { first <- look(d.userCode) }()
	<-store.asked
	h.sentFrom(elsewhere, func() reply { // signed, which takes no turn of the site's
		return h.signed("bob", http.MethodGet, "/api/auth/device/approval?user_code="+d.userCode, "")
	}).wantError(http.StatusServiceUnavailable, "temporarily_unavailable")
	close(store.letGo)
	(<-first).wantOK()
	if n := store.calls.Load(); n != 2 {
		t.Errorf("it was counted %d times", n)
	}
	h.store = kept
}
