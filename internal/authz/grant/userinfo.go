package grant

import (
	"context"
	"encoding/json"

	"countersign.dev/bap"
	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/scopes"
)

// UserInfo are the claims about an owner (OpenID Connect Core §5.3, and ours).
// Which members are there follows the scopes granted (requirement U-09); the subject
// always is, and is that of the ID token (requirement U-08). No e-mail address is among them:
// clients take who has it for the same person, and this server has verified none (requirement
// U-16).
type UserInfo struct {
	Subject string `json:"sub"`
	// With the profile scope:
	Name       string `json:"name,omitempty"`
	GivenName  string `json:"given_name,omitempty"`
	FamilyName string `json:"family_name,omitempty"`
	Picture    string `json:"picture,omitempty"`
	BAPID      string `json:"bap_id,omitempty"`
	Pubkey     string `json:"pubkey,omitempty"`
	// BAP is the BAP profile as a JSON string; existing clients parse it themselves
	// (requirement U-10).
	BAP string `json:"bap,omitempty"`
}

// BAPProfile is the BAP profile as clients of Sigma Identity know it.
type BAPProfile struct {
	IDKey          string       `json:"idKey"`
	RootAddress    string       `json:"rootAddress"`
	CurrentAddress string       `json:"currentAddress"`
	Addresses      []bapAddress `json:"addresses"`
	Identity       bapPerson    `json:"identity"`
}

type bapAddress struct {
	Address string `json:"address"`
	TxID    string `json:"txId"`
	Block   int    `json:"block"`
}

type bapPerson struct {
	Context       string `json:"@context"`
	Type          string `json:"@type"`
	AlternateName string `json:"alternateName"`
	GivenName     string `json:"givenName,omitempty"`
	FamilyName    string `json:"familyName,omitempty"`
	Image         string `json:"image,omitempty"`
	Description   string `json:"description,omitempty"`
}

// UserInfo returns the claims an access token gives access to.
//
//	InvalidToken, UnprovenToken, NonceForToken
//	InsufficientScope: the token lacks openid
func (s *Grants) UserInfo(ctx context.Context, presented authz.Presented) (UserInfo, error) {
	grant, identity, scope, err := s.usable(ctx, presented, "openid")
	if err != nil {
		return UserInfo{}, err
	}
	info := UserInfo{Subject: grant.AccountID}
	if !scopes.Has(scope, "profile") {
		return info, nil
	}
	p := identity.Profile
	info.Name, info.GivenName, info.FamilyName, info.Picture = identity.DisplayName(), p.GivenName, p.FamilyName, p.Picture
	info.BAPID, info.Pubkey = grant.BAPID, grant.MemberKey
	profile, err := BAPProfileOf(identity)
	if err != nil {
		return UserInfo{}, err
	}
	written, err := json.Marshal(profile)
	info.BAP = string(written)
	return info, err
}

// BAPProfileOf is the identity's BAP profile. Without a rotation the member
// key's address is the root and the current address at once.
func BAPProfileOf(i authz.Identity) (BAPProfile, error) {
	address, err := bap.AddressOfHex(i.MemberKey)
	p := i.Profile
	return BAPProfile{
		IDKey: i.BAPID, RootAddress: address, CurrentAddress: address,
		Addresses: []bapAddress{{Address: address}},
		Identity: bapPerson{
			Context: "https://schema.org", Type: "Person", AlternateName: i.DisplayName(),
			GivenName: p.GivenName, FamilyName: p.FamilyName, Image: p.Picture, Description: p.Description,
		},
	}, err
}
