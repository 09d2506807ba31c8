package view

import (
	"slices"
	"time"

	"countersign.dev/internal/authz"
)

// Account is everything on the page of an owner's account.
type Account struct {
	// BAPID is the identity of the session, which a passkey began or the key did.
	BAPID            string
	ByPasskey        bool
	Told             *AccountEvent // what a form of this page did just now, or nil
	Identities       []AccountIdentity
	Grants           []AccountGrant
	Consents         []AccountConsent
	PasskeysPossible bool
	Passkeys         []AccountPasskey
	Backups          []authz.Backup
	Sessions         []AccountSession
	OtherSessions    bool
	Events           []AccountEvent
	// The addresses of the older grants and events, empty where there are none, and
	// whether newer ones are left out.
	OlderGrants string
	OlderEvents string
	Later       bool
}

// AccountIdentity is an identity of the account.
type AccountIdentity struct {
	authz.Identity
	Name    string
	Session bool // the one signed in
}

// AccountGrant is what a device or an application may do.
type AccountGrant struct {
	authz.Grant
	ClientName string
	Identity   string
	Scopes     []Scope
	How        string // a message
	Receipt    bool
	DeviceName string
	Program    string
	Network    string
}

// AccountConsent is a client that is let in without asking, as an identity.
type AccountConsent struct {
	authz.Consent
	ClientName string
	Identity   string
	Scopes     []Scope
}

// AccountPasskey is a passkey, and whose it is.
type AccountPasskey struct {
	authz.Passkey
	Identity string
}

// AccountSession is a browser or a machine that is signed in.
type AccountSession struct {
	authz.Session
	Identity string
	Program  string
	How      string // a message
	Here     bool
}

// AccountEvent is something that happened.
type AccountEvent struct {
	authz.Event
	Message    string
	ClientName string
	Identity   string
	Program    string
	Receipt    bool
}

// toldFor is how long an event is news.
const toldFor = time.Minute

// JustNow is the newest event of a name, if it happened just now.
func (v Account) JustNow(name string, now time.Time) *AccountEvent {
	i := slices.IndexFunc(v.Events, func(e AccountEvent) bool { return e.Message == "event."+name })
	if i < 0 || now.Sub(v.Events[i].At) > toldFor {
		return nil
	}
	return &v.Events[i]
}
