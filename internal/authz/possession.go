package authz

// DPoP is what a request brings to prove that its sender has a key (RFC 9449). Only
// wire.Door.DPoP makes one of a request.
type DPoP struct {
	// Proofs are its DPoP headers, of which one counts.
	Proofs []string
	// Method and URL are the request's: the address is the one that clients know the
	// endpoint by, whatever a proxy made of it.
	Method, URL string
	From        Source
}

// Presented is an access token as a request presents it.
type Presented struct {
	Token Secret
	// ByProof: under the scheme DPoP (RFC 9449 §7.1), and not as a bearer token.
	ByProof bool
	DPoP    DPoP
}
