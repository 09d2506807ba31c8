package protect

import (
	"bytes"
	"crypto/subtle"
	"errors"
	"io"
	"net/http"
	"strings"

	"countersign.dev/bitcoinauth"
	"countersign.dev/dpop"
)

// admit judges a request: what it carries is a token, whoever sends it has the key that
// the token is bound to, and the issuer still says yes where it is asked. What costs least
// comes first, and nobody but us is asked about what is no token.
func (a *API) admit(w http.ResponseWriter, r *http.Request) (Token, *refusal) {
	raw, byProof, refused := presented(r)
	if refused != nil {
		return Token{}, refused
	}
	t, refused := a.verify(r.Context(), raw)
	if refused != nil {
		return Token{}, refused
	}
	switch {
	case byProof && t.Thumbprint == "":
		return Token{}, errUnbound
	case !byProof && t.Thumbprint != "":
		return Token{}, errBound
	case byProof:
		refused = a.checkProof(r, raw, t.Thumbprint)
	}
	if refused == nil && a.signed {
		refused = a.checkSignature(w, r, t.PublicKey)
	}
	if refused == nil && a.told != nil {
		t.Scope, refused = a.introspect(r.Context(), raw, t.Scope)
	}
	if refused != nil {
		return Token{}, refused
	}
	return t, nil
}

// presented finds the access token of a request (RFC 6750 §2.1, RFC 9449 §7.1): in one header,
// and never in the URL, which logs and other sites see.
func presented(r *http.Request) (token string, byProof bool, refused *refusal) {
	if r.URL.Query().Has("access_token") {
		return "", false, errInQuery
	}
	all := r.Header.Values("Authorization")
	if len(all) > 1 {
		return "", false, errTwice
	}
	scheme, token, _ := strings.Cut(strings.Join(all, ""), " ")
	byProof = strings.EqualFold(scheme, dpop.Scheme)
	if !byProof && !strings.EqualFold(scheme, "Bearer") {
		return "", false, errNoToken
	}
	return strings.TrimSpace(token), byProof, nil
}

// checkProof wants a DPoP proof of this very request (RFC 9449 §7.2, requirement P-10) by the
// key that the token is bound to. Its address is the configured one, whatever Host and what
// proxies say.
func (a *API) checkProof(r *http.Request, token, thumbprint string) *refusal {
	proofs := r.Header.Values(dpop.Header)
	if len(proofs) != 1 {
		return errOneProof
	}
	now := a.now()
	proof, err := dpop.Verify(proofs[0], dpop.Check{Method: r.Method, URL: a.base + r.URL.EscapedPath(), AccessToken: token, Now: now})
	if err != nil {
		return badProof(err)
	}
	if subtle.ConstantTimeCompare([]byte(proof.Thumbprint), []byte(thumbprint)) != 1 {
		return errOtherKey
	}
	return a.spent.once(proof.ReplayKey(), now)
}

// maxSigned bounds a body that is read to verify its signature.
const maxSigned = 1 << 20

// checkSignature wants the request signed by the token's owner. What was read of it is put
// back for the handler.
func (a *API) checkSignature(w http.ResponseWriter, r *http.Request, publicKey string) *refusal {
	signatures := r.Header.Values(bitcoinauth.Header)
	if len(signatures) != 1 {
		return errUnsigned
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxSigned))
	if err != nil {
		if _, large := errors.AsType[*http.MaxBytesError](err); large {
			return errTooLarge
		}
		return errBody
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	now := a.now()
	signed, err := bitcoinauth.Verify(signatures[0], bitcoinauth.Check{Path: a.path + r.URL.RequestURI(), Body: body, Now: now})
	if err != nil {
		return badSignature(err)
	}
	if subtle.ConstantTimeCompare([]byte(signed.PublicKey), []byte(publicKey)) != 1 {
		return errUnsigned
	}
	return a.spent.once(signed.ReplayKey, now)
}
