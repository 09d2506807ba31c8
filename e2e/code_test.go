//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"
)

// step is what a client of the authorization code flow tells of its run.
type step struct {
	event
	URL  string `json:"url"`  // authorize: where it sends its user's browser
	Name string `json:"name"` // what it tried
	// Title and Status are how it was refused, with the Text.
	Title  string `json:"title"`
	Status int    `json:"status"`
	// The types of its tokens, what it was told of one, and how it was refused afterwards.
	Types        []string          `json:"types"`
	Introspected map[string]any    `json:"introspected"`
	Refused      map[string]string `json:"refused"`
	// SignedOut: it had the session here ended, and its user came back from that.
	SignedOut bool `json:"signed_out"`
	// What a Better Auth server has then.
	Cookie   string           `json:"cookie"`
	Users    []map[string]any `json:"users"`
	Accounts []map[string]any `json:"accounts"`
}

// journey runs a client to its end. Wherever it sends its user, the owner goes, allows, and
// is led back; a code that it shows the owner approves. What it told besides is returned.
func journey(t *testing.T, g *gate, o *owner, cmd *exec.Cmd) []step {
	t.Helper()
	back, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer back.Close()
	var told []step
	err = readEvents(cmd, func(s step) {
		switch s.Event {
		case "authorize":
		case "code":
			if err := o.decide(t.Context(), g.URL, s.UserCode, "approve"); err != nil {
				t.Error(err)
			}
			return
		default:
			told = append(told, s)
			return
		}
		to, err := o.allow(t.Context(), g.URL, s.URL)
		if err != nil {
			t.Error(err)
			back.Close()
			return
		}
		fmt.Fprintln(back, to)
	})
	if err != nil {
		t.Fatalf("the client ended: %v; it told %+v", err, told)
	}
	return told
}

var (
	transactionField = regexp.MustCompile(`name="transaction" value="([^"]+)"`)
	scopeField       = regexp.MustCompile(`name="scope" value="([^"]+)"`)
)

// allow goes where an application sends its user, as a browser without scripts does,
// allows all that is asked, and returns the address of the application that it is led to.
func (o *owner) allow(ctx context.Context, issuer, address string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	browser := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	var form url.Values
	for {
		method := http.MethodGet
		if form != nil {
			method = http.MethodPost
		}
		req, err := http.NewRequestWithContext(ctx, method, address, strings.NewReader(form.Encode()))
		if err != nil {
			return "", err
		}
		req.Header.Set("Cookie", o.cookie)
		req.Header.Set("Accept", "text/html")
		if form != nil {
			req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			req.Header.Set("Origin", issuer)
		}
		resp, err := browser.Do(req)
		if err != nil {
			return "", err
		}
		page, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil {
			return "", err
		}
		form = nil
		transaction := transactionField.FindSubmatch(page)
		switch to, err := resp.Location(); {
		case err == nil && !strings.HasPrefix(to.String(), issuer+"/"):
			return to.String(), nil
		case err == nil:
			address = to.String()
		case transaction != nil:
			form = url.Values{"transaction": {string(transaction[1])}, "decision": {"approve"}}
			for _, scope := range scopeField.FindAllSubmatch(page, -1) {
				if string(scope[1]) != o.leavesOut {
					form.Add("scope", string(scope[1]))
				}
			}
			address = issuer + "/device/decide"
		default:
			return "", &errStatus{status: resp.StatusCode, body: string(page)}
		}
	}
}
