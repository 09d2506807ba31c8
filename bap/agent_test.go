package bap_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"math/big"
	"strings"
	"testing"

	ec "github.com/bsv-blockchain/go-sdk/primitives/ec"

	"countersign.dev/bap"
)

// BRC-42, by hand: the child is the key plus an HMAC of the invoice by the secret that the
// key shares with itself.
func TestAnAgentsKeyIsTheType42ChildOfItsOwnersWithItself(t *testing.T) {
	member, _ := ec.PrivateKeyFromBytes([]byte{31: 11})
	secret := member.PubKey().Mul(member.D)
	mac := hmac.New(sha256.New, secret.Compressed())
	mac.Write([]byte("1-countersign-agent-backup-tool"))
	want := new(big.Int).Add(member.D, new(big.Int).SetBytes(mac.Sum(nil)))
	want.Mod(want, ec.S256().N)
	for range 2 {
		got, err := bap.AgentKey(member, "backup-tool")
		if err != nil || got.D.Cmp(want) != 0 {
			t.Errorf("%x, want %x: %v", got.D, want, err)
		}
	}
	other, err := bap.AgentKey(member, "backup-tool2")
	if err != nil || other.D.Cmp(want) == 0 {
		t.Errorf("another name gives %x: %v", other.D, err)
	}
	for name, good := range map[string]bool{
		"a": true, "0": true, "-": true, strings.Repeat("x", 60): true,
		"": false, strings.Repeat("x", 61): false, "Backup": false, "a b": false, "é": false, "a\n": false, "a_b": false, "a.b": false,
	} {
		if _, err := bap.AgentKey(member, name); errors.Is(err, bap.ErrAgentName) == good || (good && err != nil) || bap.IsAgentName(name) != good {
			t.Errorf("%q: %v", name, err)
		}
	}
}
