package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"countersign.dev/bench/internal/trial"
)

const deviceGrant = "urn:ietf:params:oauth:grant-type:device_code"

// target says where a server's endpoints are and how it wants to be asked.
type target struct {
	base, code, token, userinfo, approve string
	tokenForm, codeForm                  bool
	client, scope                        string
	cookie, bearer, origin               string
	secret, introspection                string
	refreshTokens                        string
	batch                                int
	owners                               *trial.Owners // instead of a cookie
	userCodeField                        string
	pollSpread                           time.Duration
	pollCodes                            int
	approveAt                            string
	approvals                            float64
	wait                                 time.Duration
}

type device struct {
	DeviceCode, UserCode string
	cookie               string // of the owner who approves it
}

// newClient returns a client that keeps so many connections and opens no more.
func newClient(conns int, timeout time.Duration) *http.Client {
	return &http.Client{
		Transport: &http.Transport{MaxIdleConns: conns, MaxIdleConnsPerHost: conns, MaxConnsPerHost: conns, DisableCompression: true},
		Timeout:   timeout,
	}
}

func (t target) body(form bool, fields map[string]string) (string, []byte) {
	if form {
		v := url.Values{}
		for k, s := range fields {
			v.Set(k, s)
		}
		return "application/x-www-form-urlencoded", []byte(v.Encode())
	}
	b, _ := json.Marshal(fields)
	return "application/json", b
}

func (t target) do(ctx context.Context, c *http.Client, method, path, contentType string, body []byte, header map[string]string) ([]byte, int, error) {
	req, err := http.NewRequestWithContext(ctx, method, t.base+path, bytes.NewReader(body))
	if err != nil {
		return nil, 0, err
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	for k, v := range header {
		req.Header.Set(k, v)
	}
	resp, err := c.Do(req)
	if err != nil {
		return nil, 0, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return b, resp.StatusCode, err
}

func (t target) requestCode(ctx context.Context, c *http.Client) (device, error) {
	ct, b := t.body(t.codeForm, map[string]string{"client_id": t.client, "scope": t.scope})
	got, status, err := t.do(ctx, c, http.MethodPost, t.code, ct, b, nil)
	if err != nil {
		return device{}, err
	}
	var d struct {
		DeviceCode string `json:"device_code"`
		UserCode   string `json:"user_code"`
	}
	if status != http.StatusOK || json.Unmarshal(got, &d) != nil || d.DeviceCode == "" || d.UserCode == "" {
		return device{}, fmt.Errorf("device code: status %d: %.200s", status, got)
	}
	return device{DeviceCode: d.DeviceCode, UserCode: d.UserCode}, nil
}

func (t target) poll(ctx context.Context, c *http.Client, d device, header map[string]string) ([]byte, int, error) {
	ct, b := t.body(t.tokenForm, map[string]string{"grant_type": deviceGrant, "device_code": d.DeviceCode, "client_id": t.client})
	return t.do(ctx, c, http.MethodPost, t.token, ct, b, header)
}

func (t target) expectPending(ctx context.Context, c *http.Client, d device) error {
	got, status, err := t.poll(ctx, c, d, nil)
	if err != nil {
		return err
	}
	var e struct {
		Error string `json:"error"`
	}
	if status != http.StatusBadRequest || json.Unmarshal(got, &e) != nil || e.Error != "authorization_pending" {
		return fmt.Errorf("poll: status %d: %.200s", status, got)
	}
	return nil
}

func (t target) getUserinfo(ctx context.Context, c *http.Client, token string) error {
	got, status, err := t.do(ctx, c, http.MethodGet, t.userinfo, "", nil, map[string]string{"Authorization": "Bearer " + token})
	if err != nil {
		return err
	}
	var u struct {
		Sub string `json:"sub"`
	}
	if status != http.StatusOK || json.Unmarshal(got, &u) != nil || u.Sub == "" {
		return fmt.Errorf("userinfo: status %d: %.200s", status, got)
	}
	return nil
}

// introspect asks about an access token, as an API does for each request that it gets.
func (t target) introspect(ctx context.Context, c *http.Client) error {
	got, status, err := t.asService(ctx, c, t.introspection, url.Values{"token": {t.bearer}})
	if err != nil {
		return err
	}
	var i struct {
		Active bool   `json:"active"`
		Sub    string `json:"sub"`
	}
	if status != http.StatusOK || json.Unmarshal(got, &i) != nil || !i.Active || i.Sub == "" {
		return fmt.Errorf("introspection: status %d: %.200s", status, got)
	}
	return nil
}

// credentials gets an access token of the client's own.
func (t target) credentials(ctx context.Context, c *http.Client) error {
	got, status, err := t.asService(ctx, c, t.token, url.Values{"grant_type": {"client_credentials"}})
	if err != nil {
		return err
	}
	var tokens struct {
		AccessToken string `json:"access_token"`
	}
	if status != http.StatusOK || json.Unmarshal(got, &tokens) != nil || tokens.AccessToken == "" {
		return fmt.Errorf("client credentials: status %d: %.200s", status, got)
	}
	return nil
}

// refreshing is the life of refresh tokens, each traded for its successor again and
// again. A grant may be refreshed once a second, so that a fast server needs many.
func (t target) refreshing(c *http.Client, conns int) (op, error) {
	var tokens []string
	if t.refreshTokens != "" {
		file, err := os.ReadFile(t.refreshTokens)
		if err != nil {
			return nil, err
		}
		tokens = strings.Fields(string(file))
	} else {
		var err error
		if tokens, err = made(conns, t.batch, func() (string, error) { return t.granted(c) }); err != nil {
			return nil, err
		}
	}
	if len(tokens) < conns {
		return nil, fmt.Errorf("%d refresh tokens for %d connections", len(tokens), conns)
	}
	current := make(chan string, len(tokens))
	for _, token := range tokens {
		current <- token
	}
	return timed(func(ctx context.Context) error {
		token := <-current
		successor, err := t.refresh(ctx, c, token)
		current <- cmp.Or(successor, token)
		return err
	}), nil
}

// granted is the refresh token of a device that an owner approved.
func (t target) granted(c *http.Client) (string, error) {
	session, err := t.owners.Next(context.Background())
	if err != nil {
		return "", err
	}
	tokens, err := trial.Device{Base: t.base, HTTP: c, Client: t.client, Secret: t.secret}.Granted(context.Background(), session)
	return tokens.RefreshToken, err
}

// refresh trades a refresh token for an access token and another refresh token.
func (t target) refresh(ctx context.Context, c *http.Client, token string) (string, error) {
	got, status, err := t.asService(ctx, c, t.token, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}})
	if err != nil {
		return "", err
	}
	var tokens trial.Tokens
	if status != http.StatusOK || json.Unmarshal(got, &tokens) != nil || tokens.AccessToken == "" ||
		tokens.RefreshToken == "" || tokens.RefreshToken == token {
		return "", fmt.Errorf("refresh: status %d and no new tokens: error %q", status, errorOf(got))
	}
	return tokens.RefreshToken, nil
}

// asService posts a form with HTTP Basic.
func (t target) asService(ctx context.Context, c *http.Client, path string, form url.Values) ([]byte, int, error) {
	basic := base64.StdEncoding.EncodeToString([]byte(url.QueryEscape(t.client) + ":" + url.QueryEscape(t.secret)))
	return t.do(ctx, c, http.MethodPost, path, "application/x-www-form-urlencoded", []byte(form.Encode()), map[string]string{"Authorization": "Basic " + basic})
}

// owner is the Cookie header of who approves the next request.
func (t target) owner(ctx context.Context) (string, error) {
	if t.cookie != "" {
		return t.cookie, nil
	}
	session, err := t.owners.Next(ctx)
	return trial.SessionCookie + "=" + session, err
}

// flow is the whole of RFC 8628 for one device, the user's approval included.
func (t target) flow(ctx context.Context, c *http.Client, cookie string) error {
	d, err := t.requestCode(ctx, c)
	if err != nil {
		return err
	}
	d.cookie = cookie
	if err := t.open(ctx, c, d); err != nil {
		return err
	}
	if err := t.approves(ctx, c, d); err != nil {
		return err
	}
	got, status, err := t.poll(ctx, c, d, nil)
	if err != nil {
		return err
	}
	token, err := accessToken(got, status)
	if err != nil {
		return err
	}
	if t.userinfo == "" {
		return nil
	}
	return t.getUserinfo(ctx, c, token)
}

// open is the user's look at a request: servers bind it to the session there.
func (t target) open(ctx context.Context, c *http.Client, d device) error {
	q := "?user_code=" + url.QueryEscape(d.UserCode)
	got, status, err := t.do(ctx, c, http.MethodGet, strings.TrimSuffix(t.approve, "/approve")+q, "", nil, t.as(d))
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("open request: status %d: %.200s", status, got)
	}
	return err
}

// approves is the user's approval of a request that is open.
func (t target) approves(ctx context.Context, c *http.Client, d device) error {
	ct, b := t.body(false, map[string]string{t.userCodeField: d.UserCode})
	got, status, err := t.do(ctx, c, http.MethodPost, t.approve, ct, b, t.as(d))
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("approve: status %d: %.200s", status, got)
	}
	return err
}

// as are the headers of the owner who approves a device.
func (t target) as(d device) map[string]string {
	return map[string]string{"Cookie": d.cookie, "Origin": t.origin}
}

// errorOf is the error code of an answer, which is all of it that is no secret.
func errorOf(got []byte) string {
	var e struct {
		Error string `json:"error"`
	}
	_ = json.Unmarshal(got, &e)
	return e.Error
}

// accessToken takes the token out of a token response.
func accessToken(got []byte, status int) (string, error) {
	var tok struct {
		AccessToken string `json:"access_token"`
	}
	if status != http.StatusOK || json.Unmarshal(got, &tok) != nil || tok.AccessToken == "" {
		return "", fmt.Errorf("token: status %d: %.200s", status, got)
	}
	return tok.AccessToken, nil
}
