package storagetest

import (
	"context"
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/contract"
)

// Life is what happens to a storage while a server runs on it: one operation
// after the other, drawn at random, with strings that a database may be tempted
// to change. After some hundred steps each kind of thing is there, and some were
// changed and removed again. One goroutine uses it.
type Life struct {
	f      *fixture
	random *rand.Rand

	clients  []string
	people   []authz.Identity
	requests []authz.DeviceRequest
	approved []authz.DeviceRequest
	tokens   []authz.RefreshToken
	grants   []authz.Grant
	sessions []authz.Session
	passkeys []authz.Passkey
	reviews  []authz.Review
	backups  []authz.Backup
	agents   []authz.Grant
}

// NewLife begins one. Lives with different numbers do not meet in one storage.
func NewLife(t *testing.T, store contract.Store, number int) *Life {
	t.Helper()
	return &Life{
		f:      &fixture{T: t, store: store, drawn: number * 1_000_000},
		random: rand.New(rand.NewPCG(uint64(number), 8628)),
	}
}

// Step is the next operation. What it refuses as the contract has it is no error.
func (l *Life) Step(ctx context.Context) error {
	steps := []func(context.Context) error{
		l.ask, l.ask, l.ask, l.open, l.open, l.approve, l.approve, l.redeem, l.redeem, l.rotate, l.deny, l.revoke,
		l.join, l.signIn, l.signOut, l.addPasskey, l.removePasskey, l.review, l.backUp, l.forgetBackup, l.rename,
		l.register, l.unregister, l.guess, l.makeKeys, l.sweep, l.agent,
	}
	err := steps[l.random.IntN(len(steps))](ctx)
	if isState(err) || errors.Is(err, contract.ErrNotFound) || errors.Is(err, contract.ErrExists) || errors.Is(err, contract.ErrReused) {
		return nil
	}
	return err
}

// awkwardText is a text that nobody has used, with something awkward in it.
func (l *Life) awkwardText(kind string) string {
	return l.f.word(kind) + awkward[l.random.IntN(len(awkward))]
}

// pick returns one of them, and false where there is none; taken takes it away.
func pick[T any](l *Life, from []T) (one T, there bool) {
	if len(from) == 0 {
		return one, false
	}
	return from[l.random.IntN(len(from))], true
}

func taken[T any](l *Life, from *[]T) (one T, there bool) {
	if len(*from) == 0 {
		return one, false
	}
	i := l.random.IntN(len(*from))
	one = (*from)[i]
	*from = append((*from)[:i], (*from)[i+1:]...)
	return one, true
}

func (l *Life) ask(ctx context.Context) error {
	r := l.f.request()
	r.Says.Name, r.Seen.UserAgent = l.awkwardText("name"), l.awkwardText("agent")
	r.SignatureRequired = l.random.IntN(2) == 0
	r.ExpiresAt = at(l.random.IntN(2000))
	l.requests = append(l.requests, r)
	return l.f.store.CreateDeviceRequest(ctx, r)
}

func (l *Life) open(ctx context.Context) error {
	r, there := pick(l, l.requests)
	if !there {
		return nil
	}
	o := contract.Opening{RequestID: r.ID, At: at(0)}
	if p, there := pick(l, l.people); there && l.random.IntN(2) == 0 {
		o.AccountID, o.Claim = p.AccountID, l.random.IntN(2) == 0
	} else {
		o.Browser = l.f.hash()
	}
	_, err := l.f.store.OpenDeviceRequest(ctx, o)
	return err
}

func (l *Life) approve(ctx context.Context) error {
	p, there := pick(l, l.people)
	r, waits := taken(l, &l.requests)
	if !there || !waits {
		return nil
	}
	a := l.f.approval(r, p)
	a.At = at(0)
	a.Event = l.f.event(p.AccountID)
	a.Grant.ExpiresAt = at(1000 + l.random.IntN(4000))
	a.Consent, a.ConsentsKeep = &authz.Consent{
		AccountID: p.AccountID, ClientID: r.ClientID, BAPID: p.BAPID, GrantID: r.ID, Scope: r.Scope, Resources: r.Resources, Registration: l.f.hash(), GivenAt: a.At, ExpiresAt: at(6000),
	}, plenty
	l.approved, l.grants = append(l.approved, r), append(l.grants, a.Grant)
	return l.f.store.ApproveDeviceRequest(ctx, a)
}

func (l *Life) redeem(ctx context.Context) error {
	r, there := taken(l, &l.approved)
	if !there {
		return nil
	}
	t := authz.RefreshToken{Token: l.f.hash(), GrantID: r.ID, ExpiresAt: at(1000 + l.random.IntN(4000))}
	l.tokens = append(l.tokens, t)
	return l.f.store.RedeemDeviceRequest(ctx, contract.Redemption{DeviceCode: r.DeviceCode, ClientID: r.ClientID, At: at(0), RefreshToken: &t})
}

func (l *Life) rotate(ctx context.Context) error {
	t, there := pick(l, l.tokens)
	if !there {
		return nil
	}
	next := authz.RefreshToken{Token: l.f.hash(), GrantID: t.GrantID, ExpiresAt: at(5000)}
	l.tokens = append(l.tokens, next)
	return l.f.store.RotateRefreshToken(ctx, contract.Rotation{
		Token: t.Token, Successor: next, At: at(l.random.IntN(900)), Grace: 10 * time.Second, Reuse: l.f.event(l.f.word("account")),
	})
}

func (l *Life) deny(ctx context.Context) error {
	p, there := pick(l, l.people)
	r, waits := taken(l, &l.requests)
	if !there || !waits {
		return nil
	}
	return l.f.store.DenyDeviceRequest(ctx, contract.Denial{
		RequestID: r.ID, AccountID: p.AccountID, Unclaimed: true, At: at(0), Event: l.f.event(p.AccountID),
		Reported: []string{"client:" + r.ClientID, "name:" + awkward[l.random.IntN(len(awkward))]},
		Keep:     plenty,
	})
}

func (l *Life) revoke(ctx context.Context) error {
	g, there := taken(l, &l.grants)
	if !there {
		return nil
	}
	return l.f.store.RevokeGrant(ctx, contract.Revocation{GrantID: g.ID, At: at(30), Event: l.f.event(g.AccountID)})
}

func (l *Life) join(ctx context.Context) error {
	a := authz.Account{ID: l.awkwardText("account"), CreatedAt: at(0), Disabled: l.random.IntN(5) == 0}
	i := l.f.newIdentity(a.ID)
	i.BAPID = l.awkwardText("bap")
	i.Profile.Name = l.awkwardText("Ada")
	if err := l.f.store.CreateAccount(ctx, a, i); err != nil {
		return err
	}
	l.people = append(l.people, i)
	second := l.f.newIdentity(a.ID)
	if err := l.f.store.LinkIdentity(ctx, second, i.BAPID, many, l.f.event(a.ID)); err != nil {
		return err
	}
	if l.random.IntN(2) == 0 {
		return nil
	}
	gone := l.f.newIdentity(a.ID)
	gone.BAPID, gone.Since = l.awkwardText("bap"), at(l.random.IntN(20))
	if err := l.f.store.LinkIdentity(ctx, gone, i.BAPID, many, l.f.event(a.ID)); err != nil {
		return err
	}
	r := l.f.removal(gone, i)
	r.Network = l.awkwardText("network")
	return l.f.store.RemoveIdentity(ctx, r)
}

func (l *Life) signIn(ctx context.Context) error {
	p, there := pick(l, l.people)
	if !there {
		return nil
	}
	s := l.f.session(p)
	s.ExpiresAt = at(l.random.IntN(2000))
	n := contract.NewSession{Session: s, Event: l.f.event(p.AccountID), Keep: plenty}
	if old, there := pick(l, l.sessions); there && l.random.IntN(4) == 0 {
		n.Replaces = old.Token
	}
	l.sessions = append(l.sessions, s)
	return l.f.store.CreateSession(ctx, n)
}

func (l *Life) signOut(ctx context.Context) error {
	s, there := taken(l, &l.sessions)
	if !there || l.random.IntN(2) == 0 {
		return nil
	}
	return l.f.store.DeleteSession(ctx, s.Token, l.f.event(s.AccountID))
}

func (l *Life) addPasskey(ctx context.Context) error {
	p, there := pick(l, l.people)
	if !there {
		return nil
	}
	k := l.f.passkey(p)
	k.Name = l.awkwardText("key")
	l.passkeys = append(l.passkeys, k)
	return l.f.store.AddPasskey(ctx, k, 100, l.f.event(p.AccountID))
}

func (l *Life) removePasskey(ctx context.Context) error {
	k, there := taken(l, &l.passkeys)
	if !there || l.random.IntN(2) == 0 {
		return nil
	}
	return l.f.store.RemovePasskey(ctx, k.AccountID, k.ID, at(l.random.IntN(900)), l.f.event(k.AccountID))
}

func (l *Life) review(ctx context.Context) error {
	if r, there := taken(l, &l.reviews); there && l.random.IntN(2) == 0 {
		_, err := l.f.store.TakeReview(ctx, r.ID, r.Session, at(0))
		return err
	}
	r := l.f.review()
	l.reviews = append(l.reviews, r)
	return l.f.store.CreateReview(ctx, r, plenty)
}

func (l *Life) backUp(ctx context.Context) error {
	p, there := pick(l, l.people)
	if !there {
		return nil
	}
	k := l.f.backup(p)
	l.backups = append(l.backups, k)
	return l.f.store.SaveBackup(ctx, k, k.BAPID, l.f.event(p.AccountID))
}

func (l *Life) forgetBackup(ctx context.Context) error {
	k, there := taken(l, &l.backups)
	if !there || l.random.IntN(2) == 0 {
		return nil
	}
	return l.f.store.RemoveBackup(ctx, k.AccountID, k.BAPID, k.BAPID, l.f.event(k.AccountID))
}

func (l *Life) rename(ctx context.Context) error {
	p, there := pick(l, l.people)
	if !there {
		return nil
	}
	p.Profile.Name = l.awkwardText("Grace")
	return l.f.store.SetProfile(ctx, p.BAPID, p.Profile, l.f.event(p.AccountID))
}

func (l *Life) register(ctx context.Context) error {
	c := l.f.client()
	c.Name = l.awkwardText("A Client")
	l.clients = append(l.clients, c.ID)
	return l.f.store.AddClient(ctx, c)
}

func (l *Life) unregister(ctx context.Context) error {
	id, there := taken(l, &l.clients)
	if !there || l.random.IntN(2) == 0 {
		return nil
	}
	return l.f.store.RemoveClient(ctx, id, at(0))
}

func (l *Life) guess(ctx context.Context) error {
	if err := l.f.store.UseOnce(ctx, l.f.hash(), at(0), at(l.random.IntN(2000))); err != nil {
		return err
	}
	return l.f.store.CountGuesses(ctx, []string{"subject " + awkward[l.random.IntN(len(awkward))], "all"}, at(60*l.random.IntN(3)))
}

func (l *Life) makeKeys(ctx context.Context) error {
	seen, err := l.f.store.SigningKeys(ctx, at(0))
	if err != nil {
		return err
	}
	next := l.f.key("ES256")
	changed := []authz.SigningKey{next}
	if len(seen) > 0 {
		last := seen[len(seen)-1]
		last.Sealed, last.SignsUntil, last.LeavesAt = nil, at(l.random.IntN(100)), at(100+l.random.IntN(100))
		changed = append(changed, last)
	}
	err = l.f.store.ChangeSigningKeys(ctx, contract.KeyChange{Seen: seen, At: at(0), Keys: changed})
	if errors.Is(err, contract.ErrChanged) {
		return nil // by another life beside this one
	}
	return err
}

func (l *Life) sweep(ctx context.Context) error {
	before := at(l.random.IntN(100))
	_, err := l.f.store.Sweep(ctx, contract.SweepTimes{DeviceRequests: before, Grants: before, Events: before, Rest: before}, 5)
	return err
}
