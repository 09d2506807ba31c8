package authz

import (
	"context"
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

// newEvent begins an event of something that an owner does now.
func (s *Service) newEvent(owner Owner, kind EventKind) (Event, error) {
	id, err := s.newID()
	if err != nil {
		return Event{}, err
	}
	seen := owner.Seen.clean()
	return Event{
		ID: id, AccountID: owner.AccountID, At: s.now(), Kind: kind, BAPID: owner.BAPID,
		Network: seen.Network, UserAgent: seen.UserAgent,
	}, nil
}

// newEventOf is newEvent with a subject.
func (s *Service) newEventOf(owner Owner, kind EventKind, subject string) (Event, error) {
	e, err := s.newEvent(owner, kind)
	e.Subject = subject
	return e, err
}

// newWayEvent begins an event of a way that the owner adds or takes out.
//
//	NotFound: the owner's identity was taken out of the account meanwhile
func (s *Service) newWayEvent(ctx context.Context, owner Owner, kind EventKind, subject string) (Event, error) {
	e, err := s.newEventOf(owner, kind, subject)
	if err != nil {
		return Event{}, err
	}
	by, err := s.Identity(ctx, owner, owner.BAPID)
	e.Standing = by.FirstHere()
	return e, err
}

// Events returns a page of what happened to the owner's account, newest first, and
// the cursor of the next page, empty where there is none; what is older than 90 days, or
// than the newest EventsPerAccount, is gone; of those that tell of ways, what is older
// than as many of them and was done by a key that came later than those of as many.
//
//	InvalidRequest: the cursor is not one of this list
func (s *Service) Events(ctx context.Context, owner Owner, cursor string, limit int) (list []Event, next string, err error) {
	return page(s, owner, eventList, cursor, limit, func(after Position, limit int) ([]Event, error) {
		return s.store.Events(ctx, owner.AccountID, after, limit)
	}, func(e Event) Position { return Position{e.At, e.ID} })
}
