package wire

import (
	"net/http"
	"strings"

	"countersign.dev/dpop"
	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/scopes"
)

// DPoP is what a request brings to prove that its sender has a key. The address is the
// configured issuer's, whatever the Host header and a proxy say (requirement P-04, attack
// B-22).
func (d *Door) DPoP(r *http.Request) authz.DPoP {
	proofs := r.Header.Values(dpop.Header)
	if len(proofs) == 0 {
		return authz.DPoP{}
	}
	return authz.DPoP{Proofs: proofs, Method: r.Method, URL: d.URL.Scheme + "://" + d.URL.Host + r.URL.EscapedPath(), From: d.Source(r)}
}

// OfferNonce gives who sends proofs a nonce for the next one, where each needs one
// (RFC 9449 §8.2, requirement P-07).
func (d *Door) OfferNonce(w http.ResponseWriter, r *http.Request) error {
	if r.Header.Get(dpop.Header) == "" {
		return nil
	}
	nonce, err := d.issuer.Proofs.Nonce()
	if nonce != "" {
		w.Header().Set(dpop.NonceHeader, nonce)
	}
	return err
}

// Presented finds the access token in a request's header: of who bears it (RFC 6750 §2.1,
// requirement U-01), or of who proves to have its key (RFC 9449 §7.1).
func (d *Door) Presented(r *http.Request) (p authz.Presented, ok bool) {
	scheme, text, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	if p.ByProof = strings.EqualFold(scheme, dpop.Scheme); !ok || !p.ByProof && !strings.EqualFold(scheme, "Bearer") {
		return authz.Presented{}, false
	}
	p.Token = authz.Secret(strings.TrimSpace(text))
	if p.ByProof {
		p.DPoP = d.DPoP(r)
	}
	return p, true
}

// proofAlgs are the algorithms of proofs, as a challenge names them.
var proofAlgs = strings.Join(dpop.Algorithms(), " ")

// challenge tells who presented an access token what is wrong with it, in its own
// scheme; who presented none, or one that was not taken, hears of both (RFC 6750 §3, RFC 9449
// §7.1), and where to read what the resource wants (RFC 9728 §5.1, requirement S-02).
func (d *Door) challenge(h http.Header, r *http.Request, parameters string, both bool) {
	parameters += `, resource_metadata="` + d.URL.Scheme + "://" + d.URL.Host + resourceMetadata + ofUserInfo(r, authz.UserInfoPath, d.URL.Path) + `"`
	scheme, _, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if strings.EqualFold(scheme, dpop.Scheme) {
		h.Set("WWW-Authenticate", `DPoP `+parameters+`, algs="`+proofAlgs+`"`)
		return
	}
	h.Set("WWW-Authenticate", "Bearer "+parameters)
	if both {
		h.Add("WWW-Authenticate", `DPoP algs="`+proofAlgs+`"`)
	}
}

// resourceMetadata is where the metadata of what this server protects begin: behind it is
// the path of the resource (RFC 9728 §3.1).
const resourceMetadata = "/.well-known/oauth-protected-resource"

// needed is the scope that an access token needs where it was sent (requirement S-03).
func needed(r *http.Request) string { return ofUserInfo(r, "openid", scopes.Grants) }

// ofUserInfo is one of two texts: of the UserInfo endpoint, or of what else takes access
// tokens.
func ofUserInfo(r *http.Request, there, elsewhere string) string {
	if r.URL.Path == authz.UserInfoPath {
		return there
	}
	return elsewhere
}
