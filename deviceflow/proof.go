package deviceflow

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/oauth2"

	"countersign.dev/dpop"
)

// proofAlg is how a Key signs.
const proofAlg = "ES256"

// bind makes the key that what is asked for will be bound to, where there is none yet and the
// server takes proofs.
func (c *Config) bind() (err error) {
	if c.Key == nil && !c.Bearer && slices.Contains(c.Endpoint.ProofAlgs, proofAlg) {
		c.Key, err = dpop.NewKey()
	}
	return err
}

// sendProved is send with a proof by the key, if there is one; accessToken is what the
// request carries, or empty. Where the server wants a nonce it is sent once more with that
// (RFC 9449 §8), also where it does only because this machine's clock is wrong.
func (c *Config) sendProved(req *http.Request, accessToken string, within time.Duration) (*answer, error) {
	if c.Key == nil {
		return send(c.client(), req, within)
	}
	for again := false; ; again = true {
		nonce, err := addProof(req, c.Key, accessToken)
		if err != nil {
			return nil, &TransportError{Err: err}
		}
		a, err := send(c.client(), req, within)
		if err != nil {
			return nil, err
		}
		fresh := noteNonce(req.URL, a.header)
		if code := a.members.text("error"); again || !wantsNonce(code) || fresh == "" || fresh == nonce {
			return a, nil
		}
		if req.GetBody != nil {
			if req.Body, err = req.GetBody(); err != nil {
				return nil, &TransportError{Err: err}
			}
		}
	}
}

// wantsNonce reports whether an error may be mended by a nonce that came with it.
func wantsNonce(code string) bool { return code == "use_dpop_nonce" || code == "invalid_dpop_proof" }

// addProof adds a proof to a request, and returns the nonce that is in it.
func addProof(req *http.Request, key *dpop.Key, accessToken string) (nonce string, err error) {
	nonce = nonceOf(req.URL)
	proof, err := key.Sign(dpop.Signing{Method: req.Method, URL: req.URL.String(), AccessToken: accessToken, Nonce: nonce, Time: time.Now()})
	if err != nil {
		return "", err
	}
	req.Header.Set(dpop.Header, proof)
	return nonce, nil
}

// nonces are the latest of each server, whoever asked. They are no secrets.
var nonces struct {
	mu  sync.Mutex
	all map[string]string // by origin; guarded by mu
}

const (
	// nonceServers bounds of how many servers a nonce is remembered, and maxNonce how long
	// one may be.
	nonceServers = 64
	maxNonce     = 1024
)

func origin(u *url.URL) string { return u.Scheme + "://" + strings.ToLower(u.Host) }

func nonceOf(u *url.URL) string {
	nonces.mu.Lock()
	defer nonces.mu.Unlock()
	return nonces.all[origin(u)]
}

// noteNonce remembers the nonce of an answer, and returns it.
func noteNonce(u *url.URL, h http.Header) string {
	nonce := h.Get(dpop.NonceHeader)
	if nonce == "" || len(nonce) > maxNonce {
		return ""
	}
	nonces.mu.Lock()
	defer nonces.mu.Unlock()
	if nonces.all == nil || len(nonces.all) >= nonceServers {
		nonces.all = map[string]string{}
	}
	nonces.all[origin(u)] = nonce
	return nonce
}

// bound reports whether a token goes with a proof.
func bound(t *oauth2.Token) bool { return strings.EqualFold(t.TokenType, dpop.Scheme) }

// Transport sends requests with a token: as a bearer token, or, where it is bound to a key,
// with a proof of each request (RFC 9449 §7), which it makes once more where the server wants
// a nonce. A redirect to another server gets neither.
type Transport struct {
	// Source gives the token, as Config.TokenSource does.
	Source oauth2.TokenSource
	// Key is what the token is bound to; nil for bearer tokens.
	Key *dpop.Key
	// Base is http.DefaultTransport when nil.
	Base http.RoundTripper
}

var errNoKey = errors.New("the token is bound to a key, and there is none: sign in again")

// RoundTrip implements http.RoundTripper.
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	base := t.Base
	if base == nil {
		base = http.DefaultTransport
	}
	if elsewhere(req) {
		return base.RoundTrip(req)
	}
	token, err := t.Source.Token()
	if err == nil && bound(token) && t.Key == nil {
		err = errNoKey
	}
	if err != nil {
		if req.Body != nil {
			_ = req.Body.Close() // a RoundTripper does, whatever comes of the request
		}
		return nil, err
	}
	req = req.Clone(req.Context())
	token.SetAuthHeader(req)
	if !bound(token) {
		return base.RoundTrip(req)
	}
	for again := false; ; again = true {
		nonce, err := addProof(req, t.Key, token.AccessToken)
		if err != nil {
			return nil, err
		}
		resp, err := base.RoundTrip(req)
		if err != nil {
			return nil, err
		}
		fresh := noteNonce(req.URL, resp.Header)
		if again || fresh == "" || fresh == nonce || !challenged(resp) || !replay(req) {
			return resp, nil
		}
		_ = resp.Body.Close()
	}
}

// elsewhere reports whether a request follows a redirect to another server.
func elsewhere(req *http.Request) bool {
	first := req
	for first.Response != nil && first.Response.Request != nil {
		first = first.Response.Request
	}
	return origin(first.URL) != origin(req.URL)
}

// challenged reports whether an answer may be mended by a nonce (RFC 9449 §9).
func challenged(resp *http.Response) bool {
	return resp.StatusCode == http.StatusUnauthorized && slices.ContainsFunc(resp.Header.Values("WWW-Authenticate"), func(challenge string) bool {
		return strings.Contains(challenge, "use_dpop_nonce") || strings.Contains(challenge, "invalid_dpop_proof")
	})
}

// replay makes a request one that can be sent again, if it can.
func replay(req *http.Request) bool {
	if req.Body == nil || req.Body == http.NoBody {
		return true
	}
	if req.GetBody == nil {
		return false
	}
	body, err := req.GetBody()
	req.Body = body
	return err == nil
}

// Client returns an HTTP client that sends the token to APIs and refreshes it, as
// TokenSource does: bound to the key, where it is.
func (c *Config) Client(source oauth2.TokenSource) *http.Client {
	client := *c.client()
	client.Transport = &Transport{Source: source, Key: c.Key, Base: client.Transport}
	return &client
}
