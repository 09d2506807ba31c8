package bap

import (
	"encoding/base64"
	"encoding/json"
	"fmt"

	ec "github.com/bsv-blockchain/go-sdk/primitives/ec"
)

// exportInvoice derives the key to which a master or a member encrypts what it
// exports; the libraries of the field agreed on this text.
const exportInvoice = "m/424150'/2147483647'/2147483647'"

// encryptExport encrypts JSON from a key to itself.
func encryptExport(key *ec.PrivateKey, v any) (string, error) {
	plaintext, err := json.Marshal(v)
	if err != nil {
		return "", err
	}
	own, err := Child(key, exportInvoice)
	if err != nil {
		return "", err
	}
	ciphertext, err := ElectrumEncrypt(plaintext, own, own.PubKey())
	if err != nil {
		return "", err
	}
	return base64.StdEncoding.EncodeToString(ciphertext), nil
}

// decryptExport reads what encryptExport wrote.
//
//	ErrNotABackup
func decryptExport(key *ec.PrivateKey, text string) ([]byte, error) {
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, fmt.Errorf("%w: an encrypted part is not base64", ErrNotABackup)
	}
	own, err := Child(key, exportInvoice)
	if err != nil {
		return nil, err
	}
	plaintext, err := ElectrumDecrypt(raw, own)
	if err != nil {
		return nil, fmt.Errorf("%w: an encrypted part: %w", ErrNotABackup, err)
	}
	return plaintext, nil
}

// noAttributes is written because readers insist on the member being there.
type noAttributes struct{}

// exportedMember is a member's own export.
type exportedMember struct {
	Name              string       `json:"name"`
	Description       string       `json:"description"`
	DerivedPrivateKey string       `json:"derivedPrivateKey"`
	Address           string       `json:"address"`
	Attributes        noAttributes `json:"identityAttributes"`
	IdentityKey       string       `json:"identityKey"`
	Counter           int          `json:"counter"`
}

func (i *Identity) encryptExport() (string, error) {
	address, err := i.MemberSigningAddress(0)
	if err != nil {
		return "", err
	}
	return encryptExport(i.member, exportedMember{
		Name: i.Name, DerivedPrivateKey: i.member.Wif(), Address: address, IdentityKey: i.bapID,
	})
}

// exportedName is the name in a member's export, or empty.
func (i *Identity) exportedName(text string) string {
	plaintext, err := decryptExport(i.member, text)
	if err != nil {
		return ""
	}
	var m struct {
		Name string `json:"name"`
	}
	if json.Unmarshal(plaintext, &m) != nil {
		return ""
	}
	return m.Name
}

// listedIdentity is an entry of a master's list; older libraries say identityKey
// for what newer ones call bapId.
type listedIdentity struct {
	Name         string       `json:"name"`
	Description  string       `json:"description"`
	IdentityKey  string       `json:"identityKey"`
	BAPID        string       `json:"bapId,omitempty"`
	RootPath     string       `json:"rootPath"`
	RootAddress  string       `json:"rootAddress"`
	PreviousPath string       `json:"previousPath"`
	CurrentPath  string       `json:"currentPath"`
	IDSeed       string       `json:"idSeed"`
	Attributes   noAttributes `json:"identityAttributes"`
	LastIDPath   string       `json:"lastIdPath"`
}

// identityList is the `ids` of a master's backup, decrypted.
type identityList struct {
	LastIDPath string           `json:"lastIdPath"`
	IDs        []listedIdentity `json:"ids"`
}

// maxIdentities bounds what one master's backup may list.
const maxIdentities = 1000

// decryptIDs reads the list of a master's identities; without one there is the
// first, which every master has.
//
//	ErrNotABackup
func (m *Master) decryptIDs(ids string) ([]*Identity, error) {
	if ids == "" {
		first, err := m.Identity(0, "")
		return []*Identity{first}, err
	}
	plaintext, err := decryptExport(m.root, ids)
	if err != nil {
		return nil, err
	}
	list, err := parseIdentityList(plaintext)
	if err != nil {
		return nil, err
	}
	identities := make([]*Identity, 0, len(list.IDs))
	for _, entry := range list.IDs {
		identity, err := m.identityAt(entry.RootPath, entry.Name)
		if err != nil {
			return nil, err
		}
		if want := firstOf(entry.BAPID, entry.IdentityKey); want != "" && want != identity.bapID {
			return nil, fmt.Errorf("%w: identity %s is not the one its path gives", ErrNotABackup, entry.RootPath)
		}
		identities = append(identities, identity)
	}
	return identities, nil
}

func parseIdentityList(plaintext []byte) (identityList, error) {
	var list identityList
	if err := json.Unmarshal(plaintext, &list); err != nil {
		return list, fmt.Errorf("%w: its list of identities cannot be read", ErrNotABackup)
	}
	if len(list.IDs) > maxIdentities {
		return list, fmt.Errorf("%w: it lists more than %d identities", ErrNotABackup, maxIdentities)
	}
	return list, nil
}

// encryptIDs writes the list of a master's identities.
func (m *Master) encryptIDs(identities []*Identity) (string, error) {
	list := identityList{IDs: []listedIdentity{}}
	for _, i := range identities {
		address, err := i.RootAddress()
		if err != nil {
			return "", err
		}
		list.LastIDPath = i.Path
		list.IDs = append(list.IDs, listedIdentity{
			Name: i.Name, IdentityKey: i.bapID, RootPath: i.Path, RootAddress: address, PreviousPath: i.Path, CurrentPath: i.Path,
		})
	}
	return encryptExport(m.root, list)
}
