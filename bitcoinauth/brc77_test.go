package bitcoinauth_test

import (
	"crypto/sha256"
	"encoding/asn1"
	"encoding/base64"
	"encoding/hex"
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/bsv-blockchain/go-sdk/message"
	ec "github.com/bsv-blockchain/go-sdk/primitives/ec"
	"pgregory.net/rapid"

	"countersign.dev/bitcoinauth"
)

// The verification is folded into one sum: the library, which derives the key first, must
// decide the same of every envelope that has the right shape.
func TestN01_ASignatureIsDecidedAsTheLibraryDecidesIt(t *testing.T) {
	t.Parallel()
	at := now().UTC().Format("2006-01-02T15:04:05.000Z")
	text := func(body string) []byte {
		sum := sha256.Sum256([]byte(body))
		return []byte(path + "|" + at + "|" + hex.EncodeToString(sum[:]))
	}
	const signatureAt = 4 + 33 + 1 + 32
	good := 0
	rapid.Check(t, func(rt *rapid.T) {
		seed := rapid.SliceOfN(rapid.Byte(), 31, 31).Draw(rt, "key")
		signer, public := ec.PrivateKeyFromBytes(append(seed, 1))
		body := rapid.StringN(1, 20, 40).Draw(rt, "body")
		envelope, err := message.Sign(text(body), signer, nil)
		if err != nil {
			rt.Fatal(err)
		}
		switch rapid.IntRange(0, 4).Draw(rt, "change") {
		case 0:
			body += "!"
		case 1:
			envelope[signatureAt-1] ^= 1 << rapid.IntRange(0, 7).Draw(rt, "bit") // of the key id
		case 2:
			var sig struct{ R, S *big.Int }
			if _, err := asn1.Unmarshal(envelope[signatureAt:], &sig); err != nil {
				rt.Fatal(err)
			}
			sig.R = new(big.Int).SetInt64(rapid.Int64Range(1, 1<<40).Draw(rt, "r"))
			der, err := asn1.Marshal(sig)
			if err != nil {
				rt.Fatal(err)
			}
			envelope = append(slices.Clone(envelope[:signatureAt]), der...)
		}
		want, err := message.Verify(text(body), envelope, nil)
		if err != nil {
			rt.Fatal(err)
		}
		token := strings.Join([]string{
			hex.EncodeToString(public.Compressed()), "brc77", at, path, base64.StdEncoding.EncodeToString(envelope),
		}, "|")
		_, err = bitcoinauth.Verify(token, bitcoinauth.Check{Path: path, Body: []byte(body), Now: now()})
		if (err == nil) != want || (!want && reason(err) != bitcoinauth.SignatureMismatch) {
			rt.Errorf("the library says %v: %v", want, err)
		}
		if want {
			good++
		}
	})
	if good == 0 {
		t.Error("nothing was good")
	}
}
