package authz

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"
)

// grants are what was allowed, and lives.
type grants struct {
	store    Store
	settings Settings
	now      func() time.Time
	log      *slog.Logger
	secrets  serverSecrets
	trail    trail
	guard    *guard
	clients  *registry
	tokens   *tokenSigner
	// refreshes bounds how often one grant is refreshed.
	refreshes *allowance

	noting    chan struct{} // has a place for each that keeps the use of a grant
	notedFrom atomic.Int64  // when that may be tried again, in Unix nanoseconds
	unnoted   sparing
}

func newGrants(store Store, settings Settings, trail trail, bounds *guard, clients *registry, tokens *tokenSigner) *grants {
	return &grants{
		store: store, settings: settings, now: trail.now, log: trail.log, secrets: trail.secrets, trail: trail,
		guard: bounds, clients: clients, tokens: tokens, refreshes: newAllowance(refreshesPerMinute), noting: make(chan struct{}, usesAtOnce),
	}
}

// Grants returns a page of what the owner allowed, newest first, dead or alive, and
// the cursor of the next page, empty where there is none. What is alive has the scope
// that its tokens carry now.
//
//	InvalidRequest: the cursor is not one of this list
func (s *grants) Grants(ctx context.Context, owner Owner, cursor string, limit int) (list []Grant, next string, err error) {
	return s.grants(ctx, owner, time.Time{}, cursor, limit)
}

// LivingGrants is Grants for those that are neither revoked nor expired.
func (s *grants) LivingGrants(ctx context.Context, owner Owner, cursor string, limit int) (list []Grant, next string, err error) {
	return s.grants(ctx, owner, s.now(), cursor, limit)
}

func (s *grants) grants(ctx context.Context, owner Owner, aliveAt time.Time, cursor string, limit int) (list []Grant, next string, err error) {
	list, next, err = page(s.secrets, owner, "grants", cursor, limit, func(after Position, limit int) ([]Grant, error) {
		return s.store.Grants(ctx, owner.AccountID, GrantList{AliveAt: aliveAt, After: after, Limit: limit})
	}, func(g Grant) Position { return Position{g.CreatedAt, g.ID} })
	if err != nil {
		return nil, "", err
	}
	now := s.now()
	for i, g := range list {
		if list[i], err = s.asItIs(ctx, g, now); err != nil {
			return nil, "", err
		}
	}
	return list, next, nil
}

// asItIs is a grant that lives with the scope that its tokens carry now: what its
// client may have as it is registered now, and nothing where the client is gone. One
// that is over is what it was.
func (s *grants) asItIs(ctx context.Context, g Grant, now time.Time) (Grant, error) {
	if !g.AliveAt(now) {
		return g, nil
	}
	c, err := s.clients.client(ctx, g.ClientID)
	switch {
	case errors.Is(err, ErrNotFound):
		g.Scope = ""
	case err != nil:
		return Grant{}, err
	default:
		g.Scope = c.mayHave(g.Scope)
	}
	return g, nil
}

// Grant returns one of the owner's grants.
//
//	NotFound: there is none with this id, or it is somebody else's
func (s *grants) Grant(ctx context.Context, owner Owner, id string) (Grant, error) {
	g, err := s.store.Grant(ctx, id)
	if err != nil {
		return Grant{}, notFound(err, noSuchGrant)
	}
	if g.AccountID != owner.AccountID {
		return Grant{}, refuse(NotFound, noSuchGrant)
	}
	return g, nil
}

// refreshesPerMinute is how often one grant's tokens are refreshed: they live an
// hour, and processes that share a grant refresh at once, but not every second.
const refreshesPerMinute = 60

// usedEach is how old the last use that is kept of a grant may be before the next one
// is kept: an owner is told to the minute or so, and a client that asks all the time
// makes few writes.
const usedEach = 5 * time.Minute

const (
	// usesAtOnce bounds how many wait for it: who comes while so many do is answered at
	// once, and kept the next time.
	usesAtOnce = 64
	// unnotedFor is how long no use is kept after one could not be: a database that takes
	// no writes, and says so late, would hold up every reading.
	unnotedFor = time.Minute
)

// noteUse keeps that a grant's token was used here. What asked for it is answered
// also where that fails: it was a reading, which a full disk does not hinder.
func (s *grants) noteUse(ctx context.Context, g Grant) {
	now := s.now()
	if now.Before(g.LastUsedAt.Add(usedEach)) || now.UnixNano() < s.notedFrom.Load() {
		return
	}
	select {
	case s.noting <- struct{}{}:
		defer func() { <-s.noting }()
	default:
		return
	}
	if err := s.store.UseGrant(ctx, g.ID, now); err != nil && ctx.Err() == nil {
		s.notedFrom.Store(now.Add(unnotedFor).UnixNano())
		if leftOut, ok := s.unnoted.say(now); ok {
			s.log.ErrorContext(ctx, "noting the use of a grant failed", "grant", g.ID, "error", err, "left_out", leftOut)
		}
	}
}

const noSuchGrant = "you have no such grant"

// RevokeGrant takes back what the owner allowed: every token of the grant is
// refused from now on. Revoking twice is no error.
//
//	NotFound
func (s *grants) RevokeGrant(ctx context.Context, owner Owner, id string) error {
	return s.revoke(ctx, owner, id, "")
}

// ReportGrant takes back what was allowed and says that it was not the owner who
// meant to allow it (requirement K-11): it counts against the client, and the
// network the device asked from, as a report of a request does.
//
//	NotFound
//	Forbidden: a program that acts for the owner is not who says so
func (s *grants) ReportGrant(ctx context.Context, owner Owner, id string) error {
	if owner.GrantID != "" {
		return refuse(Forbidden, "a report is the owner's own word: sign the request, or report it on the account page")
	}
	if err := s.revoke(ctx, owner, id, SubjectNotMe); err != nil {
		return err
	}
	if err := s.guard.readShunned(ctx); err != nil { // the next sweep reads it too
		s.log.ErrorContext(ctx, "reading the reported networks failed", "error", err)
	}
	return nil
}

func (s *grants) revoke(ctx context.Context, owner Owner, id, subject string) error {
	g, err := s.Grant(ctx, owner, id)
	if err != nil {
		return err
	}
	r := Revocation{GrantID: id, At: s.now()}
	if r.Event, err = s.revoked(owner, g, subject); err != nil {
		return err
	}
	if subject == SubjectNotMe {
		r.Keep, r.AccountID, r.Reported, r.Reporter = KeepAtMost(ReportsPerAccount), owner.AccountID, s.guard.reportSubjects(g.ClientID, g.Seen, g.Says), s.guard.reporter(owner)
	}
	if err := s.store.RevokeGrant(ctx, r); err != nil {
		return err
	}
	if g.AliveAt(r.At) { // twice is no error, and no news
		s.log.InfoContext(ctx, "grant revoked by its owner", "grant", id, "client_id", g.ClientID, by(owner))
	}
	if subject == SubjectNotMe {
		s.log.WarnContext(ctx, "grant reported: its owner did not mean to allow it", "grant", id, "client_id", g.ClientID, by(owner),
			"device_network", g.Seen.Network)
	}
	return nil
}

// revoked is the event of a grant's end.
func (s *grants) revoked(owner Owner, g Grant, subject string) (NewEvent, error) {
	event, err := s.trail.newEventOf(owner, EventRevoked, subject)
	event.BAPID, event.ClientID, event.GrantID = g.BAPID, g.ClientID, g.ID
	return event, err
}

// RevokeGrants takes back everything the owner allowed and returns how many
// grants were alive.
func (s *grants) RevokeGrants(ctx context.Context, owner Owner) (int, error) {
	event, err := s.trail.newEventOf(owner, EventRevoked, SubjectAll)
	if err != nil {
		return 0, err
	}
	n, err := s.store.RevokeGrants(ctx, owner.AccountID, s.now(), event)
	if err != nil {
		return 0, err
	}
	s.log.InfoContext(ctx, "all grants revoked by their owner", "grants", n, by(owner))
	return n, nil
}

// Receipt returns the owner's signature over an approval, as it was given.
//
//	NotFound: no such grant, somebody else's, or approved without a signature
func (s *grants) Receipt(ctx context.Context, owner Owner, grantID string) (string, error) {
	if _, err := s.Grant(ctx, owner, grantID); err != nil {
		return "", err
	}
	text, err := s.store.Receipt(ctx, grantID)
	if err != nil {
		return "", notFound(err, "this grant was approved by a session, without a signature, so it has no receipt")
	}
	return text, nil
}

// lasts is how long a grant of a scope to a client lasts, and whether the client
// renews its tokens by itself meanwhile.
func (s *grants) lasts(c Client, scope string) (d time.Duration, renewed bool) {
	if c.Allows(GrantRefresh) && hasScope(scope, offline) {
		return s.settings.RefreshLifetime, true
	}
	return s.settings.AccessTokenLifetime, false
}
