package wire

import (
	"net/http"
	"strings"

	"countersign.dev/bitcoinauth"
	"countersign.dev/dpop"
	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/scopes"
)

// Proofs is what a request brings to prove that its sender has a key; p is its body, as it was
// read. The address is the configured issuer's, whatever the Host header and a proxy say
// (requirement P-04, attack B-22). It is the only one who makes an X-Auth-Token the proof of a
// key, so that none passes by whom its body is for (requirement N-07).
func (d *Door) Proofs(r *http.Request, p *Params) authz.Proofs {
	proofs, signed := r.Header.Values(dpop.Header), r.Header.Values(bitcoinauth.Header)
	if len(proofs)+len(signed) == 0 {
		return authz.Proofs{}
	}
	return authz.Proofs{
		DPoP: proofs, Signed: signed, Method: r.Method, URL: d.URL.Scheme + "://" + d.URL.Host + r.URL.EscapedPath(),
		Target: r.URL.RequestURI(), Body: p.raw, ForUs: p.Texts["aud"] == d.issuer.Identifier(), From: d.Source(r),
	}
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
// requirement U-01), or of who proves to have its key (RFC 9449 §7.1); p is the request's body,
// as it was read.
func (d *Door) Presented(r *http.Request, p *Params) (presented authz.Presented, ok bool) {
	scheme, text, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	if presented.ByProof = strings.EqualFold(scheme, dpop.Scheme); !ok || !presented.ByProof && !strings.EqualFold(scheme, "Bearer") {
		return authz.Presented{}, false
	}
	presented.Token, presented.Proofs = authz.Secret(strings.TrimSpace(text)), d.Proofs(r, p)
	return presented, true
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
		if both {
			h.Add("WWW-Authenticate", `Bearer realm="countersign"`)
		}
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
