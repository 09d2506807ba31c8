package authz

// Proofs is what a request brings to prove that its sender has a key: a DPoP proof (RFC 9449),
// or an X-Auth-Token over the request as it was received. Only wire.Door.Proofs makes one of a
// request.
type Proofs struct {
	// DPoP are its DPoP headers, Signed its X-Auth-Tokens. One counts in all.
	DPoP, Signed []string
	// Method and URL are the request's: the address is the one that clients know the
	// endpoint by, whatever a proxy made of it.
	Method, URL string
	// Target is the path with its query and Body the body, as they came: what an X-Auth-Token
	// covers.
	Target string
	Body   []byte
	// ForUs: the body names this server as its aud, for X-Auth-Token names none (requirement
	// N-07).
	ForUs bool
	From  Source
}

// Presented is an access token as a request presents it.
type Presented struct {
	Token Secret
	// ByProof: under the scheme DPoP (RFC 9449 §7.1), and not as a bearer token.
	ByProof bool
	Proofs  Proofs
}
