package protect

import (
	"context"
	"encoding/base64"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"countersign.dev/dpop"
)

// Token is what an access token says: for whom and by whom it is used, and for what. The text
// of the token is not in it.
type Token struct {
	// Subject is the account at the issuer, or the client itself where it acts for nobody.
	Subject, ClientID string
	// Actor is the client that acts for the subject with a token that it got in exchange for one
	// that it was sent (RFC 8693 §4.1); empty where the subject's own client calls. Who acted before
	// it is in the token too, and decides nothing.
	Actor string
	// Scope is what the token may do here, separated by spaces.
	Scope string
	// BAPID and PublicKey are the owner's identity and key; empty for a client's own token.
	BAPID, PublicKey string
	// Thumbprint is of the key that the token is bound to and that this request proved
	// (RFC 7638); empty for a bearer token.
	Thumbprint string
	// ID names the token, ACR how its owner said yes.
	ID, ACR string
	Expires time.Time
}

// May reports whether the token has a scope.
func (t Token) May(scope string) bool {
	return slices.Contains(strings.Fields(t.Scope), scope)
}

// maxToken bounds a token in bytes before anything is parsed.
const maxToken = 8 << 10

// header are the members of a JWS header that count. Keys that it brings or names by an
// address are not looked at (RFC 8725 §3.1, requirement M-09).
type header struct {
	Type     string         `json:"typ"`
	KeyID    string         `json:"kid"`
	Critical jsontext.Value `json:"crit"`
}

// claims are those of RFC 9068 §2.2, RFC 9449 §6.1 and Countersign's own.
type claims struct {
	Issuer    string   `json:"iss"`
	Subject   string   `json:"sub"`
	Audience  audience `json:"aud"`
	ClientID  string   `json:"client_id"`
	Scope     string   `json:"scope"`
	ID        string   `json:"jti"`
	ACR       string   `json:"acr"`
	BAPID     string   `json:"bap_id"`
	PublicKey string   `json:"pubkey"`
	Expires   float64  `json:"exp"`
	NotBefore float64  `json:"nbf"`
	Confirm   *struct {
		Thumbprint string `json:"jkt"`
	} `json:"cnf"`
	Actor *struct {
		Subject string `json:"sub"`
	} `json:"act"`
}

// audience is a text or a list of them (RFC 7519 §4.1.3).
type audience []string

// UnmarshalJSON reads either.
func (a *audience) UnmarshalJSON(raw []byte) error {
	var one string
	if json.Unmarshal(raw, &one) == nil {
		*a = audience{one}
		return nil
	}
	return json.Unmarshal(raw, (*[]string)(a))
}

// verify verifies an access token (RFC 9068 §4): in the one encoding that there is of it, of
// its type, signed by a key of the issuer in that key's algorithm, for this API and not
// over. An ID token is none (requirement M-10).
func (a *API) verify(ctx context.Context, raw string) (Token, *refusal) {
	head, ok := readHeader(raw)
	if !ok {
		return Token{}, errToken
	}
	signer, err := a.keys.find(ctx, head.KeyID)
	if err != nil {
		return Token{}, unlessUnknown(err)
	}
	jws, err := jose.ParseSignedCompact(raw, []jose.SignatureAlgorithm{signer.algorithm})
	if err != nil {
		return Token{}, errToken
	}
	payload, err := jws.Verify(signer.public)
	if err != nil {
		return Token{}, errToken
	}
	var c claims
	if json.Unmarshal(payload, &c) != nil || c.Issuer != a.issuer.id || c.Subject == "" || c.ClientID == "" || !a.inTime(c) {
		return Token{}, errToken
	}
	if !slices.ContainsFunc(c.Audience, func(aud string) bool { return slices.Contains(a.resources, aud) }) {
		return Token{}, errAudience
	}
	t := Token{
		Subject: c.Subject, ClientID: c.ClientID, Scope: c.Scope, BAPID: c.BAPID, PublicKey: c.PublicKey, ID: c.ID, ACR: c.ACR,
		Expires: time.Unix(int64(c.Expires), 0),
	}
	if c.Confirm != nil {
		// What is bound in a way that nobody here can prove is not taken as if it were not.
		if t.Thumbprint = c.Confirm.Thumbprint; !dpop.IsThumbprint(t.Thumbprint) {
			return Token{}, errToken
		}
	}
	if c.Actor != nil {
		if t.Actor = c.Actor.Subject; t.Actor == "" { // nobody is taken for who acts
			return Token{}, errToken
		}
	}
	return t, nil
}

// readHeader reads the header of a token, strictly: its parts in their one encoding, no
// member twice, the type of an access token (RFC 9068 §2.1, requirement M-10), and nothing
// critical, for nothing is understood that could be.
func readHeader(raw string) (head header, ok bool) {
	if len(raw) > maxToken {
		return head, false
	}
	var first []byte
	for i, part := range strings.Split(raw, ".") {
		b, ok := decode(part)
		if !ok {
			return head, false
		}
		if i == 0 {
			first = b
		}
	}
	if json.Unmarshal(first, &head) != nil || head.Critical != nil {
		return head, false
	}
	return head, strings.EqualFold(strings.TrimPrefix(head.Type, "application/"), "at+jwt")
}

// decode accepts the one encoding of some bytes.
func decode(text string) ([]byte, bool) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(text)
	return b, err == nil && !strings.ContainsAny(text, "\r\n") // which the library leaves out
}

// inTime reports whether a token is valid now. Times are seconds, and may have a fraction.
func (a *API) inTime(c claims) bool {
	const end = 1 << 40 // beyond what times are
	now, leeway := float64(a.now().UnixMilli())/1e3, a.leeway.Seconds()
	return c.Expires < end && now < c.Expires+leeway && now >= c.NotBefore-leeway
}
