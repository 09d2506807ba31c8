package bitcoinauth

// Reason is why a token was refused. Reasons are stable.
type Reason string

// The reasons there are.
const (
	Malformed            Reason = "malformed"
	UnknownScheme        Reason = "unknown_scheme"
	BadKey               Reason = "bad_key"
	BadTime              Reason = "bad_time"
	BadPath              Reason = "bad_path"
	BadSignatureEncoding Reason = "bad_signature_encoding"
	TooOld               Reason = "too_old"
	TooNew               Reason = "too_new"
	WrongPath            Reason = "wrong_path"
	WrongSigner          Reason = "wrong_signer"
	NotForAnyone         Reason = "not_for_anyone"
	SignatureMismatch    Reason = "signature_mismatch"
)

// advice says what to change. It never quotes the token.
var advice = map[Reason]string{
	Malformed:            "the token is not pubkey|scheme|timestamp|requestPath|signature: five fields, and a pipe in the path is sent as %7C",
	UnknownScheme:        "the token's scheme is not accepted: use brc77",
	BadKey:               "the token's first field is not a compressed public key in 66 lower-case hex characters",
	BadTime:              "the token's time is not ISO 8601 in UTC with milliseconds, like 2026-01-31T12:00:00.000Z",
	BadPath:              "the path is not a request target: it begins with a slash and holds no space, pipe or control character",
	BadSignatureEncoding: "the token's signature is not a well-formed signature of its scheme in standard base64 with padding",
	TooOld:               "the token is more than five minutes old: sign a new one for each request, and check this machine's clock",
	TooNew:               "the token's time is more than five minutes ahead: check this machine's clock",
	WrongPath:            "the token was signed for another path: sign the request's own path, query included, without the origin",
	WrongSigner:          "the token names one key and is signed by another",
	NotForAnyone:         "the signature is addressed to one verifier: sign for anyone",
	SignatureMismatch:    "the signature does not cover this request: sign exactly the path, time and body bytes that are sent, with the key that is named",
}

// Error is the refusal of a token.
type Error struct{ Reason Reason }

// Error says what to change, without quoting the token.
func (e *Error) Error() string { return advice[e.Reason] }
