package server_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"net/http"
	"slices"
	"testing"

	"github.com/go-webauthn/webauthn/protocol/webauthncbor"

	"countersign.dev/bitcoinauth"
)

const (
	passkeysPath       = "/api/passkeys"
	passkeyOptionsPath = "/api/passkeys/options"
	passkeySignInPath  = "/api/auth/sign-in/passkey"
)

// Flags of the authenticator data (WebAuthn §6.1).
const (
	userPresent  = 0x01
	userVerified = 0x04
	attestedData = 0x40
)

// authenticator is a browser and its authenticator, with one credential. Tests
// change its members to make it misbehave.
type authenticator struct {
	t       testing.TB
	key     *ecdsa.PrivateKey
	id      []byte
	handle  []byte // the user handle, kept at creation
	origin  string
	rpID    string
	count   uint32
	flags   byte
	changes func(clientData map[string]any)
}

func newAuthenticator(t testing.TB) *authenticator {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	id := make([]byte, 32)
	_, _ = rand.Read(id) // never fails
	return &authenticator{t: t, key: key, id: id, origin: testIssuer, rpID: "localhost", flags: userPresent | userVerified}
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// publicKeyOptions are the members of both kinds of options that count here.
type publicKeyOptions struct {
	PublicKey struct {
		Challenge string `json:"challenge"`
		User      struct {
			ID string `json:"id"`
		} `json:"user"`
		Exclude []struct {
			ID string `json:"id"`
		} `json:"excludeCredentials"`
		Selection struct {
			ResidentKey      string `json:"residentKey"`
			UserVerification string `json:"userVerification"`
		} `json:"authenticatorSelection"`
		Attestation      string `json:"attestation"`
		UserVerification string `json:"userVerification"`
	} `json:"publicKey"`
}

// ceremony is what a server answered to a request for options.
type ceremony struct {
	Options  publicKeyOptions `json:"options"`
	Ceremony string           `json:"ceremony"`
}

func (r reply) ceremony() ceremony {
	r.t.Helper()
	var c ceremony
	if err := json.Unmarshal([]byte(r.wantOK().body), &c); err != nil || c.Options.PublicKey.Challenge == "" || c.Ceremony == "" {
		r.t.Fatalf("%s %v", r.body, err)
	}
	return c
}

func (a *authenticator) clientData(kind, challenge string) []byte {
	members := map[string]any{"type": kind, "challenge": challenge, "origin": a.origin, "crossOrigin": false}
	if a.changes != nil {
		a.changes(members)
	}
	return a.marshal(members)
}

func (a *authenticator) marshal(v any) []byte {
	a.t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		a.t.Fatal(err)
	}
	return b
}

func (a *authenticator) data(flags byte) []byte {
	hash := sha256.Sum256([]byte(a.rpID))
	return binary.BigEndian.AppendUint32(append(hash[:], flags), a.count)
}

// attested is the authenticator data of a new credential: with its id and public
// key (COSE, ES256).
func (a *authenticator) attested() []byte {
	a.t.Helper()
	point, err := a.key.PublicKey.Bytes()
	if err != nil {
		a.t.Fatal(err)
	}
	public, err := webauthncbor.Marshal(map[int]any{1: 2, 3: -7, -1: 1, -2: point[1:33], -3: point[33:]})
	if err != nil {
		a.t.Fatal(err)
	}
	about := binary.BigEndian.AppendUint16(make([]byte, 16), uint16(len(a.id)))
	return slices.Concat(a.data(a.flags|attestedData), about, a.id, public)
}

// create answers navigator.credentials.create with the JSON of a credential.
func (a *authenticator) create(o publicKeyOptions) string {
	a.t.Helper()
	var err error
	if a.handle, err = base64.RawURLEncoding.DecodeString(o.PublicKey.User.ID); err != nil {
		a.t.Fatal(err)
	}
	object, err := webauthncbor.Marshal(map[string]any{"fmt": "none", "attStmt": map[string]any{}, "authData": a.attested()})
	if err != nil {
		a.t.Fatal(err)
	}
	return a.attestation(o, object)
}

// attestation is the JSON of a new credential with an attestation object.
func (a *authenticator) attestation(o publicKeyOptions, object []byte) string {
	return string(a.marshal(map[string]any{
		"id": b64(a.id), "rawId": b64(a.id), "type": "public-key", "clientExtensionResults": map[string]any{"credProps": map[string]any{"rk": true}},
		"response": map[string]any{
			"clientDataJSON":    b64(a.clientData("webauthn.create", o.PublicKey.Challenge)),
			"attestationObject": b64(object), "transports": []string{"internal"},
		},
	}))
}

// get answers navigator.credentials.get with the JSON of a credential.
func (a *authenticator) get(o publicKeyOptions) string {
	a.t.Helper()
	a.count++
	client, data := a.clientData("webauthn.get", o.PublicKey.Challenge), a.data(a.flags)
	clientHash := sha256.Sum256(client)
	digest := sha256.Sum256(append(slices.Clone(data), clientHash[:]...))
	signature, err := ecdsa.SignASN1(rand.Reader, a.key, digest[:])
	if err != nil {
		a.t.Fatal(err)
	}
	return a.assertion(client, data, signature)
}

// assertion is the JSON of a credential that signed something.
func (a *authenticator) assertion(client, data, signature []byte) string {
	return string(a.marshal(map[string]any{
		"id": b64(a.id), "rawId": b64(a.id), "type": "public-key", "clientExtensionResults": map[string]any{},
		"response": map[string]any{
			"clientDataJSON": b64(client), "authenticatorData": b64(data), "signature": b64(signature), "userHandle": b64(a.handle),
		},
	}))
}

// passkeyOptions begins adding a passkey.
func (h *house) passkeyOptions(cookie string) ceremony {
	h.t.Helper()
	return h.postJSON(passkeyOptionsPath, map[string]any{}, "Cookie", cookie).ceremony()
}

// addPasskey sends a new credential, signed by a person.
func (h *house) addPasskey(cookie, signer string, c ceremony, credential string) reply {
	h.t.Helper()
	body, err := json.Marshal(map[string]string{"aud": h.settings.Issuer, "ceremony": c.Ceremony, "name": "My phone", "credential": credential})
	if err != nil {
		h.t.Fatal(err)
	}
	header := append(slices.Clone(jsonBody), "Cookie", cookie, bitcoinauth.Header, h.sign(signer, passkeysPath, string(body)))
	return h.send(http.MethodPost, passkeysPath, string(body), header...)
}

// registered adds a passkey to a person's account.
func (h *house) registered(name string) *authenticator {
	h.t.Helper()
	a := newAuthenticator(h.t)
	cookie := h.signIn(name)
	c := h.passkeyOptions(cookie)
	h.addPasskey(cookie, name, c, a.create(c.Options)).wantOK()
	return a
}

// passkeySignInOptions begins a sign-in.
func (h *house) passkeySignInOptions() ceremony {
	h.t.Helper()
	return h.postJSON(passkeySignInPath+"/options", map[string]any{}).ceremony()
}

// assert sends what an authenticator signed.
func (h *house) assert(c ceremony, credential string, header ...string) reply {
	h.t.Helper()
	return h.postJSON(passkeySignInPath, map[string]any{"ceremony": c.Ceremony, "credential": credential}, header...)
}

// passkeySignIn is a whole sign-in.
func (h *house) passkeySignIn(a *authenticator, header ...string) reply {
	h.t.Helper()
	c := h.passkeySignInOptions()
	return h.assert(c, a.get(c.Options), header...)
}
