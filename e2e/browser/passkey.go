//go:build e2e

package browser

import (
	"github.com/chromedp/cdproto/webauthn"
)

// Authenticator is a device that holds passkeys, built into the person's
// computer. It does what it is asked to without asking anybody.
type Authenticator struct {
	tab *Tab
	id  webauthn.AuthenticatorID
}

// AddAuthenticator gives the tab an authenticator that keeps its keys itself and
// has verified its user (WebAuthn, CTAP 2). It is gone with the tab.
func (p *Tab) AddAuthenticator() *Authenticator {
	p.t.Helper()
	do(p, webauthn.Enable, webauthn.EnableParams{})
	added := do(p, webauthn.AddVirtualAuthenticator, webauthn.AddVirtualAuthenticatorParams{Options: &webauthn.VirtualAuthenticatorOptions{
		Protocol: webauthn.AuthenticatorProtocolCtap2, Transport: webauthn.AuthenticatorTransportInternal,
		HasResidentKey: true, HasUserVerification: true, IsUserVerified: true, AutomaticPresenceSimulation: true,
	}})
	return &Authenticator{tab: p, id: added.AuthenticatorID}
}

// Passkeys returns how many passkeys the authenticator holds.
func (a *Authenticator) Passkeys() int {
	a.tab.t.Helper()
	return len(do(a.tab, webauthn.GetCredentials, webauthn.GetCredentialsParams{AuthenticatorID: a.id}).Credentials)
}

// SetVerified says whether the authenticator recognises its user from now on.
func (a *Authenticator) SetVerified(verified bool) {
	a.tab.t.Helper()
	do(a.tab, webauthn.SetUserVerified, webauthn.SetUserVerifiedParams{AuthenticatorID: a.id, IsUserVerified: verified})
}
