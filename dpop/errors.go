package dpop

// Reason is why a proof was refused. Reasons are stable.
type Reason string

// The reasons there are.
const (
	Malformed         Reason = "malformed"
	WrongType         Reason = "wrong_type"
	UnknownAlgorithm  Reason = "unknown_algorithm"
	BadKey            Reason = "bad_key"
	PrivateKey        Reason = "private_key"
	BadClaims         Reason = "bad_claims"
	WrongMethod       Reason = "wrong_method"
	WrongURL          Reason = "wrong_url"
	TooOld            Reason = "too_old"
	TooNew            Reason = "too_new"
	WrongToken        Reason = "wrong_token"
	SignatureMismatch Reason = "signature_mismatch"
)

// advice says what to change. It never quotes the proof.
var advice = map[Reason]string{ //nolint:gosec // words, and no credentials
	Malformed:         "the DPoP proof is not one JWT in compact form, at most 8 KiB of unpadded base64url without a member twice or a crit header",
	WrongType:         "the DPoP proof's typ is not dpop+jwt",
	UnknownAlgorithm:  "the DPoP proof's alg is none that is accepted: see dpop_signing_alg_values_supported in the metadata",
	BadKey:            "the DPoP proof's jwk is not a public key of its alg: P-256, Ed25519, secp256k1, or RSA of 2048 to 4096 bits with the exponent 65537",
	PrivateKey:        "the DPoP proof's jwk holds a private key: make a new key, and send the public part alone",
	BadClaims:         "the DPoP proof lacks jti, htm, htu or iat, or one of its claims is of another type",
	WrongMethod:       "the DPoP proof's htm is not the method of this request",
	WrongURL:          "the DPoP proof's htu is not the address of this request: make it of the address in the server's metadata",
	TooOld:            "the DPoP proof is more than five minutes old: make a new one for each request, and check this machine's clock",
	TooNew:            "the DPoP proof's time is more than five minutes ahead: check this machine's clock",
	WrongToken:        "the DPoP proof's ath is not the hash of the access token that it came with",
	SignatureMismatch: "the DPoP proof's signature is not one by the key in its jwk",
}

// Error is the refusal of a proof.
type Error struct{ Reason Reason }

// Error says what to change, without quoting the proof.
func (e *Error) Error() string { return advice[e.Reason] }
