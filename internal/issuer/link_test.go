package issuer_test

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	ec "github.com/bsv-blockchain/go-sdk/primitives/ec"

	"countersign.dev/bap"
	"countersign.dev/bitcoinauth"
	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/account"
)

// Each of the two signatures of a link is refused by itself, with a good one beside it.
func TestN07_EachSignatureOfALinkIsVerifiedByItself(t *testing.T) {
	w := newWorld(t, t.TempDir())
	added, _ := ec.PrivateKeyFromBytes([]byte{31: 99})
	id, err := bap.ID(added.PubKey())
	if err != nil {
		t.Fatal(err)
	}
	by := func(key *ec.PrivateKey) authz.SignedRequest {
		t.Helper()
		w.clock.advance(time.Millisecond) // no two are alike
		token, err := bitcoinauth.Sign(key, bitcoinauth.Signing{Path: "/link", Body: []byte("x"), Time: w.clock.Now()})
		if err != nil {
			t.Fatal(err)
		}
		return authz.SignedRequest{Token: token, Path: "/link", Body: []byte("x")}
	}
	bad := func(r authz.SignedRequest) authz.SignedRequest { r.Body = []byte("y"); return r }
	forger := authz.Source{Address: netip.MustParseAddr("203.0.113.9")}
	spent := func(r authz.SignedRequest) authz.SignedRequest { r.From = forger; return r }
	mine := w.keys[0]
	for _, key := range []*ec.PrivateKey{added, mine} { // forged in the name of both
		for range 130 {
			if _, err := w.service.Accounts.SignedOwner(t.Context(), spent(bad(by(key)))); errors.Is(err, authz.Unavailable) {
				break
			}
		}
	}
	for name, c := range map[string]struct {
		signed, vouch authz.SignedRequest
		want          authz.Code
		says          string
	}{
		"the new key's does not hold":               {bad(by(added)), by(mine), authz.Unauthorized, "does not cover this request"},
		"the account's does not hold":               {by(added), bad(by(mine)), authz.VouchRequired, "is not accepted"},
		"the account's is missing":                  {by(added), authz.SignedRequest{}, authz.VouchRequired, "send X-Vouch-Token"},
		"the new key's, from a network of forgers":  {spent(by(added)), by(mine), authz.Unavailable, "network"},
		"the account's, from a network of forgers":  {by(added), spent(by(mine)), authz.Unavailable, "network"},
		"somebody else's in place of the account's": {by(added), by(w.keys[1]), authz.VouchRequired, "is not accepted"},
	} {
		_, err := w.service.Accounts.LinkIdentity(t.Context(), w.owners[0], account.Linking{BAPID: id, Signed: c.signed, Vouch: c.vouch})
		refusal := new(authz.Error)
		if !errors.As(err, &refusal) || refusal.Code != c.want || !strings.Contains(refusal.Description, c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := w.service.Accounts.LinkIdentity(t.Context(), w.owners[0], account.Linking{BAPID: id, Signed: by(added), Vouch: by(mine)}); err != nil {
		t.Errorf("both are good: %v", err)
	}
}
