package receipt_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"math/big"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-webauthn/webauthn/protocol/webauthncbor"

	"countersign.dev/bitcoinauth"
	"countersign.dev/receipt"
)

// passkey is an authenticator with one credential, and the browser before it. Tests change
// its members to make it misbehave.
type passkey struct {
	tb     testing.TB
	cose   map[int]any
	signer crypto.Signer
	hash   crypto.Hash
	id     []byte
	issuer string
	origin string
	flags  byte
	client map[string]any // members that are set
	behind []byte         // extensions of the new credential
}

func newPasskey(tb testing.TB) *passkey {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	point, err := key.PublicKey.Bytes()
	if err != nil {
		tb.Fatal(err)
	}
	return &passkey{
		tb: tb, cose: map[int]any{1: 2, 3: -7, -1: 1, -2: point[1:33], -3: point[33:]}, signer: key, hash: crypto.SHA256,
		id: []byte("a passkey"), issuer: "https://id.example.org", origin: "https://id.example.org", flags: 0x05, client: map[string]any{},
	}
}

// others are authenticators with the other algorithms that a server takes.
func others(t *testing.T) map[string]*passkey {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	edwards := newPasskey(t)
	edwards.signer, edwards.hash, edwards.cose = private, 0, map[int]any{1: 1, 3: -8, -1: 6, -2: []byte(public)}
	big2048, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	old := newPasskey(t)
	old.signer = big2048
	old.cose = map[int]any{1: 3, 3: -257, -1: big2048.N.Bytes(), -2: big.NewInt(int64(big2048.E)).Bytes()}
	return map[string]*passkey{"EdDSA": edwards, "RS256": old}
}

func (p *passkey) json(v any) string {
	p.tb.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		p.tb.Fatal(err)
	}
	return string(b)
}

func (p *passkey) cbor(v any) []byte {
	p.tb.Helper()
	b, err := webauthncbor.Marshal(v)
	if err != nil {
		p.tb.Fatal(err)
	}
	return b
}

func base64url(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func (p *passkey) data(flags byte) []byte {
	u, err := url.Parse(p.issuer)
	if err != nil {
		p.tb.Fatal(err)
	}
	party := sha256.Sum256([]byte(u.Hostname()))
	return append(append(party[:], flags), 0, 0, 0, 1)
}

// added is the body of the request that adds it.
func (p *passkey) added() string {
	p.tb.Helper()
	data := slices.Concat(p.data(p.flags|0x40), make([]byte, 16), binary.BigEndian.AppendUint16(nil, uint16(len(p.id))), p.id, p.cbor(p.cose), p.behind)
	object := p.cbor(map[string]any{"fmt": "none", "attStmt": map[string]any{}, "authData": data})
	credential := p.json(map[string]any{"id": base64url(p.id), "type": "public-key", "response": map[string]any{"attestationObject": base64url(object)}})
	return p.json(map[string]string{"aud": p.issuer, "ceremony": "x", "name": "My phone", "credential": credential})
}

// vouch has the owner sign that.
func (p *passkey) vouch(body string) *receipt.Vouch {
	p.tb.Helper()
	token, err := bitcoinauth.Sign(keyOf(p.tb, "owner"), bitcoinauth.Signing{Path: receipt.PasskeyPath, Body: []byte(body), Time: agentTime.Add(-1000 * time.Hour)})
	if err != nil {
		p.tb.Fatal(err)
	}
	return &receipt.Vouch{Path: receipt.PasskeyPath, Body: body, Token: token}
}

// answer is what it answers over a statement.
func (p *passkey) answer(statement string) string {
	p.tb.Helper()
	challenge := sha256.Sum256([]byte(statement))
	members := map[string]any{"type": "webauthn.get", "challenge": base64url(challenge[:]), "origin": p.origin, "crossOrigin": false}
	for name, value := range p.client {
		members[name] = value
	}
	client := []byte(p.json(members))
	clientHash := sha256.Sum256(client)
	covered := append(p.data(p.flags), clientHash[:]...)
	if p.hash != 0 {
		digest := sha256.Sum256(covered)
		covered = digest[:]
	}
	signature, err := p.signer.Sign(rand.Reader, covered, p.hash)
	if err != nil {
		p.tb.Fatal(err)
	}
	return p.json(map[string]any{
		"id": base64url(p.id), "rawId": base64url(p.id), "type": "public-key", "clientExtensionResults": map[string]any{},
		"response": map[string]any{
			"clientDataJSON": base64url(client), "authenticatorData": base64url(p.data(p.flags)), "signature": base64url(signature), "userHandle": "eA",
		},
	})
}

// byPerson is the receipt of a statement that a passkey approved.
func byPerson(tb testing.TB, presence, assertion string, vouch *receipt.Vouch) string {
	tb.Helper()
	return receipt.Receipt{
		Kind: receipt.PurposeDelegation, BAPID: bapID(tb, keyOf(tb, "owner")), Path: receipt.ApprovalPath,
		Body: body("BCDF-GHJK", personal(tb, presence)), Assertion: assertion, Vouch: vouch,
	}.Encode()
}

func personal(tb testing.TB, presence string) string {
	tb.Helper()
	d := delegation(tb)
	d.Presence = presence
	return d.Encode()
}

func TestK16_APasskeysReceiptVerifiesFromItselfAlone(t *testing.T) {
	all := others(t)
	all["ES256"] = newPasskey(t)
	all["with extensions"] = newPasskey(t)
	all["with extensions"].behind = []byte{0xa0}
	for name, p := range all {
		for _, presence := range []string{receipt.PresencePerson, receipt.PresenceOtherDevice} {
			v, err := receipt.Verify([]byte(byPerson(t, presence, p.answer(personal(t, presence)), p.vouch(p.added()))))
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			if v.Passkey != base64url(p.id) || v.PublicKey != known().Keys["owner"].PublicKey || !v.SignedAt.IsZero() || !slices.Equal(v.Passed, checks) ||
				v.Delegation.Presence != presence {
				t.Errorf("%s: %+v", name, v)
			}
		}
	}
}

func TestAPasskeyThatNobodyVouchedForIsSaidToBeOne(t *testing.T) {
	p, says := newPasskey(t), personal(t, receipt.PresencePerson)
	v, err := receipt.Verify([]byte(byPerson(t, receipt.PresencePerson, p.answer(says), nil)))
	if !errors.Is(err, receipt.ErrUnvouched) || failed(err) != receipt.CheckSignature {
		t.Fatal(err)
	}
	if v == nil || v.PublicKey != "" || v.Delegation.Encode() != says || slices.Contains(v.Passed, receipt.CheckSignature) || slices.Contains(v.Passed, receipt.CheckIdentity) {
		t.Errorf("%+v", v)
	}
	// What is wrong besides is still said.
	p.origin = "https://evil.example"
	if v, err := receipt.Verify([]byte(byPerson(t, receipt.PresencePerson, p.answer(says), nil))); failed(err) != receipt.CheckStatement || v != nil {
		t.Error(err)
	}
}

func TestAPasskeysAnswerIsOverThisStatementByThisPerson(t *testing.T) {
	says := personal(t, receipt.PresencePerson)
	stranger := newPasskey(t)
	for what, row := range map[string]struct {
		want   receipt.Check
		change func(p *passkey)
	}{
		"another statement":      {receipt.CheckSignature, func(p *passkey) { p.client["challenge"] = base64url(make([]byte, 32)) }},
		"adding, not signing":    {receipt.CheckSignature, func(p *passkey) { p.client["type"] = "webauthn.create" }},
		"inside another site":    {receipt.CheckSignature, func(p *passkey) { p.client["crossOrigin"] = true }},
		"without its user":       {receipt.CheckSignature, func(p *passkey) { p.flags = 0x01 }},
		"without a touch":        {receipt.CheckSignature, func(p *passkey) { p.flags = 0x04 }},
		"by another passkey":     {receipt.CheckSignature, func(p *passkey) { p.signer = stranger.signer }},
		"to another site":        {receipt.CheckStatement, func(p *passkey) { p.origin = "https://id.example.org.evil.example" }},
		"to another port":        {receipt.CheckStatement, func(p *passkey) { p.origin += ":8443" }},
		"of another site":        {receipt.CheckStatement, func(p *passkey) { p.issuer = "https://other.example" }},
		"as it should be":        {"", func(*passkey) {}},
		"with what is not known": {"", func(p *passkey) { p.client["other_keys_can_be_added_here"] = "x" }},
	} {
		p := newPasskey(t)
		row.change(p)
		_, err := receipt.Verify([]byte(byPerson(t, receipt.PresencePerson, p.answer(says), p.vouch(p.added()))))
		if failed(err) != row.want || (row.want == "" && err != nil) {
			t.Errorf("%s: want %q to fail: %v", what, row.want, err)
		}
	}
}

func TestAPasskeysReceiptIsNotTakenForMore(t *testing.T) {
	p, says := newPasskey(t), personal(t, receipt.PresencePerson)
	good, body := p.answer(says), p.added()
	elsewhere := *p.vouch(body)
	elsewhere.Path = "/api/user/bap-ids"
	changed := *p.vouch(body)
	changed.Body = strings.Replace(body, "phone", "phono", 1)
	other := newPasskey(t)
	other.id = []byte("another")
	late := *p.vouch(body)
	token, err := bitcoinauth.Sign(keyOf(t, "owner"), bitcoinauth.Signing{Path: receipt.PasskeyPath, Body: []byte(body), Time: agentTime.Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	late.Token = token
	agents := *p.vouch(body)
	if agents.Token, err = bitcoinauth.Sign(keyOf(t, "agent"), bitcoinauth.Signing{Path: receipt.PasskeyPath, Body: []byte(body), Time: agentTime}); err != nil {
		t.Fatal(err)
	}
	withAud := func(aud string) *receipt.Vouch {
		return p.vouch(strings.Replace(body, `"aud":"https://id.example.org",`, aud, 1))
	}
	for what, row := range map[string]struct {
		want receipt.Check
		text string
	}{
		"no answer":                      {receipt.CheckSignature, byPerson(t, receipt.PresencePerson, `{}`, p.vouch(body))},
		"an answer that is no JSON":      {receipt.CheckSignature, byPerson(t, receipt.PresencePerson, `x`, p.vouch(body))},
		"an answer with a name twice":    {receipt.CheckSignature, byPerson(t, receipt.PresencePerson, strings.Replace(good, "{", `{"id":"x",`, 1), p.vouch(body))},
		"base64 with more than it needs": {receipt.CheckSignature, byPerson(t, receipt.PresencePerson, strings.Replace(good, `","rawId`, `=","rawId`, 1), p.vouch(body))},
		"a key's presence":               {receipt.CheckStatement, byPerson(t, receipt.PresencePassword, p.answer(personal(t, receipt.PresencePassword)), p.vouch(body))},
		"vouched by another request":     {receipt.CheckSignature, byPerson(t, receipt.PresencePerson, good, &elsewhere)},
		"vouched by a changed request":   {receipt.CheckSignature, byPerson(t, receipt.PresencePerson, good, &changed)},
		"another passkey vouched for":    {receipt.CheckSignature, byPerson(t, receipt.PresencePerson, good, p.vouch(other.added()))},
		"nothing vouched for":            {receipt.CheckSignature, byPerson(t, receipt.PresencePerson, good, p.vouch(`{"aud":"https://id.example.org"}`))},
		"vouched for nowhere":            {receipt.CheckSignature, byPerson(t, receipt.PresencePerson, good, withAud(""))},
		"vouched for elsewhere":          {receipt.CheckStatement, byPerson(t, receipt.PresencePerson, good, withAud(`"aud":"https://other.example",`))},
		"vouched for by another":         {receipt.CheckIdentity, byPerson(t, receipt.PresencePerson, good, &agents)},
		"vouched for afterwards":         {receipt.CheckTime, byPerson(t, receipt.PresencePerson, good, &late)},
	} {
		if _, err := receipt.Verify([]byte(row.text)); failed(err) != row.want {
			t.Errorf("%s: want %q to fail: %v", what, row.want, err)
		}
	}
}

// FuzzVerifyPasskey: whatever a passkey's answer and its vouch look like, a named check
// says what is wrong.
func FuzzVerifyPasskey(f *testing.F) {
	p := newPasskey(f)
	f.Add(p.answer(personal(f, receipt.PresencePerson)), p.added(), p.data(0x45))
	f.Fuzz(func(t *testing.T, assertion, added string, data []byte) {
		p := *p
		p.tb = t
		object := p.cbor(map[string]any{"authData": data})
		credential := p.json(map[string]any{"response": map[string]any{"attestationObject": base64url(object)}})
		for _, body := range []string{added, p.json(map[string]string{"aud": p.issuer, "credential": credential})} {
			text := byPerson(t, receipt.PresencePerson, assertion, p.vouch(body))
			if _, err := receipt.Verify([]byte(text)); err != nil && failed(err) == "" {
				t.Errorf("failed without a named check: %v", err)
			}
		}
	})
}
