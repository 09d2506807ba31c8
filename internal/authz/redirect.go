package authz

// Redirect is where the answer to an authorization request goes (RFC 6749 §4.1.2), and
// what the client needs to be sure of it.
type Redirect struct {
	// URI is as the client sent it, which it must send again with the code.
	URI string
	// State is echoed as it came, if it was sent at all (requirement Z-08).
	State    string
	HasState bool
	// CodeChallenge is the S256 challenge of RFC 7636 §4.2.
	CodeChallenge string
	// ProvedSince is how long ago at most who decides may have proved their identity, in Unix
	// seconds; zero for any time (OpenID Connect Core §3.1.2.1, requirement Z-27).
	ProvedSince int64
}
