package issuer_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/approval"
	"countersign.dev/internal/authz/device"
	"countersign.dev/receipt"
)

// That somebody signed is said by nothing outside this room: neither a decision nor
// an owner has a field for it, and what verification left in an owner is good for
// the request that was verified. Each row is what a handler could get wrong.
func TestN11_ASignatureIsNothingThatACallerCanClaim(t *testing.T) {
	w := newWorld(t, t.TempDir())
	ctx := t.Context()
	d, err := w.service.Device.Authorize(ctx, client("my-app"), device.AuthorizationRequest{})
	if err != nil {
		t.Fatal(err)
	}
	facts, err := w.service.Approvals.Facts(ctx, w.owners[0], asker, d.UserCode, "")
	if err != nil {
		t.Fatal(err)
	}
	match := d.UserCode[len(d.UserCode)-4:]
	body, err := json.Marshal(map[string]string{"userCode": d.UserCode, "statement": w.service.Approvals.Statement(facts), "match": match})
	if err != nil {
		t.Fatal(err)
	}
	signs := func(owner int, path string, body []byte) authz.Owner {
		t.Helper()
		who, err := w.signed(w.service, owner, path, body)
		if err != nil {
			t.Fatal(err)
		}
		return who
	}
	posing := signs(1, receipt.ApprovalPath, body)
	posing.AccountID, posing.BAPID, posing.MemberKey = w.owners[0].AccountID, w.owners[0].BAPID, w.owners[0].MemberKey
	for name, claim := range map[string]struct {
		owner authz.Owner
		want  authz.Code
	}{
		"a session, which has not even opened it":   {w.owners[0], authz.NotOpened},
		"a signature over another request":          {signs(0, "/api/grants", nil), authz.InvalidRequest},
		"a signature over a denial":                 {signs(0, "/api/auth/device/deny", body), authz.InvalidRequest},
		"a signature over an approval that is none": {signs(0, receipt.ApprovalPath, []byte(`{"userCode":"`+d.UserCode+`"}`)), authz.InvalidRequest},
		"somebody else's signature, as the owner's": {posing, authz.Forbidden},
		"a signature over somebody else's approval": {signs(1, receipt.ApprovalPath, body), authz.Forbidden},
	} {
		if _, err := w.service.Approvals.Approve(ctx, claim.owner, asker, approval.Decision{UserCode: d.UserCode, Match: match}); !errors.Is(err, claim.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, _, err := w.service.Approvals.Open(ctx, w.owners[0], asker, d.UserCode, true); err != nil {
		t.Fatal(err)
	}
	g, err := w.service.Approvals.Approve(ctx, w.owners[0], asker, approval.Decision{UserCode: d.UserCode, Match: match})
	if err != nil || g.ACR != authz.ACRSession {
		t.Errorf("a session's approval is proved by %s: %v", g.ACR, err)
	}
	if _, err := w.service.Grants.Receipt(ctx, w.owners[0], g.ID); !errors.Is(err, authz.NotFound) {
		t.Errorf("a session's approval left a receipt: %v", err)
	}
	if _, err := w.service.Accounts.SetProfile(ctx, w.owners[0], w.owners[0].BAPID, authz.Profile{Name: "x"}); !errors.Is(err, authz.Unauthorized) {
		t.Errorf("a session set a profile: %v", err)
	}
}

func TestD37_OnlyASignatureDeniesWhatItsOwnerHasNotOpened(t *testing.T) {
	w := newWorld(t, t.TempDir())
	d, err := w.service.Device.Authorize(t.Context(), client("my-app"), device.AuthorizationRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.service.Approvals.Deny(t.Context(), w.owners[0], asker, d.UserCode, false); !errors.Is(err, authz.NotOpened) {
		t.Errorf("a session: %v", err)
	}
	who, err := w.signed(w.service, 0, "/api/auth/device/deny", []byte(`{"userCode":"`+strings.ToLower(d.UserCode)+`"}`))
	if err != nil {
		t.Fatal(err)
	}
	if err := w.service.Approvals.Deny(t.Context(), who, asker, d.UserCode, false); err != nil {
		t.Error(err)
	}
}
