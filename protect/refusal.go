package protect

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"

	"countersign.dev/dpop"
)

// refusal is why a request was not let through: what to change, without quoting it.
type refusal struct {
	status     int
	code, text string
}

func unauthorized(text string) *refusal {
	return &refusal{http.StatusUnauthorized, "invalid_token", text}
}

func unproved(text string) *refusal {
	return &refusal{http.StatusUnauthorized, "invalid_dpop_proof", text}
}

func badRequest(text string) *refusal {
	return &refusal{http.StatusBadRequest, "invalid_request", text}
}

func unavailable(text string) *refusal {
	return &refusal{http.StatusServiceUnavailable, "temporarily_unavailable", text}
}

// What is refused (RFC 6750 §3.1, RFC 9449 §7.1, requirements U-04, U-05, U-06).
var (
	errNoToken  = &refusal{http.StatusUnauthorized, noCredentials, "send an access token as Authorization: Bearer, or one that is bound to a key as Authorization: DPoP with a proof"}
	errInQuery  = badRequest("an access token in the URL is not accepted: send it as Authorization")
	errTwice    = badRequest("send one Authorization header")
	errBody     = badRequest("the body could not be read")
	errToken    = unauthorized("the access token is malformed, expired or revoked, or no access token of this API's issuer: get a new one")
	errAudience = unauthorized("the access token is not for this API: ask for one with resource, as this API's metadata name it")
	errBound    = unauthorized("the access token is bound to a key: send it as Authorization: DPoP, with a proof")
	errUnbound  = unauthorized("the access token is bound to no key: send it as Authorization: Bearer")
	errUnsigned = unauthorized("sign each request in one X-Auth-Token, with the key that the access token names as pubkey")
	errOneProof = unproved("send one DPoP header with a proof of this request")
	errOtherKey = unproved("the DPoP proof is by another key than the one that the access token is bound to")
	errReplayed = unproved("this proof was used before: make a new one for each request")
	errScope    = &refusal{http.StatusForbidden, "insufficient_scope", "the access token may not do this: ask for one with the scope that the challenge names"}
	errTooLarge = &refusal{http.StatusRequestEntityTooLarge, "invalid_request", "a signed body may have a megabyte"}
	errNotAsked = unavailable("the issuer cannot be asked about the access token now: try again in a few seconds")
	errNoKeys   = unavailable("the issuer's keys cannot be read now: try again in a few seconds")
	errCrowded  = unavailable("too many proofs were used within minutes: try again in a few minutes")
)

// noCredentials is no error code: it is said in the body alone (requirement U-04).
const noCredentials = "unauthorized"

func badProof(err error) *refusal     { return unproved(err.Error()) }
func badSignature(err error) *refusal { return unauthorized(err.Error()) }

// unlessUnknown is how it is said that there was no key.
func unlessUnknown(err error) *refusal {
	if errors.Is(err, errUnknownKey) {
		return errToken
	}
	return errNoKeys
}

// retryAfter is in seconds.
const retryAfter = 5

// refuse answers a request that is not let through.
func (a *API) refuse(w http.ResponseWriter, r *http.Request, f *refusal, scope string) {
	body, err := json.Marshal(map[string]string{"error": f.code, "error_description": f.text})
	if err != nil { // two texts of ours
		body = []byte(`{"error":"server_error"}`)
	}
	h := w.Header()
	switch f.status {
	case http.StatusServiceUnavailable:
		h.Set("Retry-After", strconv.Itoa(retryAfter))
	case http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden:
		a.challenge(h, r, f, scope)
	}
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(f.status)
	_, _ = w.Write(append(body, '\n'))
}

// challenge says in the scheme of the request what is wrong and what is needed (RFC 6750 §3,
// requirement S-03), and where this API is described (RFC 9728 §5.1, requirement S-02). Who
// came without a proof hears that there are such tokens too (RFC 9449 §7.1).
func (a *API) challenge(h http.Header, r *http.Request, f *refusal, scope string) {
	var with []string
	say := func(name, value string) { with = append(with, name+`="`+quotable(value)+`"`) }
	if f.code != noCredentials {
		say("error", f.code)
		say("error_description", f.text)
	}
	if scope != "" {
		say("scope", scope)
	}
	say("resource_metadata", a.described)
	algs := `algs="` + strings.Join(dpop.Algorithms(), " ") + `"`
	if scheme, _, _ := strings.Cut(r.Header.Get("Authorization"), " "); strings.EqualFold(scheme, dpop.Scheme) {
		h.Set("WWW-Authenticate", "DPoP "+strings.Join(append(with, algs), ", "))
		return
	}
	h.Set("WWW-Authenticate", "Bearer "+strings.Join(with, ", "))
	h.Add("WWW-Authenticate", "DPoP "+algs)
}

// quotable keeps a text inside the characters that RFC 6750 §3 allows.
func quotable(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '"' || r == '\\' || r < ' ' || r > '~' {
			return -1
		}
		return r
	}, s)
}
