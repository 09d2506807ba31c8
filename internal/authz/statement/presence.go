package statement

import "countersign.dev/internal/authz"

// Least is the least presence with which an owner approves an agent (requirement K-16): what
// the operator settled on, and never a session, which the agent itself may hold (K-17).
func (s *Statements) Least() authz.Presence {
	return s.settings.Agents.LeastPresence()
}

// enough compares the presence that a statement claims with what this server saw at most, and
// with the least that counts.
//
//	Forbidden: it claims what was not seen
//	TooLittlePresence
func (s *Statements) enough(claimed, seen authz.Presence) error {
	if !seen.AtLeast(claimed) {
		return errUnseen
	}
	if !claimed.AtLeast(s.Least()) {
		return s.tooLittle()
	}
	return nil
}

var errUnseen = authz.Refuse(authz.Forbidden,
	"the statement claims a presence that this server did not see: other-device takes a passkey in another network and another browser than the agent's")

// tooLittle says what an approval of an agent needs. The request is still pending.
func (s *Statements) tooLittle() error {
	least := s.Least()
	refusal := authz.Refuse(authz.TooLittlePresence, map[authz.Presence]string{
		authz.PresenceKey:         "an agent is approved with a signature by the identity's key: a session alone proves nobody",
		authz.PresencePassword:    "an agent is approved with a key that its owner unlocked by typing the password for this very review, or with a passkey: a session, or a key that was at hand, proves nobody",
		authz.PresencePerson:      "this server wants an agent approved with a passkey that verifies its user, over the SHA-256 of the statement",
		authz.PresenceOtherDevice: "this server wants an agent approved with a passkey, in another network and another browser than the agent's",
	}[least])
	refusal.Presence = least
	return refusal
}
