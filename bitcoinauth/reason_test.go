package bitcoinauth_test

import (
	"bytes"
	"encoding/asn1"
	"encoding/base64"
	"encoding/hex"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/bsv-blockchain/go-sdk/message"
	ec "github.com/bsv-blockchain/go-sdk/primitives/ec"

	"countersign.dev/bitcoinauth"
)

// field replaces one field of a token.
func field(token string, i int, text string) string {
	part := strings.Split(token, "|")
	part[i] = text
	return strings.Join(part, "|")
}

// Each check refuses for its own reason, so that none hides behind another.
func TestEachRefusalHasItsReason(t *testing.T) {
	good := sign(t, bitcoinauth.Signing{Path: path, Time: now(), Scheme: bitcoinauth.BSM})
	own := hex.EncodeToString(key().PubKey().Compressed())
	for name, c := range map[string]struct {
		token string
		check bitcoinauth.Check
		want  bitcoinauth.Reason
	}{
		"as it is":              {good, bitcoinauth.Check{Path: path}, ""},
		"another path":          {good, bitcoinauth.Check{Path: path + "?a=b"}, bitcoinauth.WrongPath},
		"another body":          {good, bitcoinauth.Check{Path: path, Body: []byte("{}")}, bitcoinauth.SignatureMismatch},
		"no key":                {field(good, 0, ""), bitcoinauth.Check{Path: path}, bitcoinauth.BadKey},
		"a key in no hex":       {field(good, 0, "zz"+own[2:]), bitcoinauth.Check{Path: path}, bitcoinauth.BadKey},
		"a short key":           {field(good, 0, own[:64]), bitcoinauth.Check{Path: path}, bitcoinauth.BadKey},
		"a key of another kind": {field(good, 0, "05"+own[2:]), bitcoinauth.Check{Path: path}, bitcoinauth.BadKey},
		"x beyond the field":    {field(good, 0, "02"+strings.Repeat("ff", 32)), bitcoinauth.Check{Path: path}, bitcoinauth.BadKey},
		"x on no curve":         {field(good, 0, "02"+strings.Repeat("00", 31)+"05"), bitcoinauth.Check{Path: path}, bitcoinauth.BadKey},
		"upper case":            {field(good, 0, strings.ToUpper(own)), bitcoinauth.Check{Path: path}, bitcoinauth.BadKey},
		"a path of no request":  {field(good, 3, "path"), bitcoinauth.Check{Path: "path"}, bitcoinauth.BadPath},
		"a comma in the time":   {field(good, 2, "2026-11-23T09:00:00,000Z"), bitcoinauth.Check{Path: path}, bitcoinauth.BadTime},
		"one digit":             {field(good, 2, "2026-11-23T9:00:00.000Z"), bitcoinauth.Check{Path: path}, bitcoinauth.BadTime},
		"six fields":            {good + "|", bitcoinauth.Check{Path: path}, bitcoinauth.Malformed},
		"BSM refused":           {good, bitcoinauth.Check{Path: path, RefuseBSM: true}, bitcoinauth.UnknownScheme},
		"BRC-77 with it":        {sign(t, bitcoinauth.Signing{Path: path, Time: now()}), bitcoinauth.Check{Path: path, RefuseBSM: true}, ""},
	} {
		c.check.Now = now()
		if _, err := bitcoinauth.Verify(c.token, c.check); reason(err) != c.want {
			t.Errorf("%s: %q, want %q", name, reason(err), c.want)
		}
	}
	if _, err := bitcoinauth.Sign(key(), bitcoinauth.Signing{Path: "/a\x7f", Time: now()}); reason(err) != bitcoinauth.BadPath {
		t.Error(err)
	}
}

func TestAWindowOfOnesOwnIsKept(t *testing.T) {
	token := sign(t, bitcoinauth.Signing{Path: path, Time: now()})
	for _, window := range []time.Duration{time.Minute, time.Hour} {
		for offset, want := range map[time.Duration]bitcoinauth.Reason{
			window: "", -window: "", window + time.Millisecond: bitcoinauth.TooOld, -window - time.Millisecond: bitcoinauth.TooNew,
		} {
			if _, err := bitcoinauth.Verify(token, bitcoinauth.Check{Path: path, Now: now().Add(offset), Window: window}); reason(err) != want {
				t.Errorf("%v of %v: %v", offset, window, err)
			}
		}
	}
}

func TestATokenIsAsLongAsItMayBe(t *testing.T) {
	const most = 8 << 10
	room := most - len(sign(t, bitcoinauth.Signing{Path: "/", Time: now(), Scheme: bitcoinauth.BSM}))
	for n, want := range map[int]bitcoinauth.Reason{room: "", room + 1: bitcoinauth.Malformed} {
		long := "/" + strings.Repeat("x", n)
		token := sign(t, bitcoinauth.Signing{Path: long, Time: now(), Scheme: bitcoinauth.BSM})
		if _, err := bitcoinauth.Verify(token, bitcoinauth.Check{Path: long, Now: now()}); reason(err) != want {
			t.Errorf("%d bytes: %v", len(token), err)
		}
	}
}

func TestABodyIsCoveredWhereThereIsOne(t *testing.T) {
	for body, covered := range map[string]bool{"": false, "{}": true} {
		token := sign(t, bitcoinauth.Signing{Path: path, Body: []byte(body), Time: now()})
		if v, err := bitcoinauth.Verify(token, bitcoinauth.Check{Path: path, Body: []byte(body), Now: now()}); err != nil || v.BodySigned != covered {
			t.Errorf("%q: %v", body, err)
		}
	}
}

// bsm is a signature of these numbers.
func bsm(header byte, r, s *big.Int) []byte {
	return append(append([]byte{header}, r.FillBytes(make([]byte, 32))...), s.FillBytes(make([]byte, 32))...)
}

func TestNumbersOfASignatureAreInTheirRange(t *testing.T) {
	one, n := big.NewInt(1), ec.S256().N
	half := new(big.Int).Rsh(n, 1)
	last := new(big.Int).Sub(n, one)
	tokenBSM := sign(t, bitcoinauth.Signing{Path: path, Time: now(), Scheme: bitcoinauth.BSM})
	token77 := sign(t, bitcoinauth.Signing{Path: path, Time: now()})
	raw, err := base64.StdEncoding.DecodeString(token77[strings.LastIndex(token77, "|")+1:])
	if err != nil {
		t.Fatal(err)
	}
	envelope := raw[:4+33+1+32]
	verify := func(token string, signature []byte) bitcoinauth.Reason {
		_, err := bitcoinauth.Verify(field(token, 4, base64.StdEncoding.EncodeToString(signature)), bitcoinauth.Check{Path: path, Now: now()})
		return reason(err)
	}
	der := func(parts ...*big.Int) []byte {
		b, err := asn1.Marshal(parts)
		if err != nil {
			t.Fatal(err)
		}
		return append(append([]byte(nil), envelope...), b...)
	}
	for name, c := range map[string]struct {
		r, s *big.Int
		want bitcoinauth.Reason
	}{
		"the least":    {one, one, bitcoinauth.SignatureMismatch},
		"the greatest": {last, half, bitcoinauth.SignatureMismatch},
		"r 0":          {new(big.Int), one, bitcoinauth.BadSignatureEncoding},
		"s 0":          {one, new(big.Int), bitcoinauth.BadSignatureEncoding},
		"r the order":  {n, one, bitcoinauth.BadSignatureEncoding},
		"s high":       {one, new(big.Int).Add(half, one), bitcoinauth.BadSignatureEncoding},
		"r no point":   {big.NewInt(5), one, bitcoinauth.SignatureMismatch},
	} {
		if got := verify(tokenBSM, bsm(31, c.r, c.s)); got != c.want {
			t.Errorf("BSM, %s: %q", name, got)
		}
		if got := verify(token77, der(c.r, c.s)); got != c.want {
			t.Errorf("BRC-77, %s: %q", name, got)
		}
	}
	if got := verify(token77, der(new(big.Int).Neg(one), one)); got != bitcoinauth.BadSignatureEncoding {
		t.Errorf("r negative: %q", got)
	}
	if got := verify(token77, der(one, one, one)); got != bitcoinauth.BadSignatureEncoding {
		t.Errorf("a third number: %q", got)
	}
	if got := verify(token77, append(der(one, one), 0)); got != bitcoinauth.BadSignatureEncoding {
		t.Errorf("a byte behind: %q", got)
	}
	for header, want := range map[byte]bitcoinauth.Reason{
		30: bitcoinauth.BadSignatureEncoding, 31: bitcoinauth.SignatureMismatch, 34: bitcoinauth.SignatureMismatch, 35: bitcoinauth.BadSignatureEncoding,
	} {
		if got := verify(tokenBSM, bsm(header, one, one)); got != want {
			t.Errorf("header %d: %q", header, got)
		}
	}
	long := append(bsm(31, one, new(big.Int)), 1) // a longer s of the same value
	if got := verify(tokenBSM, long); got != bitcoinauth.BadSignatureEncoding {
		t.Errorf("66 bytes: %q", got)
	}
}

func TestAnEnvelopeIsOfItsVersionAndForAnyone(t *testing.T) {
	token := sign(t, bitcoinauth.Signing{Path: path, Time: now()})
	raw, err := base64.StdEncoding.DecodeString(token[strings.LastIndex(token, "|")+1:])
	if err != nil {
		t.Fatal(err)
	}
	verifier, _ := ec.PrivateKeyFromBytes([]byte{31: 9})
	timestamp := strings.Split(token, "|")[2]
	addressed, err := message.Sign([]byte(path+"|"+timestamp+"|"), key(), verifier.PubKey())
	if err != nil {
		t.Fatal(err)
	}
	other, err := message.Sign([]byte(path+"|"+timestamp+"|"), verifier, nil)
	if err != nil {
		t.Fatal(err)
	}
	version := bytes.Clone(raw)
	version[0] ^= 1
	for name, c := range map[string]struct {
		signature []byte
		want      bitcoinauth.Reason
	}{
		"as it is": {raw, ""}, "another version": {version, bitcoinauth.BadSignatureEncoding}, "for one verifier": {addressed, bitcoinauth.NotForAnyone},
		"another signer": {other, bitcoinauth.WrongSigner},
	} {
		_, err := bitcoinauth.Verify(field(token, 4, base64.StdEncoding.EncodeToString(c.signature)), bitcoinauth.Check{Path: path, Now: now()})
		if reason(err) != c.want {
			t.Errorf("%s: %q, want %q", name, reason(err), c.want)
		}
	}
}
