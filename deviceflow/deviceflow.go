package deviceflow

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"countersign.dev/dpop"
)

// Endpoint are the addresses of an authorization server.
type Endpoint struct {
	Issuer                 string
	DeviceAuthorizationURL string
	TokenURL               string
	RevocationURL          string // empty: the server cannot revoke
	UserInfoURL            string // empty: the server has none
	// SecretInForm: the server takes client secrets in the form only
	// (client_secret_post), not by HTTP Basic.
	SecretInForm bool
	// ScopesSupported are the scopes that the server says it knows; empty: it does not say.
	ScopesSupported []string
	// ProofAlgs are the algorithms of DPoP proofs that the server takes (RFC 9449 §5.1);
	// empty: it knows bearer tokens only.
	ProofAlgs []string
}

// Config is one client at one server.
type Config struct {
	ClientID string
	// ClientSecret is empty for a public client, which a device usually is.
	ClientSecret string
	Scopes       []string
	// Resources are the APIs that access tokens are to be for, as the server knows them (RFC
	// 8707): all of them or none are approved. Without any, tokens are for the server alone.
	Resources []string
	Endpoint  Endpoint
	// HTTPClient is http.DefaultClient when nil. Owners are shown its User-Agent; where its
	// transport sets none, that is this package's name. It needs no timeout: each request
	// has one of its own. With a timeout, polls ask the server to hold them for less.
	HTTPClient *http.Client
	// NumberMatch: the program shows Authorization.MatchNumber to its user.
	NumberMatch bool
	// DeviceName and DevicePlatform are what the device says of itself.
	DeviceName, DevicePlatform string
	// Nonce comes back in the ID token.
	Nonce string
	// Agent is of a program that acts for its owner, with Key.
	Agent Agent
	// Key is what codes and tokens are bound to (RFC 9449): whoever copies one has nothing
	// without it. Where it is nil, Request makes one if the server takes proofs. Keep it where
	// the token is kept (Key.Save), and set it again to refresh and use what is bound to it.
	Key *dpop.Key
	// Bearer has Request make no key: for tokens that others send for the program, who know
	// bearer tokens only.
	Bearer bool
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

// String keeps a secret out of what is printed.
func (Secret) String() string { return redacted }

// GoString keeps it out of what is printed with %#v.
func (Secret) GoString() string { return redacted }

// LogValue keeps it out of logs.
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText keeps it out of any encoding, JSON among them.
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
	// AgentID is by what the server knows the agent, Lifetime and Depth what it will ask the
	// owner for; all are zero for what is no agent.
	AgentID  string
	Lifetime time.Duration
	Depth    int
}

const (
	// defaultInterval is what a server means that names none (RFC 8628 §3.2), and
	// leastInterval the shortest that is kept: less is a mistake, or a trick to make
	// a device busy.
	defaultInterval = 5 * time.Second
	leastInterval   = time.Second
	// defaultLifetime is for a server that does not say how long its codes live,
	// although it must. Whoever polls too long is told expired_token.
	defaultLifetime = 15 * time.Minute
	longestLifetime = 24 * time.Hour
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
	if len(c.Resources) > 0 {
		form["resource"] = c.Resources
	}
	if c.NumberMatch {
		form.Set("number_match", "true")
	}
	for name, value := range map[string]string{"device_name": c.DeviceName, "device_platform": c.DevicePlatform, "nonce": c.Nonce} {
		if value != "" {
			form.Set(name, value)
		}
	}
	c.Agent.addTo(form)
	if err := c.bind(); err != nil {
		return nil, &TransportError{Err: err}
	}
	asked := time.Now()
	answer, err := c.post(ctx, c.Endpoint.DeviceAuthorizationURL, form, 0)
	if err != nil {
		return nil, err
	}
	if err := answer.failure("device_code"); err != nil {
		return nil, err
	}
	return parseAuthorization(answer.members, asked)
}

// parseAuthorization reads a device authorization response.
func parseAuthorization(m members, asked time.Time) (*Authorization, error) {
	a := &Authorization{
		DeviceCode: Secret(m.text("device_code")), UserCode: visible(m.text("user_code")),
		VerificationURI:         cmp.Or(m.text("verification_uri"), m.text("verification_url")), // early servers said url
		VerificationURIComplete: cmp.Or(m.text("verification_uri_complete"), m.text("verification_url_complete")),
		MatchNumber:             visible(m.text("match_number")),
		AgentID:                 visible(m.text("agent_id")),
	}
	a.Lifetime, _ = m.duration("lifetime")
	if depth, _ := m.duration("depth"); depth > 0 {
		a.Depth = int(depth / time.Second)
	}
	lifetime, known := m.duration("expires_in")
	if !known {
		lifetime = defaultLifetime
	}
	if a.DeviceCode == "" || a.UserCode == "" || lifetime <= 0 {
		return nil, &TransportError{Err: errors.New("the answer lacks what a device authorization response has")}
	}
	if !webAddress(a.VerificationURI) {
		return nil, &TransportError{Err: errors.New("the server's verification_uri is not a web address")}
	}
	if !webAddress(a.VerificationURIComplete) {
		a.VerificationURIComplete = ""
	}
	a.Expires = asked.Add(min(lifetime, longestLifetime))
	if a.Interval, _ = m.duration("interval"); a.Interval <= 0 {
		a.Interval = defaultInterval
	}
	a.Interval = max(a.Interval, leastInterval)
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
