package issuer_test

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/approval"
	"countersign.dev/internal/authz/device"
)

// in is the asker in a browser with this number; 0 is what is no browser.
func in(browser int) authz.Asker {
	a := asker
	if browser > 0 {
		a.Browser = sha256.Sum256([]byte(fmt.Sprint(browser)))
	}
	return a
}

func TestK03_ACodeThatFiveBrowsersOpenIsCancelled(t *testing.T) {
	w := newWorld(t, t.TempDir())
	d, err := w.service.Device.Authorize(t.Context(), client("my-app"), device.AuthorizationRequest{})
	if err != nil {
		t.Fatal(err)
	}
	open := func(browser int) error {
		_, _, err := w.service.Approvals.Open(t.Context(), w.owners[0], in(browser), d.UserCode, true)
		return err
	}
	for _, browser := range []int{1, 2, 0, 2, 3, 4, 4, 1, 0} {
		if err := open(browser); err != nil {
			t.Fatalf("browser %d: %v", browser, err)
		}
	}
	if err := open(5); !errors.Is(err, authz.Forbidden) {
		t.Errorf("the fifth browser got %v", err)
	}
	for _, browser := range []int{1, 5} {
		if _, _, err := w.service.Approvals.Review(t.Context(), w.owners[0], in(browser), d.UserCode); !errors.Is(err, authz.Forbidden) {
			t.Errorf("afterwards: %v", err)
		}
	}
	if _, err := w.service.Device.Poll(t.Context(), client("my-app"), d.DeviceCode, 0, authz.Proofs{}); !errors.Is(err, authz.AccessDenied) {
		t.Errorf("the device heard %v", err)
	}
}

func TestK03_ADecisionAtTheSameTimeAsTheLastOpeningStands(t *testing.T) {
	w := newWorld(t, t.TempDir())
	for range 20 {
		d, err := w.service.Device.Authorize(t.Context(), client("my-app"), device.AuthorizationRequest{})
		if err != nil {
			t.Fatal(err)
		}
		for browser := 1; browser < 5; browser++ {
			if _, _, err := w.service.Approvals.Open(t.Context(), w.owners[0], in(browser), d.UserCode, true); err != nil {
				t.Fatal(err)
			}
		}
		approved := make(chan error, 1)
		go func() {
			_, err := w.service.Approvals.Approve(t.Context(), w.owners[0], asker, approval.Decision{UserCode: d.UserCode})
			approved <- err
		}()
		_, _, opened := w.service.Approvals.Open(t.Context(), w.owners[0], in(5), d.UserCode, true)
		if opened != nil && !promised(opened) {
			t.Errorf("the opener got %v", opened)
		}
		_, redeemed := w.service.Device.Poll(t.Context(), client("my-app"), d.DeviceCode, 0, authz.Proofs{})
		switch err := <-approved; {
		case err == nil && errors.Is(redeemed, authz.AccessDenied):
			t.Error("approved, and denied all the same")
		case err != nil && (!promised(err) || redeemed == nil):
			t.Errorf("approving got %v, the device %v", err, redeemed)
		}
	}
}

// What became of a request that nobody may use is said as it is.
func TestK03_WhoLooksIsToldWhatBecameOfARequest(t *testing.T) {
	w := newWorld(t, t.TempDir())
	says := func(err error, code authz.Code, words string) {
		t.Helper()
		refusal := new(authz.Error)
		if !errors.As(err, &refusal) || refusal.Code != code || !strings.Contains(refusal.Description, words) {
			t.Errorf("got %v, want %s and %q", err, code, words)
		}
	}
	d, err := w.service.Device.Authorize(t.Context(), client("my-app"), device.AuthorizationRequest{})
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = w.service.Approvals.Review(t.Context(), w.owners[0], asker, d.UserCode)
	says(err, authz.NotOpened, "not opened yet")
	if _, r, err := w.service.Approvals.Open(t.Context(), w.owners[0], asker, d.UserCode, false); err != nil || r.AccountID != "" {
		t.Errorf("looking without claiming: %q %v", r.AccountID, err)
	}
	for owner := range w.owners[:2] {
		_, _, err = w.service.Approvals.Open(t.Context(), w.owners[owner], asker, d.UserCode, true)
	}
	says(err, authz.Forbidden, "opened by somebody else")
	_, err = w.service.Approvals.Approve(t.Context(), w.owners[1], asker, approval.Decision{UserCode: d.UserCode})
	says(err, authz.Forbidden, "opened by somebody else")
	for range 2 { // the third account cancels it
		_, _, err = w.service.Approvals.Open(t.Context(), w.owners[2], asker, d.UserCode, true)
		says(err, authz.Forbidden, "too many people")
	}
	for _, owner := range w.owners {
		_, err = w.service.Approvals.Approve(t.Context(), owner, asker, approval.Decision{UserCode: d.UserCode})
		says(err, authz.Forbidden, "too many people")
		_, err = w.service.Approvals.Facts(t.Context(), owner, asker, d.UserCode, "")
		says(err, authz.Forbidden, "too many people")
	}
}

// opened is the code of a request that the first owner has opened.
func (w *world) opened(t *testing.T) (userCode string) {
	t.Helper()
	d, err := w.service.Device.Authorize(t.Context(), client("my-app"), device.AuthorizationRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := w.service.Approvals.Open(t.Context(), w.owners[0], asker, d.UserCode, true); err != nil {
		t.Fatal(err)
	}
	return d.UserCode
}

func TestWhatOneDeniedAnotherHearsNothingOf(t *testing.T) {
	w := newWorld(t, t.TempDir())
	ctx := t.Context()
	code := w.opened(t)
	facts, err := w.service.Approvals.Facts(ctx, w.owners[0], asker, code, "")
	if err != nil {
		t.Fatal(err)
	}
	id := facts.Request.ID
	if _, err := w.service.Approvals.Outcome(ctx, w.owners[0], id); !errors.Is(err, authz.NotFound) {
		t.Errorf("before it is decided: %v", err)
	}
	if err := w.service.Approvals.Deny(ctx, w.owners[0], asker, code, false); err != nil {
		t.Fatal(err)
	}
	if out, err := w.service.Approvals.Outcome(ctx, w.owners[0], id); err != nil || out.Approved || out.ID != id {
		t.Errorf("%+v, %v", out, err)
	}
	if _, err := w.service.Approvals.Outcome(ctx, w.owners[1], id); !errors.Is(err, authz.NotFound) {
		t.Errorf("another is told %v", err)
	}
}

// What a form says of itself counts for less than what was shown, and for whom.
func TestAReviewIsDecidedForItsOwnIdentityAndAReportDenies(t *testing.T) {
	w := newWorld(t, t.TempDir())
	ctx, owner := t.Context(), w.owners[0]
	for name, c := range map[string]struct {
		decision approval.ReviewDecision
		want     error
		approved bool
	}{
		"the session's identity": {approval.ReviewDecision{Approve: true, BAPID: owner.BAPID}, nil, true},
		"none that is named":     {approval.ReviewDecision{Approve: true}, nil, true},
		"another identity":       {approval.ReviewDecision{Approve: true, BAPID: w.owners[1].BAPID}, authz.ReviewOver, false},
		"a report":               {approval.ReviewDecision{Approve: true, Report: true}, nil, false},
	} {
		code := w.opened(t)
		facts, transaction, err := w.service.Approvals.Review(ctx, owner, asker, code)
		if err != nil {
			t.Fatal(err)
		}
		c.decision.Transaction, c.decision.Scope, c.decision.Match = transaction, facts.Request.Scope, code[len(code)-4:]
		id, err := w.service.Approvals.Decide(ctx, owner, asker, c.decision)
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
		if out, err := w.service.Approvals.Outcome(ctx, owner, id); (err == nil && out.Approved) != c.approved {
			t.Errorf("%s: approved: %v, %v", name, out.Approved, err)
		}
	}
}

func TestAReviewOfACodeThatIsOverDecidesNothing(t *testing.T) {
	w := newWorld(t, t.TempDir())
	ctx, owner := t.Context(), w.owners[0]
	code := w.opened(t)
	w.clock.advance(codeLifetime - time.Second)
	for _, approve := range []bool{true, false} {
		_, transaction, err := w.service.Approvals.Review(ctx, owner, asker, code)
		if err != nil {
			t.Fatal(err)
		}
		w.clock.advance(time.Second)
		_, err = w.service.Approvals.Decide(ctx, owner, asker, approval.ReviewDecision{Transaction: transaction, Approve: approve, Match: code[len(code)-4:]})
		if !errors.Is(err, authz.ExpiredToken) {
			t.Errorf("approve %v: %v", approve, err)
		}
		w.clock.advance(-time.Second)
	}
}
