package protect

import (
	"context"
	"crypto/sha256"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
)

const (
	// toldFor is how long an answer is used again: a revoked token ends within it.
	toldFor = 5 * time.Second
	// maxTold is of how many tokens.
	maxTold = 4096
)

// Introspect asks the issuer about each token (RFC 7662), as the client that serves the
// resource, and again after five seconds: a token that was revoked ends then, and not when it
// would have expired. While the issuer is away no token is accepted; the answer is
// 503 temporarily_unavailable.
func Introspect(clientID, secret string) Option {
	return func(a *API) {
		// RFC 6749 §2.3.1
		a.prove = func(r *http.Request) { r.SetBasicAuth(url.QueryEscape(clientID), url.QueryEscape(secret)) }
	}
}

// answer is what was said of a token, once it is: many requests with one token ask one
// question.
type answer struct {
	said   chan struct{} // closed when all below is written
	active bool
	scope  string
	until  time.Time
	err    error // why nothing was said
}

// stands reports whether an answer counts, or whether one is on its way.
func (n *answer) stands(now time.Time) bool {
	select {
	case <-n.said:
		return n.err == nil && !now.After(n.until)
	default:
		return true
	}
}

var errNoIntrospection = errors.New("the issuer's metadata name no introspection_endpoint that is https, or http on this machine")

// introspect asks whether a token that is good by itself is still alive, and for what. The
// issuer may have taken scopes back; it does not add any.
func (a *API) introspect(ctx context.Context, token, scope string) (string, *refusal) {
	hash, now := sha256.Sum256([]byte(token)), a.now()
	a.mu.Lock()
	told, ok := a.told.Get(hash)
	if !ok || !told.stands(now) {
		told = &answer{said: make(chan struct{}), until: now.Add(toldFor)}
		a.told.Add(hash, told)
		// It is for all who wait: one of them who goes away does not end it. It ends by itself.
		go a.ask(context.WithoutCancel(ctx), told, token, scope)
	}
	a.mu.Unlock()
	select {
	case <-told.said:
	case <-ctx.Done():
		return "", errNotAsked
	}
	switch {
	case told.err != nil:
		return "", errNotAsked
	case !told.active:
		return "", errToken
	default:
		return told.scope, nil
	}
}

// ask has an answer written.
func (a *API) ask(ctx context.Context, told *answer, token, scope string) {
	defer close(told.said)
	told.active, told.scope, told.err = a.question(ctx, token, scope)
	if told.err != nil {
		a.log.WarnContext(ctx, "the issuer could not be asked about a token, which was not accepted", "issuer", a.issuer.id, "error", told.err)
	}
}

func (a *API) question(ctx context.Context, token, scope string) (active bool, has string, err error) {
	endpoint := a.keys.introspectionEndpoint()
	if _, ok := trusted(endpoint); !ok {
		return false, "", errNoIntrospection
	}
	form := url.Values{"token": {token}, "token_type_hint": {"access_token"}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint, strings.NewReader(form.Encode()))
	if err != nil {
		return false, "", err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	a.prove(req)
	body, _, err := a.issuer.do(req)
	if err != nil {
		return false, "", err
	}
	var said struct {
		Active bool    `json:"active"`
		Scope  *string `json:"scope"`
	}
	if json.Unmarshal(body, &said) != nil {
		return false, "", errors.New("the introspection endpoint answered no JSON object")
	}
	if said.Scope != nil {
		scope = both(scope, *said.Scope)
	}
	return said.Active, scope, nil
}

// both are the scopes that are in two of them.
func both(scope, other string) string {
	var in []string
	for s := range strings.FieldsSeq(scope) {
		if (Token{Scope: other}).May(s) {
			in = append(in, s)
		}
	}
	return strings.Join(in, " ")
}
