package bap

import (
	"fmt"
	"io"
	"log/slog"
	"strconv"

	ec "github.com/bsv-blockchain/go-sdk/primitives/ec"
)

const redacted = "[redacted]"

// signingInvoice derives the key that signs for an identity on chain.
const signingInvoice = "1-sigma-identity"

// Identity is one BAP identity and the member key that controls it.
type Identity struct {
	// Name is what its owner calls it on this machine.
	Name string
	// Path is where a master derives it (bap:0), or empty.
	Path string

	bapID  string
	member *ec.PrivateKey
}

// NewIdentity returns the identity of a member key.
func NewIdentity(name string, member *ec.PrivateKey) (*Identity, error) {
	id, err := ID(member.PubKey())
	if err != nil {
		return nil, err
	}
	return &Identity{Name: name, bapID: id, member: member}, nil
}

// BAPID is the identity's BAP id.
func (i *Identity) BAPID() string { return i.bapID }

// MemberKey is the private key that signs in and approves for the identity.
func (i *Identity) MemberKey() *ec.PrivateKey { return i.member }

// MemberPublicKey is the member key's public part: compressed, hex.
func (i *Identity) MemberPublicKey() string { return FormatPublicKey(i.member.PubKey()) }

// RootAddress is the address the BAP id is made of.
func (i *Identity) RootAddress() (string, error) { return Address(i.member.PubKey()) }

// MemberSigningAddress is the address that signs on chain for an identity kept as
// a member, after counter rotations. An identity kept under a master signs
// with another: see Master.SigningAddress.
func (i *Identity) MemberSigningAddress(counter int) (string, error) {
	current, err := Child(i.member, "bap:"+strconv.Itoa(counter))
	if err != nil {
		return "", err
	}
	return signingAddress(current)
}

// Format prints the identity without its key, whatever the verb.
func (i *Identity) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, "identity "+i.bapID+" "+redacted)
}

// LogValue is the identity without its key.
func (i *Identity) LogValue() slog.Value { return slog.StringValue(i.bapID) }

func signingAddress(current *ec.PrivateKey) (string, error) {
	key, err := Child(current, signingInvoice)
	if err != nil {
		return "", err
	}
	return Address(key.PubKey())
}

// Master is a Type-42 master key, which holds any number of identities.
type Master struct{ root *ec.PrivateKey }

// NewMaster draws a master.
func NewMaster(random io.Reader) (*Master, error) {
	root, err := NewKey(random)
	if err != nil {
		return nil, err
	}
	return &Master{root}, nil
}

// MasterFromWIF reads a master's root key.
//
//	ErrKey
func MasterFromWIF(wif string) (*Master, error) {
	root, err := ParseWIF(wif)
	if err != nil {
		return nil, err
	}
	return &Master{root}, nil
}

// Path is where a master derives its identities: bap:0, bap:1 and so on.
func Path(index int) string { return "bap:" + strconv.Itoa(index) }

// Identity derives the identity with an index, 0 and up.
func (m *Master) Identity(index int, name string) (*Identity, error) {
	return m.identityAt(Path(index), name)
}

func (m *Master) identityAt(path, name string) (*Identity, error) {
	member, err := Child(m.root, path)
	if err != nil {
		return nil, err
	}
	identity, err := NewIdentity(name, member)
	if err != nil {
		return nil, err
	}
	identity.Path = path
	return identity, nil
}

// SigningAddress is the address that signs on chain for the identity whose
// current path this is (bap:0, after a rotation bap:0:1 and so on).
func (m *Master) SigningAddress(currentPath string) (string, error) {
	current, err := Child(m.root, currentPath)
	if err != nil {
		return "", err
	}
	return signingAddress(current)
}

// Format prints nothing of the master, whatever the verb.
func (m *Master) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "master "+redacted) }

// LogValue is nothing of the master.
func (m *Master) LogValue() slog.Value { return slog.StringValue(redacted) }
