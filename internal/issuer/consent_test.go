package issuer_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/approval"
	"countersign.dev/internal/authz/contract"
	"countersign.dev/internal/issuer"
)

const consentSecret = "a secret that a program made"

// consentModel is what an owner allowed one client, as whoever reads the requirements keeps it.
type consentModel struct {
	w      *world
	owner  authz.Owner
	twin   string // another identity of the account
	stands string // the scope that was approved last and not ended since, or empty
	until  time.Time
	latest string // the grant of the latest approval
	events int
	faults []string
}

// proving is a client that proves itself, and answers at back.
func proving() authz.Client {
	return authz.Client{
		ID: "proving", Name: "Proving", RedirectURIs: []string{back}, Secret: authz.Secret(consentSecret).Hash(), AuthMethod: authz.AuthBasic, Registered: true,
		Scope: "openid profile email",
	}
}

// ask asks for a scope and returns where the browser is led: to a review, or back.
func (m *consentModel) ask(at *issuer.Issuer, scope string, prompt string) (visit, address string, err error) {
	sum := sha256.Sum256([]byte(verifier))
	q, err := at.Codes.Read(context.Background(), url.Values{
		"client_id": {"proving"}, "redirect_uri": {back}, "response_type": {"code"}, "scope": {scope}, "prompt": {prompt},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"},
	})
	if err != nil {
		return "", "", err
	}
	return at.Codes.Ask(context.Background(), m.owner, q)
}

// covers reports whether what stands allows a scope now.
func (m *consentModel) covers(scope string) bool {
	for one := range strings.FieldsSeq(scope) {
		if !slices.Contains(strings.Fields(m.stands), one) {
			return false
		}
	}
	return m.w.clock.Now().Before(m.until)
}

// act does one thing at one of the servers, and keeps what it means for what the owner allowed.
func (m *consentModel) act(at *issuer.Issuer, what, scope string) {
	m.w.clock.advance(30 * time.Second) // for which nobody lets in too often, or is known as they were
	var err error
	switch what {
	case "ask", "ask in silence":
		prompt := map[string]string{"ask in silence": "none"}[what]
		_, address, failed := m.ask(at, scope, prompt)
		if want := m.covers(scope); want != (address != "") {
			m.faults = append(m.faults, fmt.Sprintf("%q stands: for %q it was let in is not %v: %v", m.stands, scope, want, failed))
		}
		if prompt == "" || address != "" {
			err = failed
		}
	case "approve", "deny", "report":
		err = m.decide(at, what, scope)
	case "later":
		m.w.clock.advance(20 * 24 * time.Hour)
	default:
		err = m.end(at, what)
		m.stands = ""
	}
	if err != nil {
		m.faults = append(m.faults, what+" answered "+err.Error())
	}
}

// decide decides a request for a scope, whatever stands.
func (m *consentModel) decide(at *issuer.Issuer, what, scope string) error {
	ctx := context.Background()
	visit, _, err := m.ask(at, scope, "consent")
	if err != nil {
		return err
	}
	userCode, _, err := at.Approvals.VisitCode(visit)
	if err != nil {
		return err
	}
	if what != "approve" {
		m.stands = ""
		return at.Approvals.Deny(ctx, m.owner, asker, userCode, what == "report")
	}
	g, err := at.Approvals.Approve(ctx, m.owner, asker, approval.Decision{UserCode: userCode, Scope: scope})
	m.stands, m.until, m.latest = scope, m.w.clock.Now().Add(90*24*time.Hour), g.ID
	return err
}

// end does what ends every consent for the client.
func (m *consentModel) end(at *issuer.Issuer, what string) error {
	ctx, now := context.Background(), m.w.clock.Now()
	event := func() contract.NewEvent {
		m.events++
		return contract.NewEvent{Event: authz.Event{ID: fmt.Sprint(m.events), AccountID: m.owner.AccountID, At: now, Kind: authz.EventIdentityLinked}, Keep: contract.KeepAtMost(100)}
	}
	switch what {
	case "revoke":
		return at.Grants.Revoke(ctx, m.owner, m.latest)
	case "revoke all":
		_, err := at.Grants.RevokeAll(ctx, m.owner)
		return err
	case "forget":
		all, err := at.Consents.List(ctx, m.owner)
		for _, n := range all {
			err = errors.Join(err, at.Consents.Forget(ctx, m.owner, n.GrantID))
		}
		return err
	case "register anew":
		return errors.Join(m.w.store.RemoveClient(ctx, "proving", now), m.w.store.AddClient(ctx, proving()))
	default: // the identity goes and comes back
		i, err := m.w.store.Identity(ctx, m.owner.BAPID)
		if err != nil {
			return err
		}
		gone := contract.IdentityRemoval{AccountID: i.AccountID, BAPID: i.BAPID, Signer: m.twin, At: now, Since: now, Keep: contract.KeepAtMost(100), Event: event()}
		return errors.Join(m.w.store.RemoveIdentity(ctx, gone), m.w.store.LinkIdentity(ctx, i, m.twin, 100, event()))
	}
}

// TestNobodyIsLetInByAConsentThatDoesNotStand runs random interleavings of all that gives consents and ends
// them, at one server and the other, the end also while clients ask.
func TestNobodyIsLetInByAConsentThatDoesNotStand(t *testing.T) {
	w := newWorld(t, t.TempDir(), webApps)
	m := &consentModel{w: w, owner: w.owners[0], twin: "the twin"}
	twin := contract.NewEvent{Event: authz.Event{ID: "twin", AccountID: m.owner.AccountID, At: w.clock.Now(), Kind: authz.EventIdentityLinked}, Keep: contract.KeepAtMost(100)}
	err := errors.Join(w.store.AddClient(t.Context(), proving()),
		w.store.LinkIdentity(t.Context(), authz.Identity{BAPID: m.twin, AccountID: m.owner.AccountID, MemberKey: "02", CreatedAt: w.clock.Now()}, m.owner.BAPID, 100, twin))
	if err != nil {
		t.Fatal(err)
	}
	ends := []string{"revoke", "revoke all", "forget", "register anew", "remove and link"}
	scopes := rapid.SampledFrom([]string{"openid", "openid profile", "openid email", "openid profile email"})
	things := rapid.SampledFrom(append([]string{"ask", "ask", "ask in silence", "ask", "approve", "approve", "approve", "deny", "report", "later"}, ends...))
	rapid.Check(t, func(rt *rapid.T) {
		m.faults = nil
		m.act(w.at(0), "revoke all", "")
		m.act(w.at(0), "approve", "openid")
		for n := range rapid.IntRange(1, 12).Draw(rt, "steps") {
			m.act(w.at(n), things.Draw(rt, "thing"), scopes.Draw(rt, "scope"))
		}
		// Who asks while it ends may be let in, and nobody who asks afterwards.
		m.act(w.at(0), "approve", "openid")
		w.clock.advance(2 * time.Minute)
		last := rapid.SampledFrom(ends).Draw(rt, "last")
		var together sync.WaitGroup
		failed := make([]error, 5)
		for n := range failed {
			together.Go(func() {
				if n == 2 {
					failed[n] = m.end(w.at(n), last)
					return
				}
				_, _, failed[n] = m.ask(w.at(n), "openid", "")
			})
		}
		together.Wait()
		m.stands = ""
		for _, err := range failed {
			var gone *authz.Error // the client, for a moment
			if err != nil && !errors.As(err, &gone) {
				rt.Errorf("while it ended by %s: %v", last, err)
			}
		}
		if living, _, err := w.service.Grants.Living(t.Context(), m.owner, "", 100); err != nil || last != "revoke" && last != "forget" && len(living) > 0 {
			rt.Errorf("after %s %d grants live: %v", last, len(living), err)
		}
		m.act(w.at(1), "ask", "openid")
		for _, f := range m.faults {
			rt.Error(f)
		}
	})
}
