package guard

import (
	"log/slog"
	"sync/atomic"
	"time"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/contract"
	"countersign.dev/internal/authz/usercode"
)

// How often networks may do what costs a row or work: each is what one IPv4 address or
// IPv6 /64 may do; a /24 or /48 may four times that, and twice a minute's worth may come
// at once (docs/security/bounds.md).
const (
	// signInsPerMinute is of one account: a session lasts a week, so only a program that
	// keeps none comes often.
	signInsPerMinute = 60
	// actsPerMinute is of what one account changes, or signs by which a row is stored: a
	// machine that approves a rack of devices, two requests each.
	actsPerMinute = 240
	// networkActsPerMinute is of all accounts together: a classroom of a hundred that
	// opens and approves at once, each with a handful of requests.
	networkActsPerMinute = 1200
	// stopsPerMinute is of one session, or of one key: somebody who denies, takes back and
	// ends as fast as they can press.
	stopsPerMinute = 60
	// letInPerMinute is of what one account lets in without being asked. Any page can lead its
	// browser there, again and again; who starts a browser with all its windows comes with ten.
	letInPerMinute = 5
)

// Guard bounds how much anybody may try, start and bring. Its methods may be called
// concurrently.
type Guard struct {
	guesses  contract.GuessStore
	reported contract.ReportStore
	settings authz.Settings
	now      func() time.Time
	log      *slog.Logger
	local    bool // no proxy stands before this server

	pending pendingCount
	drawn   codesDrawn
	shunned shunned
	turns   *turns
	owed    owed
	// creation bounds what a network starts, stops, acts and signIns what is done with one
	// account there, networkActs what is done with all of them; letIn what an account lets in again.
	creation, stops, acts, signIns, networkActs, letIn *Allowance

	spentIn  atomic.Int64 // the window, in Unix seconds, whose spent budget is in the log
	sharedIn atomic.Int64 // the same of a network's share of it
}

// New makes the guard of a server.
func New(store contract.Store, settings authz.Settings, now func() time.Time, log *slog.Logger) *Guard {
	s := &Guard{
		guesses: store, reported: store, settings: settings, now: now, log: log, local: settings.Local(),
		turns:       newTurns(),
		creation:    NewAllowance(settings.DeviceRequestsPerNetwork),
		stops:       NewAllowance(stopsPerMinute),
		acts:        NewAllowance(actsPerMinute),
		signIns:     NewAllowance(signInsPerMinute),
		networkActs: NewAllowance(networkActsPerMinute),
		letIn:       NewAllowance(letInPerMinute),
	}
	// What was drawn before this start is not known: codes of any length may live.
	for length := range usercode.Lengths {
		s.drawn.drew(length, now().Add(settings.DeviceCodeLifetime))
	}
	return s
}

// AdmitDeviceRequest is asked before anything else is done for a device request:
// before its client is looked up and its signature checked (requirement K-05, attack
// B-10). It asks no database.
//
//	Unavailable: too many come from this network, or too many of them were reported
func (s *Guard) AdmitDeviceRequest(from authz.Source, says authz.DeviceSays) error {
	if !from.Own() {
		return nil
	}
	if s.shunned.has(startedIn(authz.CoarseNetwork(from.Address), says)) {
		return authz.Refuse(authz.Unavailable, "what devices in this network asked for was reported by several people today: ask the operator, or try again tomorrow")
	}
	if !s.creation.Allow(from, s.now()) {
		return authz.Refuse(authz.Unavailable, "too many device requests come from this network: try again in a minute")
	}
	return nil
}

// Admit takes a deed out of its owner's allowance in a network. Whoever proves nothing
// stores nothing, and is not asked: the neighbours behind one address could stop each
// other there with requests that anybody can send (decision 0049).
//
//	Unavailable: too much of it comes from this network
func (s *Guard) Admit(owner authz.Owner, from authz.Source, deed authz.Deed) error {
	now := s.now()
	switch deed {
	case authz.Reads:
		return nil
	case authz.Stops:
		// A thief's session or token spends nothing of what the owner's next one has, or their key.
		if !s.stops.AllowIn(owner.SessionID+owner.GrantID+owner.BAPID, from, now) {
			return ErrTooMuch
		}
		return nil
	default:
		if !s.acts.AllowIn(owner.AccountID, from, now) {
			return ErrTooMuch
		}
		if !s.networkActs.Allow(from, now) {
			return authz.Refuse(authz.Unavailable, "too much is done from this network: try again in a minute")
		}
		return nil
	}
}

// AdmitSignIn takes a sign-in out of its account's allowance in a network, when all that
// proves the account has been verified.
//
//	Unavailable
func (s *Guard) AdmitSignIn(accountID string, from authz.Source) error {
	if !s.signIns.AllowIn(accountID, from, s.now()) {
		return ErrTooMuch
	}
	return nil
}

// LetIn takes one out of what an owner's account lets in without being asked, or reports that
// none is left: then they are asked.
func (s *Guard) LetIn(owner authz.Owner) bool { return s.letIn.AllowName(owner.AccountID, s.now()) }

// ErrTooMuch refuses what an account does beyond its allowance in a network.
var ErrTooMuch = authz.Refuse(authz.Unavailable, "too much is done with this account from this network: try again in a minute")

// NetworkOf is the coarse network of a source, fit to be kept and shown, or empty
// where its address says nothing: on a public server a loopback or private
// address that no listed proxy told is that of a proxy.
func (s *Guard) NetworkOf(f authz.Source) string {
	addr := f.Address.Unmap()
	if !s.local && !f.Forwarded && (addr.IsLoopback() || addr.IsPrivate()) {
		return ""
	}
	return authz.CoarseNetwork(addr)
}
