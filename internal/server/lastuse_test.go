package server_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"testing"
	"time"
)

// lastUsed is what the owner is told of the last use of the one grant there is.
func (h *house) lastUsed(cookie string) time.Time {
	h.t.Helper()
	var list struct {
		Grants []struct {
			LastUsedAt int64 `json:"last_used_at"`
		}
	}
	if err := json.Unmarshal([]byte(h.send(http.MethodGet, "/api/grants", "", "Cookie", cookie).wantOK().body), &list); err != nil {
		h.t.Fatal(err)
	}
	if len(list.Grants) != 1 {
		h.t.Fatalf("%d grants", len(list.Grants))
	}
	return time.Unix(list.Grants[0].LastUsedAt, 0)
}

// An owner who looks for what is still in use would keep what is not, and take back
// what is.
func TestTheLastUseOfAGrantIsThatOfItsTokens(t *testing.T) {
	h := newHouse(t)
	token := h.tokens("tv", "openid profile", "alice").text("access_token")
	cookie := h.signIn("alice")
	begun := h.lastUsed(cookie)
	for _, step := range []struct {
		after time.Duration
		noted bool // several uses in a few minutes are one write
	}{{4 * time.Minute, false}, {2 * time.Minute, true}, {time.Minute, false}, {40 * time.Minute, true}} {
		before := h.lastUsed(cookie)
		h.advance(step.after)
		h.userInfo(token).wantOK()
		want := before
		if step.noted {
			want = time.Unix(h.now().Unix(), 0)
		}
		if got := h.lastUsed(cookie); !got.Equal(want) {
			t.Errorf("%v after the sign-in the last use is said to be after %v, want %v", h.now().Sub(begun), got.Sub(begun), want.Sub(begun))
		}
	}
}

// Where an API is asked for something with a token, this server hears of it when the API asks
// about the token, or exchanges it.
func TestTheLastUseOfAGrantIsAlsoThatOfItsTokensElsewhere(t *testing.T) {
	h := newHouse(t)
	chain(h)
	token := h.subject()
	cookie := h.signIn("alice")
	for name, use := range map[string]func(){
		"asked about": func() { h.introspect("rs-2", token).wantActive() },
		"exchanged":   func() { h.exchanges("rs-1", token).wantOK() },
	} {
		h.advance(6 * time.Minute)
		if use(); h.lastUsed(cookie).Unix() != h.now().Unix() {
			t.Errorf("%s: its owner is told %v, and it is %v", name, h.lastUsed(cookie), h.now())
		}
	}
	h.advance(6 * time.Minute)
	before := h.lastUsed(cookie)
	if h.introspect("app", h.itself("app")).wantActive(); !h.lastUsed(cookie).Equal(before) {
		t.Error("a client's own token is a use of somebody's grant")
	}
}

func TestAUseThatCannotBeNotedIsAnsweredAllTheSame(t *testing.T) {
	f := newFrail(t)
	token := f.issued().text("access_token")
	f.advance(time.Hour / 2)
	f.store.during(&fault{method: "UseGrant", n: 1, err: errors.New("the disk is full")}, func(ctx context.Context) {
		f.do(ctx, call{http.MethodGet, userinfoPath, "", []string{"Authorization", "Bearer " + token}}).wantOK()
	})
	if n := len(f.lines("noting the use of a grant failed")); n != 1 {
		t.Errorf("%d lines in the log, want one", n)
	}
	// A database that takes no writes is left alone for a minute: it may say so late.
	kept := f.lastUsed(f.signIn("alice"))
	for _, noted := range []bool{false, true} {
		f.userInfo(token).wantOK()
		if got := f.lastUsed(f.signIn("alice")); got.After(kept) != noted {
			t.Errorf("the last use is %v after what was kept; noted is to be %t", got.Sub(kept), noted)
		}
		f.advance(time.Minute)
	}
}
