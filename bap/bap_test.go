package bap_test

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	ec "github.com/bsv-blockchain/go-sdk/primitives/ec"

	"countersign.dev/bap"
)

func read[T any](tb testing.TB, name string) T {
	tb.Helper()
	raw, err := os.ReadFile("testdata/" + name + ".json")
	if err != nil {
		tb.Fatal(err)
	}
	var v T
	if err := json.Unmarshal(raw, &v); err != nil {
		tb.Fatal(err)
	}
	return v
}

func private(tb testing.TB, text string) *ec.PrivateKey {
	tb.Helper()
	k, err := ec.PrivateKeyFromHex(text)
	if err != nil {
		tb.Fatal(err)
	}
	return k
}

type keyVectors struct {
	Keys []struct {
		Hex, WIF, Pubkey, Address string
		BAPID                     string `json:"bapIdIfMemberKey"`
	}
	Type42 []struct {
		Invoice, Private, Counterparty, ChildPrivate, SelfChildPrivate, SelfChildPublic string
		ChildPublic                                                                     string `json:"childPublicFromCounterparty"`
	}
}

func TestKeysAddressesAndBAPIDsOfOtherLibraries(t *testing.T) {
	for _, v := range read[keyVectors](t, "keys").Keys {
		key, err := bap.ParseWIF(v.WIF)
		if err != nil {
			t.Fatal(err)
		}
		address, err := bap.Address(key.PubKey())
		if err != nil {
			t.Fatal(err)
		}
		id, err := bap.ID(key.PubKey())
		if err != nil {
			t.Fatal(err)
		}
		if again, err := bap.AddressOfHex(v.Pubkey); err != nil || again != address {
			t.Errorf("AddressOfHex: %s %v", again, err)
		}
		got := []string{key.Hex(), key.Wif(), bap.FormatPublicKey(key.PubKey()), address, id}
		want := []string{v.Hex, v.WIF, v.Pubkey, v.Address, v.BAPID}
		if strings.Join(got, " ") != strings.Join(want, " ") {
			t.Errorf("got  %v\nwant %v", got, want)
		}
	}
}

func TestType42ChildrenInBothDirections(t *testing.T) {
	counterpartyKey := private(t, read[keyVectors](t, "keys").Keys[1].Hex)
	for _, v := range read[keyVectors](t, "keys").Type42 {
		key := private(t, v.Private)
		counterparty, err := bap.ParsePublicKey(v.Counterparty)
		if err != nil {
			t.Fatal(err)
		}
		child, err := key.DeriveChild(counterparty, v.Invoice)
		if err != nil || child.Hex() != v.ChildPrivate {
			t.Errorf("%s: child private %v %v", v.Invoice, child.Hex(), err)
		}
		public, err := key.PubKey().DeriveChild(counterpartyKey, v.Invoice)
		if err != nil || bap.FormatPublicKey(public) != v.ChildPublic {
			t.Errorf("%s: child public from the counterparty: %v", v.Invoice, err)
		}
		self, err := bap.Child(key, v.Invoice)
		if err != nil || self.Hex() != v.SelfChildPrivate || bap.FormatPublicKey(self.PubKey()) != v.SelfChildPublic {
			t.Errorf("%s: own child: %v", v.Invoice, err)
		}
	}
}

type identityVectors struct {
	Identities []struct {
		Master struct{ RootPk string }
		Index  int
		RootPath, CurrentPath, RootAddress, BAPID,
		CurrentAddress string
		Member json.RawMessage
	}
}

func TestIdentitiesOfAType42Master(t *testing.T) {
	for _, v := range read[identityVectors](t, "bap-identities").Identities {
		m, err := bap.MasterFromWIF(v.Master.RootPk)
		if err != nil {
			t.Fatal(err)
		}
		i, err := m.Identity(v.Index, "")
		if err != nil {
			t.Fatal(err)
		}
		root, err := i.RootAddress()
		if err != nil {
			t.Fatal(err)
		}
		signing, err := m.SigningAddress(v.CurrentPath)
		if err != nil {
			t.Fatal(err)
		}
		if i.BAPID() != v.BAPID || root != v.RootAddress || signing != v.CurrentAddress || i.Path != v.RootPath {
			t.Errorf("identity %d: %s %s %s %s", v.Index, i.BAPID(), root, signing, i.Path)
		}

		// The same identity as a member: another road to another signing address.
		member, err := bap.ParseBackup(v.Member)
		if err != nil {
			t.Fatal(err)
		}
		var want struct{ Address, IdentityKey string }
		if err := json.Unmarshal(v.Member, &want); err != nil {
			t.Fatal(err)
		}
		address, err := member.Identities[0].MemberSigningAddress(0)
		if err != nil {
			t.Fatal(err)
		}
		if member.Kind != bap.KindMember || member.Identities[0].BAPID() != want.IdentityKey || address != want.Address {
			t.Errorf("member %d: %s %s %s", v.Index, member.Kind, member.Identities[0].BAPID(), address)
		}
	}
}

type backupVectors struct {
	Cases []struct {
		Name, Passphrase, Encrypted string
		Iterations                  int
		Payload                     json.RawMessage
	}
}

func TestBackupsOfOtherLibrariesAreRead(t *testing.T) {
	for _, v := range read[backupVectors](t, "backups").Cases {
		t.Run(fmt.Sprint(v.Name, " ", v.Iterations), func(t *testing.T) {
			b, err := bap.DecryptBackup(v.Encrypted, v.Passphrase)
			if err != nil {
				t.Fatal(err)
			}
			var got, want map[string]any
			if err := errors.Join(json.Unmarshal(b.Payload(), &got), json.Unmarshal(v.Payload, &want)); err != nil {
				t.Fatal(err)
			}
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("payload differs")
			}
			if len(b.Identities) == 0 {
				t.Error("no identity in it")
			}
			if b.Iterations != v.Iterations {
				t.Errorf("it is said to be of %d iterations", b.Iterations)
			}
			if _, err := bap.DecryptBackup(v.Encrypted, v.Passphrase+"x"); !errors.Is(err, bap.ErrWrongPassword) {
				t.Errorf("wrong password: %v", err)
			}
		})
	}
}

func TestTheMasterBackupListsTheIdentitiesOfTheVectors(t *testing.T) {
	v := read[backupVectors](t, "backups").Cases[0]
	b, err := bap.ParseBackup(v.Payload)
	if err != nil {
		t.Fatal(err)
	}
	known := read[identityVectors](t, "bap-identities").Identities
	for n, i := range b.Identities {
		if i.BAPID() != known[n].BAPID {
			t.Errorf("identity %d is %s, want %s", n, i.BAPID(), known[n].BAPID)
		}
	}
}

func TestOurBackupsAreReadBack(t *testing.T) {
	created := time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)
	m, err := bap.NewMaster(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	first, err := m.Identity(0, "first")
	if err != nil {
		t.Fatal(err)
	}
	second, err := m.Identity(1, "second")
	if err != nil {
		t.Fatal(err)
	}
	master, err := bap.NewMasterBackup(m, []*bap.Identity{first, second}, "both", created)
	if err != nil {
		t.Fatal(err)
	}
	member, err := bap.NewMemberBackup(second, created)
	if err != nil {
		t.Fatal(err)
	}
	bare, err := bap.NewKeyBackup(second.MemberKey(), "bare", created)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range []*bap.Backup{master, member, bare} {
		text, err := b.Encrypt(rand.Reader, "a password", bap.LegacyIterations)
		if err != nil {
			t.Fatal(err)
		}
		back, err := bap.DecryptBackup(text, "a password")
		if err != nil {
			t.Fatal(err)
		}
		last := back.Identities[len(back.Identities)-1]
		if back.Kind != b.Kind || last.BAPID() != second.BAPID() || !back.CreatedAt.Equal(created) {
			t.Errorf("%s came back as %s with %s", b.Kind, back.Kind, last.BAPID())
		}
	}
}

func TestEncryptionBothWays(t *testing.T) {
	type side struct{ Sender, Recipient, Plaintext, CiphertextBase64 string }
	v := read[struct{ BRC78, ElectrumEcies side }](t, "encryption")
	for _, c := range []struct {
		side
		encrypt func([]byte, *ec.PrivateKey, *ec.PublicKey) ([]byte, error)
		decrypt func([]byte, *ec.PrivateKey) ([]byte, error)
	}{{v.BRC78, bap.EncryptTo, bap.Decrypt}, {v.ElectrumEcies, bap.ElectrumEncrypt, bap.ElectrumDecrypt}} {
		theirs, err := base64.StdEncoding.DecodeString(c.CiphertextBase64)
		if err != nil {
			t.Fatal(err)
		}
		sender, recipient := private(t, c.Sender), private(t, c.Recipient)
		ours, err := c.encrypt([]byte(c.Plaintext), sender, recipient.PubKey())
		if err != nil {
			t.Fatal(err)
		}
		for _, ciphertext := range [][]byte{theirs, ours} {
			got, err := c.decrypt(ciphertext, recipient)
			if err != nil || string(got) != c.Plaintext {
				t.Errorf("decrypted %q, %v", got, err)
			}
			if _, err := c.decrypt(ciphertext, sender); !errors.Is(err, bap.ErrDecrypt) {
				t.Errorf("the wrong key: %v", err)
			}
			for cut := range ciphertext {
				if _, err := c.decrypt(ciphertext[:cut], recipient); err == nil {
					t.Errorf("cut to %d bytes and still read", cut)
				}
			}
		}
	}
}

func TestKeysOfTheWrongKindAreRefusedWithAReason(t *testing.T) {
	for text, why := range map[string]string{
		"": "51 or 52",
		"1f3a9d0b7c2e4f5061728394a5b6c7d8e9fa0b1c2d3e4f506172839405a6b7c8": "in hex",
		"cTpB4YiyKiBcPxnefsDpbnDxFDffjqJob8wGCEDXxgQ7zQoMXJdH":             "test network",
		"KxGR5L2rNbeo42ED9X19rqWbEtMApsmoQQkgKPW26JjHzU1YJPnj":             "checksum",
		strings.Repeat("0", 52): "base58",
	} {
		if _, err := bap.ParseWIF(text); !errors.Is(err, bap.ErrKey) || !strings.Contains(err.Error(), why) {
			t.Errorf("%d characters: %v, want %q", len(text), err, why)
		}
	}
}

func TestNothingThatHoldsAKeyPrintsIt(t *testing.T) {
	v := read[backupVectors](t, "backups").Cases[0]
	b, err := bap.ParseBackup(v.Payload)
	if err != nil {
		t.Fatal(err)
	}
	key := b.Identities[0].MemberKey()
	for _, secret := range []any{b, b.Master, b.Identities[0]} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%q"} {
			text := fmt.Sprintf(verb, secret)
			if strings.Contains(text, key.Wif()) || strings.Contains(text, key.Hex()) || strings.Contains(text, key.D.String()) {
				t.Errorf("%s of %T shows the key", verb, secret)
			}
		}
	}
}

func FuzzParseBackup(f *testing.F) {
	v := read[backupVectors](f, "backups")
	for _, c := range v.Cases {
		f.Add([]byte(c.Payload))
	}
	f.Add([]byte("KxGR5L2rNbeo42ED9X19rqWbEtMApsmoQQkgKPW26JjHzU1YJPnk"))
	f.Add([]byte(`{"rootPk":"KxGR5L2rNbeo42ED9X19rqWbEtMApsmoQQkgKPW26JjHzU1YJPnk","ids":"QklFMQ=="}`))
	f.Fuzz(func(t *testing.T, plaintext []byte) {
		b, err := bap.ParseBackup(plaintext)
		if err != nil {
			if !errors.Is(err, bap.ErrNotABackup) {
				t.Errorf("an error of another kind: %v", err)
			}
			return
		}
		if b.Kind == "" {
			t.Error("a backup of no kind")
		}
	})
}

func FuzzDecrypt(f *testing.F) {
	recipient, _ := ec.PrivateKeyFromBytes(bytes.Repeat([]byte{7}, 32))
	for _, encrypt := range []func([]byte, *ec.PrivateKey, *ec.PublicKey) ([]byte, error){bap.EncryptTo, bap.ElectrumEncrypt} {
		ciphertext, err := encrypt([]byte("hello"), recipient, recipient.PubKey())
		if err != nil {
			f.Fatal(err)
		}
		f.Add(ciphertext)
	}
	f.Fuzz(func(t *testing.T, ciphertext []byte) {
		for _, decrypt := range []func([]byte, *ec.PrivateKey) ([]byte, error){bap.Decrypt, bap.ElectrumDecrypt} {
			if _, err := decrypt(ciphertext, recipient); err != nil && !errors.Is(err, bap.ErrDecrypt) {
				t.Errorf("an error of another kind: %v", err)
			}
		}
	})
}

func FuzzParsePublicKey(f *testing.F) {
	f.Add("03cb4a29614b86a7316801b28b9075681e8bb42de18c7ad8672d647cbf4cac6a2f")
	f.Add(hex.EncodeToString(make([]byte, 33)))
	f.Fuzz(func(t *testing.T, text string) {
		key, err := bap.ParsePublicKey(text)
		if err == nil && bap.FormatPublicKey(key) != strings.ToLower(text) {
			t.Error("the key is not the one that was read")
		}
	})
}

func ExampleMaster_Identity() {
	master, err := bap.MasterFromWIF("KxGR5L2rNbeo42ED9X19rqWbEtMApsmoQQkgKPW26JjHzU1YJPnk")
	if err != nil {
		fmt.Println(err)
		return
	}
	identity, err := master.Identity(0, "satoshi")
	fmt.Println(identity.BAPID(), identity.Path, err)
	// Output: itpJCFzZv9WWMcCkvoGQCtBDgQU bap:0 <nil>
}
