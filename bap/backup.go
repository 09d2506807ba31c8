package bap

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/pbkdf2"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	ec "github.com/bsv-blockchain/go-sdk/primitives/ec"
)

// PBKDF2 iterations of .bep files: what is written, and what older ones have.
const (
	Iterations       = 600_000
	LegacyIterations = 100_000
)

const (
	saltLength = 16
	ivLength   = 12
	tagLength  = 16
	maxBackup  = 1 << 20
)

var (
	// ErrNotABackup says that a text is no backup of a kind known here.
	ErrNotABackup = errors.New("not a backup")
	// ErrWrongPassword says that the password is wrong or the file is damaged; the
	// encryption cannot tell which.
	ErrWrongPassword = errors.New("wrong password, or a damaged backup")
)

// Kind is what a backup holds.
type Kind string

// The kinds of backup.
const (
	KindMaster Kind = "master" // a Type-42 master and its identities
	KindMember Kind = "member" // one identity, without its master
	KindKey    Kind = "key"    // one bare key, as WIF
)

// Backup is what a .bep file holds.
type Backup struct {
	Kind       Kind
	Label      string
	CreatedAt  time.Time
	Identities []*Identity
	// Master is there with KindMaster.
	Master *Master
	// Iterations are those of the .bep file it was read from, and none of what came in
	// the clear. Where they are fewer than today's, whoever keeps it encrypts it anew.
	Iterations int

	payload []byte // the JSON it was read from or is written as
}

// Format prints what kind of backup it is, whatever the verb.
func (b *Backup) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, "backup "+string(b.Kind)+" "+redacted)
}

// LogValue is the kind of the backup.
func (b *Backup) LogValue() slog.Value { return slog.StringValue(string(b.Kind)) }

// payload are the members of every kind of backup, told apart by which are there.
type payload struct {
	// master
	IDs    string `json:"ids,omitempty"`
	RootPK string `json:"rootPk,omitempty"`
	XPrv   string `json:"xprv,omitempty"`
	// one key, or with ID a member: ID is then its export, encrypted to itself
	WIF string `json:"wif,omitempty"`
	ID  string `json:"id,omitempty"`
	// a member's export in the clear
	DerivedPrivateKey string `json:"derivedPrivateKey,omitempty"`
	Name              string `json:"name,omitempty"`

	Label     string `json:"label,omitempty"`
	CreatedAt string `json:"createdAt,omitempty"`
}

// NewMasterBackup makes a backup of a master and some of its identities.
func NewMasterBackup(m *Master, identities []*Identity, label string, createdAt time.Time) (*Backup, error) {
	ids, err := m.encryptIDs(identities)
	if err != nil {
		return nil, err
	}
	return newBackup(payload{IDs: ids, RootPK: m.root.Wif(), Label: label, CreatedAt: formatTime(createdAt)})
}

// NewMemberBackup makes a backup of one identity without its master.
func NewMemberBackup(i *Identity, createdAt time.Time) (*Backup, error) {
	id, err := i.encryptExport()
	if err != nil {
		return nil, err
	}
	return newBackup(payload{WIF: i.member.Wif(), ID: id, Label: i.Name, CreatedAt: formatTime(createdAt)})
}

// NewKeyBackup makes a backup of one bare key.
func NewKeyBackup(key *ec.PrivateKey, label string, createdAt time.Time) (*Backup, error) {
	return newBackup(payload{WIF: key.Wif(), Label: label, CreatedAt: formatTime(createdAt)})
}

func formatTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

func newBackup(p payload) (*Backup, error) {
	b, err := json.Marshal(p)
	if err != nil {
		return nil, err
	}
	return ParseBackup(b)
}

// Payload is the backup in the clear: keep it nowhere.
func (b *Backup) Payload() []byte { return b.payload }

// Encrypt writes a .bep file under a password; iterations is Iterations or
// LegacyIterations.
func (b *Backup) Encrypt(random io.Reader, password string, iterations int) (string, error) {
	head := make([]byte, saltLength+ivLength)
	if _, err := io.ReadFull(random, head); err != nil {
		return "", err
	}
	aead, err := passwordCipher(password, head[:saltLength], iterations)
	if err != nil {
		return "", err
	}
	return base64.StdEncoding.EncodeToString(aead.Seal(head, head[saltLength:], b.payload, nil)), nil
}

func passwordCipher(password string, salt []byte, iterations int) (cipher.AEAD, error) {
	key, err := pbkdf2.Key(sha256.New, password, salt, iterations, keyLength)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// DecryptBackup reads a .bep file, whichever number of iterations it was written
// with, which it tells.
//
//	ErrNotABackup, ErrWrongPassword
func DecryptBackup(text, password string) (*Backup, error) {
	raw, err := decodeBackup(text)
	if err != nil {
		return nil, err
	}
	salt, iv, ciphertext := raw[:saltLength], raw[saltLength:saltLength+ivLength], raw[saltLength+ivLength:]
	for _, iterations := range []int{Iterations, LegacyIterations} {
		aead, err := passwordCipher(password, salt, iterations)
		if err != nil {
			return nil, err
		}
		plaintext, err := aead.Open(nil, iv, ciphertext, nil)
		if err != nil {
			continue // another number of iterations, or another password
		}
		b, err := ParseBackup(plaintext)
		if err != nil {
			return nil, err
		}
		b.Iterations = iterations
		return b, nil
	}
	return nil, ErrWrongPassword
}

// decodeBackup undoes the base64 and checks the length.
func decodeBackup(text string) ([]byte, error) {
	text = strings.TrimSpace(text)
	if len(text) > maxBackup {
		return nil, fmt.Errorf("%w: larger than a backup can be", ErrNotABackup)
	}
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(raw) <= saltLength+ivLength+tagLength {
		return nil, fmt.Errorf("%w: an encrypted backup is base64", ErrNotABackup)
	}
	return raw, nil
}

// IsEncrypted reports whether a text looks like an encrypted backup, as against
// one in the clear.
func IsEncrypted(text string) bool {
	_, err := decodeBackup(text)
	return err == nil
}

// ParseBackup reads a backup in the clear: what was in a .bep file, an identity
// exported as JSON, or a bare WIF.
//
//	ErrNotABackup
func ParseBackup(plaintext []byte) (*Backup, error) {
	if len(plaintext) > maxBackup {
		return nil, fmt.Errorf("%w: larger than a backup can be", ErrNotABackup)
	}
	if wif := strings.TrimSpace(string(plaintext)); !strings.HasPrefix(wif, "{") {
		key, err := ParseWIF(wif)
		if err != nil {
			return nil, fmt.Errorf("%w: neither JSON nor a WIF", ErrNotABackup)
		}
		return NewKeyBackup(key, "", time.Time{})
	}
	var p payload
	if err := json.Unmarshal(plaintext, &p); err != nil {
		return nil, fmt.Errorf("%w: the JSON cannot be read", ErrNotABackup)
	}
	b := &Backup{Label: p.Label, payload: append([]byte(nil), plaintext...)}
	b.CreatedAt, _ = time.Parse(time.RFC3339Nano, p.CreatedAt) // zero for what is no time
	switch {
	case p.RootPK != "":
		return b, b.readMaster(p)
	case p.XPrv != "":
		return nil, fmt.Errorf("%w: a BIP-32 master (xprv) is not supported; export its identities as members", ErrNotABackup)
	case p.DerivedPrivateKey != "":
		return b, b.readKey(KindMember, p.DerivedPrivateKey, firstOf(p.Name, p.Label))
	case p.WIF != "" && p.ID != "":
		return b, b.readMember(p)
	case p.WIF != "":
		return b, b.readKey(KindKey, p.WIF, firstOf(p.Name, p.Label))
	default:
		return nil, fmt.Errorf("%w: no key in it", ErrNotABackup)
	}
}

func firstOf(texts ...string) string {
	for _, t := range texts {
		if t != "" {
			return t
		}
	}
	return ""
}

func (b *Backup) readKey(kind Kind, wif, name string) error {
	key, err := ParseWIF(wif)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNotABackup, err)
	}
	identity, err := NewIdentity(name, key)
	if err != nil {
		return err
	}
	b.Kind, b.Identities = kind, []*Identity{identity}
	return nil
}

// readMember reads a member and, where it can be decrypted, its name.
func (b *Backup) readMember(p payload) error {
	if err := b.readKey(KindMember, p.WIF, firstOf(p.Name, p.Label)); err != nil {
		return err
	}
	if name := b.Identities[0].exportedName(p.ID); name != "" {
		b.Identities[0].Name = name
	}
	return nil
}

func (b *Backup) readMaster(p payload) error {
	m, err := MasterFromWIF(p.RootPK)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNotABackup, err)
	}
	b.Kind, b.Master = KindMaster, m
	b.Identities, err = m.decryptIDs(p.IDs)
	return err
}
