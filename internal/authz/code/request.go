package code

import (
	"context"
	"encoding/base64"
	"errors"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"countersign.dev/dpop"
	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/client"
	"countersign.dev/internal/authz/contract"
	"countersign.dev/internal/authz/device"
	"countersign.dev/internal/authz/scopes"
)

// Request is an authorization request that holds (RFC 6749 §4.1.1, OpenID Connect Core
// §3.1.2.1).
type Request struct {
	Client authz.Client
	Scope  string
	// Resources are whose APIs that is for (RFC 8707 §2), in canonical form.
	Resources []string
	Nonce     string
	Redirect  authz.Redirect
	// Thumbprint is the key that the code is to be bound to (RFC 9449 §10, requirement P-11),
	// or empty.
	Thumbprint string
	// Silent is prompt=none: nothing may be shown. Anew is prompt=login: whoever is signed
	// in proves it again. Asks is any prompt but none: whatever stands, the owner is asked.
	Silent, Anew, Asks bool
	// MaxAge is how long ago the owner may have proved an identity; negative for any time.
	MaxAge time.Duration
	// Hint is the identity that the client would like to be chosen, which nobody has checked.
	Hint string
	// Subject is the account that an ID token of ours says, or empty: nobody else is let in
	// without being asked.
	Subject string
}

// Refusal is a refusal that the client is told of at its redirect URI; any other is shown to
// the person, who is led nowhere (requirement Z-05).
type Refusal struct {
	To  authz.Redirect
	Err *authz.Error
}

// Error is that of the refusal.
func (r *Refusal) Error() string { return r.Err.Error() }

// Unwrap returns the refusal.
func (r *Refusal) Unwrap() error { return r.Err }

// maxParameters bounds what a client sends, in bytes. A state has any length that fits into an
// address.
const maxParameters = 6 << 10

var (
	errTooLong    = authz.Refuse(authz.BadLink, "the authorization request is longer than 6 KiB")
	errNoClient   = authz.Refuse(authz.BadLink, "client_id is missing, or is sent twice")
	errNotKnown   = authz.Refuse(authz.BadLink, "client_id is not registered on this server: ask the operator to add it, or check its spelling")
	errNoRedirect = authz.Refuse(authz.BadLink, "redirect_uri is missing, or is sent twice")
	errRedirect   = authz.Refuse(authz.BadLink, "redirect_uri is not one that is registered for this client: it must be the same text, and only a loopback address may have another port")
)

// Read reads an authorization request, as it came in a query or a form.
//
//	BadLink: it leads nowhere that could be trusted
//	*Refusal: InvalidRequest, UnauthorizedClient, UnsupportedResponseType, InvalidScope,
//	RequestNotSupported, RequestURINotSupported, InvalidTarget
func (s *Codes) Read(ctx context.Context, given url.Values) (Request, error) {
	if len(given.Encode()) > maxParameters {
		return Request{}, errTooLong
	}
	ids, uris := given["client_id"], given["redirect_uri"]
	if len(ids) != 1 || ids[0] == "" {
		return Request{}, errNoClient
	}
	c, err := s.clients.Named(ctx, ids[0])
	if errors.Is(err, contract.ErrNotFound) || err == nil && !c.Registered {
		return Request{}, errNotKnown
	}
	if err != nil {
		return Request{}, err
	}
	if len(uris) != 1 || uris[0] == "" {
		return Request{}, errNoRedirect
	}
	if !client.LeadsTo(c.RedirectURIs, uris[0]) {
		return Request{}, errRedirect
	}
	q := Request{Client: c, Redirect: authz.Redirect{URI: uris[0]}, MaxAge: -1}
	if states := given["state"]; len(states) > 0 {
		q.Redirect.State, q.Redirect.HasState = states[0], true
	}
	if refusal := q.read(given); refusal != nil {
		return Request{}, &Refusal{q.Redirect, refusal}
	}
	if hint := given.Get("id_token_hint"); hint != "" {
		said, _ := s.tokens.ReadHint(hint) // of nobody where it is not ours
		q.Subject = said.Subject
		q.Asks = q.Asks || q.Subject == ""
	}
	if q.Scope, err = scopes.Requested(c, given.Get("scope")); err != nil {
		return Request{}, refusedAt(q.Redirect, err)
	}
	if q.Resources, err = s.clients.Resources(ctx, c, given["resource"]); err != nil {
		return Request{}, refusedAt(q.Redirect, err)
	}
	return q, nil
}

// cameParameter is when a request first came, in Unix seconds: who has to sign in once more
// comes back with it, and has done so then. It says nothing that the client could not have
// asked for itself.
const cameParameter = "came"

// Came is when a request first came, which is taken out of it.
func (s *Codes) Came(given url.Values) time.Time {
	now := s.now()
	seconds, err := strconv.ParseInt(given.Get(cameParameter), 10, 64)
	given.Del(cameParameter)
	if before := time.Unix(seconds, 0); err == nil && before.Before(now) {
		return before
	}
	return now
}

// Again is a request with which who has to sign in comes back.
func Again(given url.Values, came time.Time) url.Values {
	given.Set(cameParameter, strconv.FormatInt(came.Unix(), 10))
	return given
}

// refusedAt makes a refusal of the domain one that the client is told of.
func refusedAt(to authz.Redirect, err error) error {
	var refusal *authz.Error
	if errors.As(err, &refusal) {
		return &Refusal{to, refusal}
	}
	return err
}

// notSupported are parameters that would change what is asked, and that this server does not
// read: nothing is fetched for them (requirement Z-28).
var notSupported = map[string]authz.Code{
	"request": authz.RequestNotSupported, "request_uri": authz.RequestURINotSupported, "registration": authz.RegistrationNotSupported,
}

// read reads what is answered at the redirect URI.
func (q *Request) read(given url.Values) *authz.Error {
	for name, values := range given {
		if len(values) > 1 && name != "resource" {
			return authz.Refuse(authz.InvalidRequest, "a parameter was sent twice")
		}
		if code, ok := notSupported[name]; ok && values[0] != "" {
			return authz.Refuse(code, "send the parameters of the request in its query")
		}
	}
	switch given.Get("response_type") {
	case "code":
	case "":
		return authz.Refuse(authz.InvalidRequest, "response_type is missing: this server answers code")
	default: // no token ever stands in an address (RFC 9700 §2.1.2, requirement Z-16)
		return authz.Refuse(authz.UnsupportedResponseType, "this server answers response_type code")
	}
	switch given.Get("response_mode") {
	case "", "query":
	default:
		return authz.Refuse(authz.InvalidRequest, "this server answers with response_mode query")
	}
	if !q.Client.Allows(authz.GrantCode) {
		return authz.Refuse(authz.UnauthorizedClient, "this client is not registered for authorization_code")
	}
	q.Nonce = given.Get("nonce")
	if err := device.CheckNonce(q.Nonce); err != nil {
		return err
	}
	if q.Hint = given.Get("bap_id"); q.Hint == "" {
		q.Hint = given.Get("bapId")
	}
	if q.Thumbprint = given.Get("dpop_jkt"); q.Thumbprint != "" && !dpop.IsThumbprint(q.Thumbprint) {
		return authz.Refuse(authz.InvalidRequest, "dpop_jkt must be the RFC 7638 thumbprint of a key")
	}
	if err := q.readChallenge(given); err != nil {
		return err
	}
	return q.readPrompt(given)
}

// readChallenge wants PKCE of every client, with S256 (requirement Z-09): there is no
// request without a challenge that a verifier could be left out for (requirement Z-11).
func (q *Request) readChallenge(given url.Values) *authz.Error {
	challenge, method := given.Get("code_challenge"), given.Get("code_challenge_method")
	switch sum, err := base64.RawURLEncoding.Strict().DecodeString(challenge); {
	case challenge == "":
		return authz.Refuse(authz.InvalidRequest, "code_challenge is missing: PKCE (RFC 7636) is required of every client")
	case method != "S256":
		return authz.Refuse(authz.InvalidRequest, "code_challenge_method must be S256")
	case err != nil || len(sum) != len(authz.Hash{}):
		return authz.Refuse(authz.InvalidRequest, "code_challenge must be the SHA-256 of the verifier in base64url without padding")
	}
	q.Redirect.CodeChallenge = challenge
	return nil
}

// readPrompt reads how the owner is to be asked (OpenID Connect Core §3.1.2.1).
func (q *Request) readPrompt(given url.Values) *authz.Error {
	prompts := strings.Fields(given.Get("prompt"))
	for _, p := range prompts {
		if !slices.Contains([]string{"none", "login", "consent", "select_account"}, p) {
			return authz.Refuse(authz.InvalidRequest, "prompt must be of none, login, consent and select_account")
		}
	}
	q.Silent, q.Anew = slices.Contains(prompts, "none"), slices.Contains(prompts, "login")
	q.Asks = len(prompts) > 0 && !q.Silent
	if q.Silent && len(prompts) > 1 {
		return authz.Refuse(authz.InvalidRequest, "prompt=none goes with no other prompt")
	}
	if age := given.Get("max_age"); age != "" {
		const aYear = 365 * 24 * 60 * 60
		seconds, err := strconv.ParseUint(age, 10, 31)
		if err != nil {
			return authz.Refuse(authz.InvalidRequest, "max_age must be a number of seconds")
		}
		q.MaxAge = time.Duration(min(seconds, aYear)) * time.Second
	}
	return nil
}
