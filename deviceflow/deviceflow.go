package deviceflow

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"golang.org/x/oauth2"
)

// Endpoint are the addresses of an authorization server.
type Endpoint struct {
	Issuer                 string
	DeviceAuthorizationURL string
	TokenURL               string
	RevocationURL          string // empty: the server cannot revoke
	UserInfoURL            string // empty: the server has none
}

// Config is one client at one server.
type Config struct {
	ClientID string
	// ClientSecret is empty for a public client, which a device usually is.
	ClientSecret string
	Scopes       []string
	Endpoint     Endpoint
	// HTTPClient is http.DefaultClient when nil. Its timeout must be longer than
	// the wait of a poll (25 s), or zero.
	HTTPClient *http.Client
	// NumberMatch: the program shows Authorization.MatchNumber to its user.
	NumberMatch bool
	// DeviceName and DevicePlatform are what the device says of itself.
	DeviceName, DevicePlatform string
	// Nonce comes back in the ID token.
	Nonce string
	// Progress, when set, hears of each poll that was answered without a token,
	// from the goroutine that called Wait.
	Progress func(Poll)
}

// Poll is what one poll came to.
type Poll struct {
	// Err is the answer: ErrPending, ErrSlowDown, or what went wrong on the way.
	Err error
	// Next is when the next poll goes out.
	Next time.Duration
}

// Secret is a code that only this device and the server know. It prints as
// [redacted].
type Secret string

const redacted = "[redacted]"

func (Secret) String() string               { return redacted }
func (Secret) GoString() string             { return redacted }
func (Secret) LogValue() slog.Value         { return slog.StringValue(redacted) }
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// Authorization is a device request that waits for its owner (RFC 8628 §3.2).
// Its texts hold no control characters and may be shown as they are.
type Authorization struct {
	DeviceCode              Secret
	UserCode                string
	VerificationURI         string
	VerificationURIComplete string // may be empty
	MatchNumber             string // may be empty
	// Expires is when the codes end, by this machine's monotonic clock.
	Expires time.Time
	// Interval is the least time between polls.
	Interval time.Duration
}

const (
	// defaultInterval is what a server means that names none (RFC 8628 §3.2).
	defaultInterval = 5 * time.Second
	// maxBody bounds every answer in bytes.
	maxBody = 1 << 20
)

func (c *Config) client() *http.Client {
	if c.HTTPClient != nil {
		return c.HTTPClient
	}
	return http.DefaultClient
}

// Request asks the server for codes (RFC 8628 §3.1).
//
//	*Error: the server refused
//	*TransportError: it could not be asked, or gave no answer
func (c *Config) Request(ctx context.Context) (*Authorization, error) {
	form := url.Values{"client_id": {c.ClientID}}
	if len(c.Scopes) > 0 {
		form.Set("scope", strings.Join(c.Scopes, " "))
	}
	if c.NumberMatch {
		form.Set("number_match", "true")
	}
	for name, value := range map[string]string{"device_name": c.DeviceName, "device_platform": c.DevicePlatform, "nonce": c.Nonce} {
		if value != "" {
			form.Set(name, value)
		}
	}
	asked := time.Now()
	answer, err := c.post(ctx, c.Endpoint.DeviceAuthorizationURL, form, nil)
	if err != nil {
		return nil, err
	}
	if err := answer.failure(); err != nil {
		return nil, err
	}
	return parseAuthorization(answer.body, asked)
}

// parseAuthorization reads a device authorization response.
func parseAuthorization(body []byte, asked time.Time) (*Authorization, error) {
	var r struct {
		DeviceCode              string  `json:"device_code"`
		UserCode                string  `json:"user_code"`
		VerificationURI         string  `json:"verification_uri"`
		VerificationURL         string  `json:"verification_url"` // what early servers said
		VerificationURIComplete string  `json:"verification_uri_complete"`
		MatchNumber             string  `json:"match_number"`
		ExpiresIn               float64 `json:"expires_in"`
		Interval                float64 `json:"interval"`
	}
	if err := json.Unmarshal(body, &r); err != nil {
		return nil, &TransportError{Err: errors.New("the answer is not a device authorization response")}
	}
	if r.VerificationURI == "" {
		r.VerificationURI = r.VerificationURL
	}
	const aDay = 24 * 60 * 60
	if r.DeviceCode == "" || r.UserCode == "" || r.ExpiresIn <= 0 || r.ExpiresIn > aDay || r.Interval < 0 || r.Interval > aDay {
		return nil, &TransportError{Err: errors.New("the answer lacks what a device authorization response has")}
	}
	if !webAddress(r.VerificationURI) {
		return nil, &TransportError{Err: errors.New("the server's verification_uri is not a web address")}
	}
	if !webAddress(r.VerificationURIComplete) {
		r.VerificationURIComplete = ""
	}
	a := &Authorization{
		DeviceCode: Secret(r.DeviceCode), UserCode: visible(r.UserCode),
		VerificationURI: r.VerificationURI, VerificationURIComplete: r.VerificationURIComplete,
		MatchNumber: visible(r.MatchNumber),
		Expires:     asked.Add(time.Duration(r.ExpiresIn * float64(time.Second))),
		Interval:    time.Duration(r.Interval * float64(time.Second)),
	}
	if a.Interval == 0 {
		a.Interval = defaultInterval
	}
	return a, nil
}

// webAddress accepts what may be shown to a person and opened in a browser: a
// server must not be able to have a program opened, or a terminal confused.
func webAddress(text string) bool {
	u, err := url.Parse(text)
	return err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != "" && u.User == nil && visible(text) == text
}

// visible leaves out what is not to be seen: control and direction characters.
func visible(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r < ' ', r >= 0x7f && r < 0xa0, r >= 0x200b && r <= 0x200f, r >= 0x202a && r <= 0x202e, r >= 0x2066 && r <= 0x2069:
			return -1
		default:
			return r
		}
	}, text)
}

// answer is an HTTP answer, read.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// post sends a form, authenticating the client if it has a secret.
func (c *Config) post(ctx context.Context, address string, form url.Values, header http.Header) (*answer, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, &TransportError{Err: err}
	}
	for name, values := range header {
		req.Header[name] = values
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	if c.ClientSecret != "" {
		// RFC 6749 §2.3.1: both parts are form-encoded first.
		req.SetBasicAuth(url.QueryEscape(c.ClientID), url.QueryEscape(c.ClientSecret))
	}
	return send(c.client(), req)
}

func send(client *http.Client, req *http.Request) (*answer, error) {
	resp, err := client.Do(req)
	if err != nil {
		return nil, &TransportError{Err: err}
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	if err != nil {
		return nil, &TransportError{Err: err}
	}
	return &answer{resp.StatusCode, resp.Header, body}, nil
}

// failure is the error an answer carries, or nil for a success.
func (a *answer) failure() error {
	var e struct {
		Code        string  `json:"error"`
		Description string  `json:"error_description"`
		Interval    float64 `json:"interval"`
	}
	if json.Unmarshal(a.body, &e) == nil && e.Code != "" {
		refused := &Error{Code: visible(e.Code), Description: visible(e.Description), Status: a.status}
		if e.Interval > 0 && e.Interval < 3600 {
			refused.Interval = time.Duration(e.Interval * float64(time.Second))
		}
		return refused
	}
	if a.status < 200 || a.status > 299 {
		return &TransportError{Err: fmt.Errorf("the server answered %d without saying why", a.status), Status: a.status}
	}
	return nil
}

// token reads a token response (RFC 6749 §5.1).
func (a *answer) token(now time.Time) (*oauth2.Token, error) {
	var r struct {
		AccessToken  string  `json:"access_token"`
		TokenType    string  `json:"token_type"`
		RefreshToken string  `json:"refresh_token"`
		ExpiresIn    float64 `json:"expires_in"`
	}
	if err := json.Unmarshal(a.body, &r); err != nil || r.AccessToken == "" {
		return nil, &TransportError{Err: errors.New("the answer is not a token response")}
	}
	t := &oauth2.Token{AccessToken: r.AccessToken, TokenType: r.TokenType, RefreshToken: r.RefreshToken}
	if r.ExpiresIn > 0 {
		t.ExpiresIn = int64(r.ExpiresIn)
		t.Expiry = now.Add(time.Duration(r.ExpiresIn) * time.Second)
	}
	var extra map[string]any
	if err := json.Unmarshal(a.body, &extra); err != nil {
		return nil, &TransportError{Err: err}
	}
	return t.WithExtra(extra), nil // id_token and scope, among others
}
