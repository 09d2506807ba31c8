package main

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"countersign.dev/bench/internal/trial"
)

// The address of an application that nobody has to serve: only its path back is read.
const callback = "https://app.example/callback"

// One verifier serves all codes of a load (RFC 7636 §4.1).
const verifier = "a-load-needs-no-more-than-one-verifier-of-its-own"

var (
	transactionField = regexp.MustCompile(`name="transaction" value="([^"]+)"`)
	scopeField       = regexp.MustCompile(`name="scope" value="([^"]+)"`)
)

// exchange makes a batch of authorization codes, as browsers without scripts do, and
// returns the work of trading them for tokens (RFC 6749 §4.1.3), which ends with them:
// a code lives for a minute, so that each run needs its own.
func (t target) exchange(c *http.Client, conns int) (op, error) {
	// A session has few reviews open at once, so that each connection has owners of its own.
	owners := make(chan *trial.Owners, conns)
	for range conns {
		owners <- &trial.Owners{Device: t.owners.Device}
	}
	all, err := made(conns, t.batch, func() (string, error) {
		mine := <-owners
		defer func() { owners <- mine }()
		session, err := mine.Next(context.Background())
		if err != nil {
			return "", err
		}
		return t.authorized(c, trial.SessionCookie+"="+session)
	})
	if err != nil {
		return nil, err
	}
	codes := make(chan string, len(all))
	for _, code := range all {
		codes <- code
	}
	close(codes)
	return timed(func(ctx context.Context) error {
		code, more := <-codes
		if !more {
			return errDone
		}
		got, status, err := t.asService(ctx, c, t.token, url.Values{
			"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {callback}, "code_verifier": {verifier},
		})
		if err != nil {
			return err
		}
		if _, err := accessToken(got, status); err != nil {
			return fmt.Errorf("exchange: status %d and no token: error %q", status, errorOf(got))
		}
		return nil
	}), nil
}

// authorized is what an owner does who is led to the authorization endpoint: they see
// the review, allow all of it, and are led back with a code.
func (t target) authorized(c *http.Client, cookie string) (string, error) {
	challenge := sha256.Sum256([]byte(verifier))
	address := t.base + "/oauth2/authorize?" + url.Values{
		"client_id": {t.client}, "redirect_uri": {callback}, "response_type": {"code"}, "scope": {t.scope}, "prompt": {"consent"},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(challenge[:])}, "code_challenge_method": {"S256"},
	}.Encode()
	browser := *c
	browser.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	var form url.Values
	for {
		method := http.MethodGet
		if form != nil {
			method = http.MethodPost
		}
		req, err := http.NewRequestWithContext(context.Background(), method, address, strings.NewReader(form.Encode()))
		if err != nil {
			return "", err
		}
		req.Header = http.Header{"Cookie": {cookie}, "Accept": {"text/html"}}
		if form != nil {
			req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			req.Header.Set("Origin", t.origin)
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
		case err == nil && to.Query().Get("code") != "":
			return to.Query().Get("code"), nil
		case err == nil && to.Query().Get("error") == "":
			address = to.String()
		case transaction != nil:
			form = url.Values{"transaction": {string(transaction[1])}, "decision": {"approve"}}
			for _, scope := range scopeField.FindAllSubmatch(page, -1) {
				form.Add("scope", string(scope[1]))
			}
			address = t.base + "/device/decide"
		default:
			return "", fmt.Errorf("authorization: status %d and no way on", resp.StatusCode)
		}
	}
}
