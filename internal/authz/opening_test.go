package authz_test

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"testing"

	"countersign.dev/internal/authz"
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
	d, err := w.service.StartDevice(t.Context(), client("my-app"), authz.DeviceAsk{})
	if err != nil {
		t.Fatal(err)
	}
	open := func(browser int) error {
		_, _, err := w.service.OpenDevice(t.Context(), w.owners[0], in(browser), d.UserCode, true)
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
		if _, _, err := w.service.StartReview(t.Context(), w.owners[0], in(browser), d.UserCode); !errors.Is(err, authz.Forbidden) {
			t.Errorf("afterwards: %v", err)
		}
	}
	if _, err := w.service.RedeemDevice(t.Context(), client("my-app"), d.DeviceCode, 0); !errors.Is(err, authz.AccessDenied) {
		t.Errorf("the device heard %v", err)
	}
}

func TestK03_ADecisionAtTheSameTimeAsTheLastOpeningStands(t *testing.T) {
	w := newWorld(t, t.TempDir())
	for range 20 {
		d, err := w.service.StartDevice(t.Context(), client("my-app"), authz.DeviceAsk{})
		if err != nil {
			t.Fatal(err)
		}
		for browser := 1; browser < 5; browser++ {
			if _, _, err := w.service.OpenDevice(t.Context(), w.owners[0], in(browser), d.UserCode, true); err != nil {
				t.Fatal(err)
			}
		}
		approved := make(chan error, 1)
		go func() {
			_, err := w.service.ApproveDevice(t.Context(), w.owners[0], asker, authz.Decision{UserCode: d.UserCode})
			approved <- err
		}()
		_, _, opened := w.service.OpenDevice(t.Context(), w.owners[0], in(5), d.UserCode, true)
		if opened != nil && !promised(opened) {
			t.Errorf("the opener got %v", opened)
		}
		_, redeemed := w.service.RedeemDevice(t.Context(), client("my-app"), d.DeviceCode, 0)
		switch err := <-approved; {
		case err == nil && errors.Is(redeemed, authz.AccessDenied):
			t.Error("approved, and denied all the same")
		case err != nil && (!promised(err) || redeemed == nil):
			t.Errorf("approving got %v, the device %v", err, redeemed)
		}
	}
}
