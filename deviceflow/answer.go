package deviceflow

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"golang.org/x/oauth2"
)

const (
	// answerTime is how long one request may take, from the dialling to the last
	// byte, beyond what the server was asked to wait. It is long, because what is
	// cut off may be the token: a server gives it once.
	answerTime = 30 * time.Second
	// maxBody bounds every answer in bytes.
	maxBody = 1 << 20
	// maxRedirects is what net/http follows too.
	maxRedirects = 10
)

// errSilent is a server that took a request and did not answer it in time. It is
// not context.DeadlineExceeded, which is what the caller's own deadline ends with.
var errSilent = errors.New("the server gave no answer in time")

// answer is an HTTP answer, read.
type answer struct {
	status  int
	header  http.Header
	members members
}

// userAgent is what an owner reads where the program sets none: more than that it is
// written in Go.
const userAgent = "countersign-deviceflow"

// post sends a form, authenticating the client if it has a secret, and asks the
// server to wait for so long before it answers (RFC 7240), if at all. A server that
// takes no forms, as better-auth's token endpoint does not although RFC 8628 §3.4
// wants it to, has looked at nothing yet and is asked once more in JSON.
func (c *Config) post(ctx context.Context, address string, form url.Values, wait time.Duration) (*answer, error) {
	if c.ClientSecret != "" && c.Endpoint.SecretInForm {
		form.Set("client_secret", c.ClientSecret)
	}
	a, err := c.postBody(ctx, address, "application/x-www-form-urlencoded", []byte(form.Encode()), wait)
	if err != nil || a.status != http.StatusUnsupportedMediaType {
		return a, err
	}
	object := map[string]string{}
	for name := range form {
		object[name] = form.Get(name)
	}
	body, err := json.Marshal(object)
	if err != nil {
		return nil, &TransportError{Err: err}
	}
	return c.postBody(ctx, address, "application/json", body, wait)
}

func (c *Config) postBody(ctx context.Context, address, contentType string, body []byte, wait time.Duration) (*answer, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		return nil, &TransportError{Err: err}
	}
	if wait > 0 {
		req.Header.Set("Prefer", "wait="+strconv.Itoa(int(wait/time.Second)))
	}
	req.Header.Set("Content-Type", contentType)
	if c.ClientSecret != "" && !c.Endpoint.SecretInForm {
		// RFC 6749 §2.3.1: both parts are form-encoded first.
		req.SetBasicAuth(url.QueryEscape(c.ClientID), url.QueryEscape(c.ClientSecret))
	}
	if address == c.Endpoint.RevocationURL { // where nothing is given
		return send(c.client(), req, wait+answerTime)
	}
	return c.sendProved(req, "", wait+answerTime)
}

// send sends a request and reads its answer, all within a time: whatever the
// server does, and whatever client it is.
func send(client *http.Client, req *http.Request, within time.Duration) (*answer, error) {
	ctx, cancel := context.WithTimeout(req.Context(), within)
	defer cancel()
	failed := func(err error) error {
		var slow net.Error
		switch {
		case req.Context().Err() != nil: // the caller's own end
		case ctx.Err() != nil:
			err = errSilent
		case errors.As(err, &slow) && slow.Timeout():
			err = errors.New("the server cannot be reached in time") // and not context.DeadlineExceeded
		}
		return &TransportError{Err: err}
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", userAgent)
	resp, err := sameHost(client).Do(req.WithContext(ctx))
	if err != nil {
		return nil, failed(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	a := &answer{status: resp.StatusCode, header: resp.Header, members: readMembers(body, resp.Header.Get("Content-Type"), err == nil)}
	if err != nil && a.members == nil {
		return nil, failed(err)
	}
	return a, nil // an object that is whole counts, however the connection ended
}

// sameHost is a client that takes no secret elsewhere: it follows a redirect of a
// form only on the same host, and none from https to http.
func sameHost(client *http.Client) *http.Client {
	c, follow := *client, client.CheckRedirect
	c.CheckRedirect = func(req *http.Request, via []*http.Request) error {
		first, last := via[0], via[len(via)-1]
		safer := req.URL.Scheme == "https" && req.URL.Hostname() == first.URL.Hostname()
		switch {
		case last.URL.Scheme == "https" && req.URL.Scheme != "https",
			first.Method == http.MethodPost && (req.Method != http.MethodPost || (req.URL.Host != first.URL.Host && !safer)):
			return http.ErrUseLastResponse
		case follow != nil:
			return follow(req, via)
		case len(via) >= maxRedirects:
			return errors.New("the server redirects again and again")
		}
		return nil
	}
	return &c
}

// failure is the error an answer carries, or nil for a success. An answer that
// has what was wanted is a success, whatever else stands in it.
func (a *answer) failure(wanted string) error {
	success := a.status >= 200 && a.status <= 299
	if success && a.members.text(wanted) != "" {
		return nil
	}
	if code := visible(a.members.text("error")); code != "" {
		refused := &Error{Code: code, Description: visible(a.members.text("error_description")), Status: a.status, RetryAfter: a.retryAfter()}
		if interval, _ := a.members.duration("interval"); interval > 0 && interval < time.Hour {
			refused.Interval = interval
		}
		return refused
	}
	if success {
		return nil
	}
	lost := &TransportError{Err: fmt.Errorf("the server answered %d without saying why", a.status), Status: a.status, RetryAfter: a.retryAfter()}
	if a.status >= 300 && a.status <= 399 {
		lost.Err = fmt.Errorf("the server redirects to another address (%d): use that one", a.status)
	}
	return lost
}

// retryAfter is how long the server wants to be left alone (RFC 9110 §10.2.3), in
// either of its forms; a date is read by the server's own clock.
func (a *answer) retryAfter() time.Duration {
	text := strings.TrimSpace(a.header.Get("Retry-After"))
	if seconds, err := strconv.ParseUint(text, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	until, _ := http.ParseTime(text) // what is no date is long ago
	now, err := http.ParseTime(a.header.Get("Date"))
	if err != nil {
		now = time.Now()
	}
	return max(0, until.Sub(now))
}

// token reads a token response (RFC 6749 §5.1).
func (a *answer) token(now time.Time) (*oauth2.Token, error) {
	t := &oauth2.Token{AccessToken: a.members.text("access_token"), TokenType: a.members.text("token_type"), RefreshToken: a.members.text("refresh_token")}
	if t.AccessToken == "" {
		return nil, &TransportError{Err: errors.New("the answer is not a token response"), Status: a.status}
	}
	// Without a lifetime the server does not say when the token ends: it is used
	// until it is refused.
	if lifetime, _ := a.members.duration("expires_in"); lifetime > 0 {
		t.ExpiresIn = int64(lifetime / time.Second)
		t.Expiry = now.Add(lifetime)
	}
	return t.WithExtra(map[string]any(a.members)), nil // id_token and scope, among others
}

// members are what an answer says. They are read for what they mean: who writes a
// number as a text has said the number, and an issued token is too good to be lost
// over that.
type members map[string]any

// readMembers reads a JSON object, or the form that some servers answer with
// although they were asked for JSON; nil for anything else. What follows an object
// does not count. A form that was cut off looks whole, so it must be.
func readMembers(body []byte, contentType string, whole bool) members {
	var m members
	const byteOrderMark = "\xef\xbb\xbf"
	if json.NewDecoder(bytes.NewReader(bytes.TrimPrefix(body, []byte(byteOrderMark)))).Decode(&m) == nil {
		return m
	}
	media, _, _ := mime.ParseMediaType(contentType) // what cannot be read is no form
	if !whole || (media != "application/x-www-form-urlencoded" && media != "text/plain") {
		return nil
	}
	form, _ := url.ParseQuery(string(bytes.TrimSpace(body))) // what cannot be read of it is left out
	m = members{}
	for name, values := range form {
		m[name] = values[0]
	}
	return m
}

// text is a member that is a text, or a whole number; empty without one.
func (m members) text(name string) string {
	switch v := m[name].(type) {
	case string:
		return v
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	default:
		return ""
	}
}

// texts is a member that is a list of texts; what is none in it is empty.
func (m members) texts(name string) []string {
	list, _ := m[name].([]any)
	all := make([]string, len(list))
	for i, v := range list {
		all[i], _ = v.(string)
	}
	return all
}

// duration is a member that counts seconds, as a number or as a text; fractions
// count.
func (m members) duration(name string) (d time.Duration, ok bool) {
	seconds, err := strconv.ParseFloat(strings.TrimSpace(m.text(name)), 64)
	if err != nil || math.IsNaN(seconds) {
		return 0, false
	}
	seconds = max(-math.MaxInt32, min(seconds, math.MaxInt32))
	return time.Duration(seconds * float64(time.Second)), true
}
