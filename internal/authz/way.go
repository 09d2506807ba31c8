package authz

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

// WayKind is what kind of way to an account something is.
type WayKind string

// The ways to an account: what proves it, and what is given out to who proved it.
const (
	WayIdentity WayKind = "identity"
	WayPasskey  WayKind = "passkey"
	WayBackup   WayKind = "backup"
)

// Way is something by which somebody gets at an account. Each is added with a
// signature by a key that the account has (decision 0022), and its owner is told of
// it at sign-ins by every older way (decision 0040).
type Way struct {
	Kind WayKind
	// ID names it among its kind: a BAP id or a passkey's id.
	ID    string
	BAPID string
	// Name is the passkey's, or the identity's.
	Name    string
	AddedAt time.Time
	// Network is where it was added from, coarse.
	Network string
}

const (
	// signedNotesEvery is how often a sign-in with a key is noted. Within that time a
	// way may be told of twice, never too seldom.
	signedNotesEvery = time.Minute
	// newsStays is for how long after the longest that a session lives a way is told of
	// at every sign-in, whoever was told before: an owner whose session began just before
	// the way was added has a week to sign in anew.
	newsStays = 7 * 24 * time.Hour
)

// newsSince is from when on ways are told of to who last signed in by the same one then.
// A sign-in takes no news away while it stays, for somebody else may have had it or ended
// its session at once (decision 0040).
func (s *accounts) newsSince(last time.Time) time.Time {
	if last.IsZero() {
		return time.UnixMilli(1) // a session whose NewsSince is zero has no news
	}
	return earliest(last, s.now().Add(-s.settings.SessionLifetime-newsStays))
}

// News is what an owner is told of at a sign-in.
type News struct {
	// Ways were added to the account, oldest first, and are there still.
	Ways []Way
	// TakenOut are the departures of the identity that signed in, with its key, from this
	// account or others.
	TakenOut []Departure
}

func (n News) none() bool { return len(n.Ways)+len(n.TakenOut) == 0 }

// News returns what was news when the owner's session began.
func (s *accounts) News(ctx context.Context, owner Owner) (News, error) {
	if owner.NewsSince.IsZero() {
		return News{}, nil
	}
	return s.newsOf(ctx, owner)
}

// newsOf is what happened from n.NewsSince on and before n.AuthTime: what is taken out later
// has no session any more. Of what is older than itself a way tells nothing, and nothing of itself; an identity is as old as it was when it
// came into the account for the first time, whoever took it out and linked it again since
// (decision 0045).
func (s *accounts) newsOf(ctx context.Context, n Owner) (News, error) {
	var identities []Identity
	var passkeys []Passkey
	var backups []Backup
	var departures []Departure
	var asking sync.WaitGroup // together they take as long as one, where the database is elsewhere
	var failed [4]error
	asking.Go(func() { identities, failed[0] = s.store.Identities(ctx, n.AccountID, ListedAtMost) })
	asking.Go(func() { passkeys, failed[1] = s.store.Passkeys(ctx, n.AccountID, ListedAtMost) })
	asking.Go(func() { backups, failed[2] = s.store.Backups(ctx, n.AccountID, ListedAtMost) })
	if n.Passkey == "" { // passkeys go with their identity
		asking.Go(func() { departures, failed[3] = s.store.Departures(ctx, n.BAPID, ListedAtMost) })
	}
	asking.Wait()
	if err := errors.Join(failed[:]...); err != nil {
		return News{}, err
	}
	since := n.NewsSince
	var all []Way
	names := map[string]string{}
	for _, i := range identities {
		names[i.BAPID] = i.DisplayName()
		if i.BAPID == n.BAPID { // which is older than its passkeys
			since = latest(since, i.FirstHere())
		} else {
			all = append(all, Way{WayIdentity, i.BAPID, i.BAPID, names[i.BAPID], i.CreatedAt, i.Network})
		}
	}
	for _, p := range passkeys {
		if p.ID == n.Passkey {
			since = latest(since, p.CreatedAt)
		} else {
			all = append(all, Way{WayPasskey, p.ID, p.BAPID, p.Name, p.CreatedAt, p.Network})
		}
	}
	for _, b := range backups {
		all = append(all, Way{WayBackup, b.BAPID, b.BAPID, names[b.BAPID], b.UpdatedAt, b.Network})
	}
	all = slices.DeleteFunc(all, func(w Way) bool { return w.AddedAt.Before(since) || !w.AddedAt.Before(n.AuthTime) })
	slices.SortStableFunc(all, func(a, b Way) int { return a.AddedAt.Compare(b.AddedAt) })
	departures = slices.DeleteFunc(departures, func(d Departure) bool { return d.LeftAt.Before(n.NewsSince) })
	return News{all, departures}, nil
}

func earliest(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

var (
	errPasskeySession = refuse(Forbidden, "a session that a passkey began adds no way to an account: sign in with the identity's key first")
	errNoVouch        = refuse(VouchRequired, "a session alone adds no identity: send X-Vouch-Token, the same request signed by an identity that the account has")
	errOtherVoucher   = refuse(VouchRequired, "vouchedBy is not the identity whose key signed X-Vouch-Token: name the identity that vouches, in what both keys sign")
	errBadVouch       = "X-Vouch-Token is not accepted: sign this very request with the member key of an identity that the account has"
	errOnlySigned     = refuse(VouchRequired, "a session alone may not do this: sign the request with the member key of an identity of the account, in X-Auth-Token")
)

// mayAdd refuses who may not add a way: a passkey is something that its owner could
// lose for an hour, and must not become a key for good.
func mayAdd(owner Owner) error {
	if owner.Method == MethodPasskey {
		return errPasskeySession
	}
	return nil
}

// newWayEvent begins an event of a way that the owner adds or takes out.
//
//	NotFound: the owner's identity was taken out of the account meanwhile
func (s *accounts) newWayEvent(ctx context.Context, owner Owner, kind EventKind, subject string) (NewEvent, error) {
	e, err := s.trail.newEventOf(owner, kind, subject)
	if err != nil {
		return NewEvent{}, err
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
func (s *accounts) Events(ctx context.Context, owner Owner, cursor string, limit int) (list []Event, next string, err error) {
	return page(s.secrets, owner, "events", cursor, limit, func(after Position, limit int) ([]Event, error) {
		return s.store.Events(ctx, owner.AccountID, after, limit)
	}, func(e Event) Position { return Position{e.At, e.ID} })
}
