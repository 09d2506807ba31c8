package receipt

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"net/url"
	"time"

	"github.com/go-webauthn/webauthn/protocol/webauthncbor"
	"github.com/go-webauthn/webauthn/protocol/webauthncose"
)

// PasskeyPath is where passkeys are added.
const PasskeyPath = "/api/passkeys"

// Vouch is the request that added a passkey, as it was sent: a member key signed the
// passkey's own key with it.
type Vouch struct {
	Path  string `json:"path"`
	Body  string `json:"body"`
	Token string `json:"token"`
}

// ErrUnvouched says that a passkey signed, and that the request which added it was not
// kept: its signature cannot be verified from the receipt alone, nor whose it is.
var ErrUnvouched = errors.New("the request that added the passkey was not kept: its signature cannot be verified offline, nor whose it is")

// answer is what a passkey answered (WebAuthn §7.2).
type answer struct {
	id        string
	origin    string
	data      []byte // the authenticator data
	signed    []byte // what the signature covers
	signature []byte
	// added is when it was vouched for.
	added time.Time
	// audience is the server that it was added at.
	audience string
}

// The authenticator data (WebAuthn §6.1, §6.5.1): a hash of the relying party, flags, a
// count; and of a new credential its make, the length of its id, the id, its key.
const (
	flagsAt      = sha256.Size
	dataLength   = flagsAt + 1 + 4
	idLengthAt   = dataLength + 16
	idAt         = idLengthAt + 2
	userPresent  = 0x01
	userVerified = 0x04
	attestedData = 0x40
)

// answered verifies what a passkey answered over the statement in the body, with the key
// that was vouched for (requirement N-13).
func (r *reading) answered() error {
	statement, _, err := readBody(r.Body)
	if err != nil {
		return err
	}
	a, err := parseAnswer(r.Assertion, sha256.Sum256([]byte(statement)))
	if err != nil {
		return err
	}
	r.answer, r.v.Passkey = a, a.id
	if r.Vouch == nil {
		return ErrUnvouched
	}
	if r.Vouch.Path != PasskeyPath {
		return errors.New("the request that vouches for the passkey is not the one that added it")
	}
	vouched, err := verifyToken(r.Vouch.Token, r.Vouch.Path, r.Vouch.Body)
	if err != nil {
		return err
	}
	key, err := a.addedBy(r.Vouch.Body)
	if err != nil {
		return err
	}
	public, err := webauthncose.ParsePublicKey(key)
	if err != nil {
		return errors.New("the passkey's key cannot be read")
	}
	if good, err := webauthncose.VerifySignature(public, a.signed, a.signature); err != nil || !good {
		return errors.New("the passkey's signature does not cover the statement")
	}
	r.v.PublicKey, a.added = vouched.PublicKey, vouched.Time
	return nil
}

// parseAnswer reads the JSON of a PublicKeyCredential, and checks what it says by itself.
func parseAnswer(text string, challenge [sha256.Size]byte) (*answer, error) {
	var is struct {
		ID       string `json:"id"`
		Response struct {
			Client    byte64 `json:"clientDataJSON"`
			Data      byte64 `json:"authenticatorData"`
			Signature byte64 `json:"signature"`
		} `json:"response"`
	}
	var client struct {
		Type        string `json:"type"`
		Challenge   string `json:"challenge"`
		Origin      string `json:"origin"`
		CrossOrigin bool   `json:"crossOrigin"`
	}
	if err := decodeOnce(text, &is); err != nil {
		return nil, errors.New("the passkey's answer is not the JSON of a PublicKeyCredential")
	}
	if err := decodeOnce(string(is.Response.Client), &client); err != nil {
		return nil, errors.New("the clientDataJSON of the passkey's answer is no JSON")
	}
	data := is.Response.Data
	switch {
	case client.Type != "webauthn.get":
		return nil, errors.New("the passkey did something else than sign")
	case client.Challenge != base64.RawURLEncoding.EncodeToString(challenge[:]):
		return nil, errors.New("the passkey signed another statement: its challenge is not the SHA-256 of this one")
	case client.CrossOrigin:
		return nil, errors.New("the passkey was asked from inside another site")
	case len(data) < dataLength || data[flagsAt]&userPresent == 0 || data[flagsAt]&userVerified == 0:
		return nil, errors.New("the passkey did not verify its user")
	}
	clientHash := sha256.Sum256(is.Response.Client)
	return &answer{
		id: is.ID, origin: client.Origin, data: data, signature: is.Response.Signature,
		signed: append(bytes.Clone(data), clientHash[:]...),
	}, nil
}

// byte64 are bytes in base64url.
type byte64 []byte

// UnmarshalText reads them in their one spelling.
func (b *byte64) UnmarshalText(text []byte) (err error) {
	*b, err = base64.RawURLEncoding.Strict().DecodeString(string(text))
	return err
}

// decodeOnce reads a JSON object in which each name stands once.
func decodeOnce(text string, into any) error {
	if _, err := ReadMembers([]byte(text)); err != nil {
		return err
	}
	return json.Unmarshal([]byte(text), into)
}

// at checks that a passkey of this server was asked by a page of this server (WebAuthn
// §7.2 steps 13 and 15).
func (a *answer) at(issuer string) error {
	u, err := url.Parse(issuer)
	if err != nil {
		return errors.New("iss is no address")
	}
	party := sha256.Sum256([]byte(u.Hostname()))
	switch {
	case a.origin != u.Scheme+"://"+u.Host, !bytes.Equal(a.data[:flagsAt], party[:]):
		return errors.New("the passkey answered to another site than the statement's server")
	case a.audience != "" && a.audience != issuer:
		return errors.New("the passkey was added at another server")
	}
	return nil
}

// addedBy is the passkey's key (COSE, RFC 9052 §7) in the body that added it.
func (a *answer) addedBy(body string) (key []byte, err error) {
	members, err := ReadMembers([]byte(body))
	if err != nil {
		return nil, err
	}
	var is struct {
		Response struct {
			Object byte64 `json:"attestationObject"`
		} `json:"response"`
	}
	if err := decodeOnce(members.Texts["credential"], &is); err != nil {
		return nil, errors.New("the request that vouches carries no passkey")
	}
	var object struct {
		Data []byte `cbor:"authData"`
	}
	if err := webauthncbor.Unmarshal(is.Response.Object, &object); err != nil {
		return nil, errors.New("the passkey that was added cannot be read")
	}
	data := object.Data
	if len(data) < idAt || data[flagsAt]&attestedData == 0 {
		return nil, errors.New("no passkey was added")
	}
	keyAt := idAt + int(binary.BigEndian.Uint16(data[idLengthAt:]))
	if len(data) <= keyAt || base64.RawURLEncoding.EncodeToString(data[idAt:keyAt]) != a.id {
		return nil, errors.New("another passkey was added than the one that signed")
	}
	var first webauthncbor.RawMessage // extensions may follow
	length, err := webauthncbor.UnmarshalFirst(data[keyAt:], &first)
	if err != nil {
		return nil, errors.New("the key of the passkey that was added cannot be read")
	}
	if a.audience = members.Texts["aud"]; a.audience == "" {
		return nil, errors.New("the request that vouches names no server")
	}
	return data[keyAt : keyAt+length], nil
}
