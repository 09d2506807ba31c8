package deviceflow

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"sync"
	"time"

	"golang.org/x/oauth2"
)

// Refresh trades a refresh token for a new token (RFC 6749 §6). If the server
// sends no new refresh token, the old one is kept.
//
//	*Error, *TransportError
func (c *Config) Refresh(ctx context.Context, refreshToken string) (*oauth2.Token, error) {
	form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refreshToken}, "client_id": {c.ClientID}}
	answer, err := c.post(ctx, c.Endpoint.TokenURL, form, 0)
	if err != nil {
		return nil, err
	}
	if err := answer.failure("access_token"); err != nil {
		return nil, err
	}
	token, err := answer.token(time.Now())
	if err == nil && token.RefreshToken == "" {
		token.RefreshToken = refreshToken
	}
	return token, err
}

// Revoke takes a token back (RFC 7009). A server that cannot is no error.
//
//	*Error, *TransportError
func (c *Config) Revoke(ctx context.Context, token string) error {
	if c.Endpoint.RevocationURL == "" {
		return nil
	}
	answer, err := c.post(ctx, c.Endpoint.RevocationURL, url.Values{"token": {token}, "client_id": {c.ClientID}}, 0)
	if err != nil {
		return err
	}
	return answer.failure("")
}

// userInfoAttempts is how often a server that is away is asked: it may be restarting,
// which takes seconds.
const userInfoAttempts = 5

// userInfoPause is the longest time between two of them. A server that wants to be left
// alone for longer is left alone.
const userInfoPause = time.Minute

// UserInfo asks the server whose token it is (OpenID Connect Core §5.3). A server that is
// away just then is asked again, more slowly, a few times: a token that was waited for is
// not to be lost over that.
//
//	*Error: the server refused
//	*TransportError: it could not be asked, or does not say
//	ctx's error
func (c *Config) UserInfo(ctx context.Context, token *oauth2.Token) (map[string]any, error) {
	for attempt := 1; ; attempt++ {
		claims, err := c.userInfo(ctx, token)
		if err == nil || attempt == userInfoAttempts || !passing(err) || retryAfter(err) > userInfoPause {
			return claims, err
		}
		select {
		case <-time.After(max(backOff(time.Second, attempt), retryAfter(err))):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (c *Config) userInfo(ctx context.Context, token *oauth2.Token) (map[string]any, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.Endpoint.UserInfoURL, nil)
	if err != nil {
		return nil, &TransportError{Err: err}
	}
	token.SetAuthHeader(req)
	var answer *answer
	if bound(token) {
		answer, err = c.sendProved(req, token.AccessToken, answerTime)
	} else {
		answer, err = send(c.client(), req, answerTime)
	}
	if err == nil {
		err = answer.failure("sub")
	}
	switch {
	case err != nil:
		return nil, err
	case answer.members.text("sub") == "":
		return nil, &TransportError{Err: errors.New("the server does not say who signed in"), Status: answer.status}
	}
	return answer.members, nil
}

// passing reports whether what went wrong may be over in a moment.
func passing(err error) bool {
	if refused, ok := errors.AsType[*Error](err); ok {
		return !final(refused)
	}
	lost, ok := errors.AsType[*TransportError](err)
	return ok && (lost.Status < 300 || lost.Status > 499 || lost.Status == http.StatusTooManyRequests)
}

// TokenSource returns a source that gives the token as long as it is good and
// then refreshes it. save, when set, is called with each new token before it is
// used: a refresh token usually works once, so it must not get lost. When save
// fails it is called again with the same token, the next time one is wanted. ctx is
// used for every refresh.
func (c *Config) TokenSource(ctx context.Context, token *oauth2.Token, save func(*oauth2.Token) error) oauth2.TokenSource {
	return &source{ctx: ctx, config: c, token: token, save: save}
}

// source refreshes one token; its fields are guarded by mu.
type source struct {
	ctx    context.Context //nolint:containedctx // oauth2.TokenSource has no place for one
	config *Config
	save   func(*oauth2.Token) error

	mu      sync.Mutex
	token   *oauth2.Token
	unsaved bool
}

// Token implements oauth2.TokenSource.
func (s *source) Token() (*oauth2.Token, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !good(s.token) {
		if s.token == nil || s.token.RefreshToken == "" {
			return nil, &Error{Code: "invalid_grant", Description: "the token has expired and cannot be refreshed: ask again"}
		}
		fresh, err := s.config.Refresh(s.ctx, s.token.RefreshToken)
		if err != nil {
			return nil, err
		}
		s.token, s.unsaved = fresh, s.save != nil
	}
	if s.unsaved {
		if err := s.save(s.token); err != nil {
			return nil, err
		}
		s.unsaved = false
	}
	return s.token, nil
}

// earlier is how long before its end a token is refreshed: it must still be good
// when it arrives.
const earlier = 10 * time.Second

// good reports whether a token can be used. It has ended when either clock says so:
// the one on the wall may have been set back, and the other stands still while the
// machine sleeps. Of a token that was read from somewhere only the first is known.
func good(t *oauth2.Token) bool {
	return t.Valid() && (t.Expiry.IsZero() || time.Until(t.Expiry) > earlier)
}
