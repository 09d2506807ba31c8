package authz

import (
	"time"
)

// EventKind is what happened.
type EventKind string

// What an owner can look back at.
const (
	EventSignedIn        EventKind = "signed-in"
	EventSignedOut       EventKind = "signed-out"
	EventApproved        EventKind = "approved"
	EventDenied          EventKind = "denied"
	EventReported        EventKind = "reported"
	EventRevoked         EventKind = "revoked"
	EventSessionEnded    EventKind = "session-ended"
	EventIdentityLinked  EventKind = "identity-linked"
	EventIdentityRemoved EventKind = "identity-removed"
	EventProfileSet      EventKind = "profile-set"
	EventPasskeyAdded    EventKind = "passkey-added"
	EventPasskeyRemoved  EventKind = "passkey-removed"
	EventBackupSaved     EventKind = "backup-saved"
	EventBackupRemoved   EventKind = "backup-removed"
	// What happened to agents; without a grant, to all of an account's.
	EventPaused    EventKind = "paused"
	EventResumed   EventKind = "resumed"
	EventDelegated EventKind = "delegated"
)

// WayEvents are the kinds that tell of ways to an account (decision 0022). Nothing
// that costs less than they do pushes them out (decision 0040).
var WayEvents = []EventKind{
	EventIdentityLinked, EventIdentityRemoved, EventPasskeyAdded, EventPasskeyRemoved, EventBackupSaved, EventBackupRemoved,
}

// The subjects of events that concern more than one thing, or that somebody else
// than the owner caused.
const (
	// SubjectAll: every living grant was revoked, or every other session ended.
	SubjectAll = "all"
	// SubjectClient: the client itself gave the grant back (RFC 7009).
	SubjectClient = "client"
	// SubjectNotMe: the owner did not mean to allow it, and reported it.
	SubjectNotMe = "not-me"
	// SubjectAgents: every agent was revoked.
	SubjectAgents = "agents"
	// SubjectKill: what the owner signed beforehand ended everything.
	SubjectKill = "kill-switch"
	// SubjectReuse: a refresh token was used a second time and may be stolen.
	SubjectReuse = "refresh-token-reused"
)

// DeniedForMatch is the ACR of a denial that nobody chose: what was entered is not what
// the device shows. A kind of its own would be none to servers of before.
const DeniedForMatch = "urn:countersign:denied:match"

// Event is something that happened to an account, kept for its owner.
type Event struct {
	ID        string
	AccountID string
	At        time.Time
	Kind      EventKind
	// BAPID is the identity that acted or, for linked identities, profiles and
	// backups, that was acted on.
	BAPID    string
	ClientID string
	// GrantID is also that of a denied request, which no grant has.
	GrantID string
	// ACR is how an approval was proved, or DeniedForMatch.
	ACR string
	// Network and UserAgent are those of the request that did it, if the owner's.
	Network   string
	UserAgent string
	// Subject says more in the words of the kind: the device's name for a decision,
	// the method of a sign-in, the name of a passkey or identity, the id of a
	// session, or one of the Subject constants.
	Subject string
	// Standing is, for WayEvents, since when the identity that did it has been in the
	// account, or the one that was linked or taken out, if that was there before; else zero.
	// What is done by keys that came later pushes out none of these (decision 0046).
	Standing time.Time
}
