package account

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"countersign.dev/internal/authz"
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

// NewsSince is the time from which ways are news for somebody who last signed in then.
// A sign-in takes no news away while it stays, for somebody else may have had it or ended
// its session at once (decision 0040).
func (s *Accounts) NewsSince(last time.Time) time.Time {
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
	TakenOut []authz.Departure
}

func (n News) none() bool { return len(n.Ways)+len(n.TakenOut) == 0 }

// News returns what was news when the owner's session began.
func (s *Accounts) News(ctx context.Context, owner authz.Owner) (News, error) {
	if owner.NewsSince.IsZero() {
		return News{}, nil
	}
	return s.newsOf(ctx, owner)
}

// newsOf is what happened from n.NewsSince on and before n.AuthTime: what is taken out later
// has no session any more. Of what is older than itself a way tells nothing, and nothing of itself; an identity is as old as it was when it
// came into the account for the first time, whoever took it out and linked it again since
// (decision 0045).
func (s *Accounts) newsOf(ctx context.Context, n authz.Owner) (News, error) {
	var identities []authz.Identity
	var passkeys []authz.Passkey
	var backups []authz.Backup
	var departures []authz.Departure
	var asking sync.WaitGroup // together they take as long as one, where the database is elsewhere
	var failed [4]error
	asking.Go(func() { identities, failed[0] = s.store.Identities(ctx, n.AccountID, authz.ListedAtMost) })
	asking.Go(func() { passkeys, failed[1] = s.store.Passkeys(ctx, n.AccountID, authz.ListedAtMost) })
	asking.Go(func() { backups, failed[2] = s.store.Backups(ctx, n.AccountID, authz.ListedAtMost) })
	if n.Passkey == "" { // passkeys go with their identity
		asking.Go(func() { departures, failed[3] = s.store.Departures(ctx, n.BAPID, authz.ListedAtMost) })
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
	departures = slices.DeleteFunc(departures, func(d authz.Departure) bool { return d.LeftAt.Before(n.NewsSince) })
	return News{all, departures}, nil
}
