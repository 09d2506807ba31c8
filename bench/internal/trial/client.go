package trial

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"countersign.dev/bap"
	"countersign.dev/bitcoinauth"
)

// ClientID is the one client that every server knows, and Scope what it asks for.
const (
	ClientID = "countersign-cli"
	Scope    = "openid profile offline_access"
)

const (
	deviceGrant  = "urn:ietf:params:oauth:grant-type:device_code"
	codePath     = "/api/auth/device/code"
	pollPath     = "/api/auth/device/token"
	tokenPath    = "/api/auth/oauth2/token"
	userInfoPath = "/api/auth/oauth2/userinfo"
	openPath     = "/api/auth/device?user_code="
	approvePath  = "/api/auth/device/approve"
	signInPath   = "/api/auth/sign-in/sigma"
)

// SessionCookie is a name of a session's cookie that every server reads on loopback.
const SessionCookie = "better-auth.session_token"

// Device is a device, and its owner, of a server. Every answer is checked: what is
// not the answer that the method promises is an error.
type Device struct {
	Base string
	HTTP *http.Client
	// Client and Secret are of a client that is registered; empty: ClientID, which is not.
	Client, Secret string
}

// of adds which client asks to the fields of a request.
func (d Device) of(fields map[string]string) map[string]string {
	fields["client_id"] = cmp.Or(d.Client, ClientID)
	if d.Secret != "" {
		fields["client_secret"] = d.Secret
	}
	return fields
}

// NewHTTP returns a client that keeps so many connections.
func NewHTTP(conns int) *http.Client {
	return &http.Client{
		Timeout:   ReadyWithin,
		Transport: &http.Transport{MaxIdleConns: conns, MaxIdleConnsPerHost: conns, DisableCompression: true},
	}
}

// Codes are a device code and its user code.
type Codes struct {
	DeviceCode string `json:"device_code"`
	UserCode   string `json:"user_code"`
}

// Tokens are what a device gets in the end.
type Tokens struct {
	AccessToken  string `json:"access_token"`
	RefreshToken string `json:"refresh_token"`
}

// Code asks for a code (RFC 8628 §3.1).
func (d Device) Code(ctx context.Context) (c Codes, err error) {
	err = d.post(ctx, codePath, d.of(map[string]string{"scope": Scope}), nil, http.StatusOK, &c)
	if err == nil && (c.DeviceCode == "" || c.UserCode == "") {
		err = fmt.Errorf("%s gave no codes", codePath)
	}
	return c, err
}

// Pending polls a code that nobody has decided about (RFC 8628 §3.4), and waits for
// so many seconds (RFC 7240).
func (d Device) Pending(ctx context.Context, code string, wait int) error {
	var answer struct {
		Error string `json:"error"`
	}
	err := d.poll(ctx, code, wait, http.StatusBadRequest, &answer)
	if err == nil && answer.Error != "authorization_pending" {
		err = fmt.Errorf("a poll was answered %q", answer.Error)
	}
	return err
}

// Token polls a code that is approved, or will be while the poll waits.
func (d Device) Token(ctx context.Context, code string, wait int) (t Tokens, err error) {
	err = d.poll(ctx, code, wait, http.StatusOK, &t)
	if err == nil && t.AccessToken == "" {
		err = fmt.Errorf("%s gave no token", pollPath)
	}
	return t, err
}

// Granted is a whole device flow, approved by a session.
func (d Device) Granted(ctx context.Context, session string) (Tokens, error) {
	codes, err := d.Code(ctx)
	if err != nil {
		return Tokens{}, err
	}
	if err := d.Open(ctx, codes.UserCode, session); err != nil {
		return Tokens{}, err
	}
	if err := d.Approve(ctx, codes.UserCode, session); err != nil {
		return Tokens{}, err
	}
	return d.Token(ctx, codes.DeviceCode, 0)
}

func (d Device) poll(ctx context.Context, code string, wait, status int, into any) error {
	var header map[string]string
	if wait > 0 {
		header = map[string]string{"Prefer": "wait=" + strconv.Itoa(wait)}
	}
	return d.post(ctx, pollPath, d.of(map[string]string{"grant_type": deviceGrant, "device_code": code}), header, status, into)
}

// Refresh trades a refresh token for new tokens (RFC 6749 §6).
func (d Device) Refresh(ctx context.Context, token string) (t Tokens, err error) {
	err = d.post(ctx, tokenPath, d.of(map[string]string{"grant_type": "refresh_token", "refresh_token": token}), nil, http.StatusOK, &t)
	return t, err
}

// UserInfo asks for the claims that an access token gives access to.
func (d Device) UserInfo(ctx context.Context, token string) error {
	return d.send(ctx, http.MethodGet, userInfoPath, nil, map[string]string{"Authorization": "Bearer " + token}, http.StatusOK, nil)
}

// Open is the owner's look at a request, which binds it to their session.
func (d Device) Open(ctx context.Context, userCode, session string) error {
	return d.send(ctx, http.MethodGet, openPath+url.QueryEscape(userCode), nil, d.as(session), http.StatusOK, nil)
}

// Approve is the owner's approval of a request that is open.
func (d Device) Approve(ctx context.Context, userCode, session string) error {
	return d.post(ctx, approvePath, map[string]string{"userCode": userCode}, d.as(session), http.StatusOK, nil)
}

func (d Device) as(session string) map[string]string {
	return map[string]string{"Cookie": SessionCookie + "=" + session, "Origin": d.Base}
}

// SignIn makes a throw-away identity and returns the token of a session of it.
func (d Device) SignIn(ctx context.Context) (session string, err error) {
	key, err := bap.NewKey(rand.Reader)
	if err != nil {
		return "", err
	}
	body := []byte("{}")
	token, err := bitcoinauth.Sign(key, bitcoinauth.Signing{Path: signInPath, Body: body, Time: time.Now()})
	if err != nil {
		return "", err
	}
	resp, err := d.do(ctx, http.MethodPost, signInPath, body, map[string]string{bitcoinauth.Header: token})
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	for _, c := range resp.Cookies() {
		if strings.HasPrefix(c.Name, "countersign.session.") {
			return c.Value, nil
		}
	}
	return "", fmt.Errorf("%s: status %d and no session", signInPath, resp.StatusCode)
}

func (d Device) post(ctx context.Context, path string, fields, header map[string]string, status int, into any) error {
	body, err := json.Marshal(fields)
	if err != nil {
		return err
	}
	return d.send(ctx, http.MethodPost, path, body, header, status, into)
}

func (d Device) do(ctx context.Context, method, path string, body []byte, header map[string]string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, d.Base+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	for name, value := range header {
		req.Header.Set(name, value)
	}
	return d.HTTP.Do(req)
}

// send sends a request, reads the whole answer, and decodes it if into is given.
func (d Device) send(ctx context.Context, method, path string, body []byte, header map[string]string, status int, into any) error {
	resp, err := d.do(ctx, method, path, body, header)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	switch {
	case err != nil:
		return err
	case resp.StatusCode != status:
		return fmt.Errorf("%s: status %d: %.200s", path, resp.StatusCode, text)
	case into == nil:
		return nil
	default:
		return json.Unmarshal(text, into)
	}
}
