package approval

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/guard"
	"countersign.dev/internal/authz/scopes"
	"countersign.dev/internal/authz/usercode"
)

// MatchKind says how an owner shows that the device in front of them is the one
// that asks (device page, "number match"; requirement K-08).
type MatchKind string

// The kinds of match.
const (
	// MatchNone: comparing the codes is enough.
	MatchNone MatchKind = "none"
	// MatchNumber: the owner picks the number the device shows.
	MatchNumber MatchKind = "number"
	// MatchLetters: the owner types the last four letters of the code, for
	// devices that show no number.
	MatchLetters MatchKind = "letters"
)

// matchKind decides whether a match is asked for: for more than the basic
// scopes, for agents, for clients that have not proved who they are (decision 0028), when the
// device is not known to be on its owner's network (requirement K-02, attack B-01), and when
// several people reported what came from there (requirement K-12).
func matchKind(r authz.DeviceRequest, c authz.Client, scope string, network NetworkDistance, reports guard.Reports) MatchKind {
	beyondBasic := slices.ContainsFunc(strings.Fields(scope), func(s string) bool { return !scopes.Has(scopes.Basic, s) })
	switch {
	case r.ByRedirect(), // the answer goes to the client's own address, in this very browser
		r.Asked.OnTop(): // it is of an agent that this very owner approved, as its key has proved
		return MatchNone
	case !beyondBasic && !r.Asked.ByAgent() && c.Registered && r.ClientProved && network == NetworkSame && reports.Network == 0:
		return MatchNone
	case r.MatchNumber != 0:
		return MatchNumber
	default:
		return MatchLetters
	}
}

// matches says how the owner's answer fits. Of the numbers on offer a wrong one is
// another device's; any other was mistyped.
func (s *Approvals) matches(f Facts, answer string) usercode.Fit {
	answer = usercode.Plain(answer)
	switch f.Match {
	case MatchNone:
		return usercode.Matched
	case MatchNumber:
		switch {
		case usercode.Same(answer, strconv.Itoa(f.Request.MatchNumber)):
			return usercode.Matched
		case slices.Contains(f.Numbers, answer):
			return usercode.Another
		default:
			return usercode.Mistyped
		}
	default:
		return usercode.MatchLetters(answer, f.UserCode)
	}
}

// mismatched is an answer that does not fit. Another device's denies: the one in front
// of the owner is not the one that asks. It is no report: they may have two of them, or
// have slipped. What no device shows is a slip, and is asked for again, so often.
func (s *Approvals) mismatched(ctx context.Context, owner authz.Owner, r authz.DeviceRequest, fit usercode.Fit) error {
	if fit == usercode.Mistyped {
		again, err := s.guard.Slip(ctx, r.ID, r.CreatedAt)
		if err != nil {
			return err
		}
		if again {
			return errMistyped
		}
	}
	if err := s.deny(ctx, owner, r, false, authz.DeniedForMatch); err != nil {
		return err
	}
	s.log.WarnContext(ctx, "device request denied: what was entered is not what its device shows", "device_request", r.ID, "client_id", r.ClientID,
		authz.By(owner), "device_network", r.Seen.Network)
	return errWrongMatch
}

var (
	errMistyped   = authz.Refuse(authz.Mistyped, "that is nothing that the device can show: look at it again, and enter what it shows")
	errWrongMatch = authz.Refuse(authz.WrongMatch, "that is not what the device shows, so the request was denied")
)
