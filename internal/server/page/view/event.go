package view

import "countersign.dev/internal/authz"

// EventMessage names the message of an event. What concerned more than one thing,
// or was not the owner's doing, is said in words of its own.
func EventMessage(e authz.Event) string {
	switch {
	case e.ACR == authz.DeniedForMatch:
		return "event.mismatched"
	case e.ACR == authz.ACRBefore:
		return "event.approved-before"
	case e.Kind == authz.EventRevoked && e.Subject == authz.SubjectAll:
		return "event.revoked-all"
	case e.Kind == authz.EventRevoked && e.Subject == authz.SubjectClient:
		return "event.revoked-client"
	case e.Kind == authz.EventRevoked && e.Subject == authz.SubjectNotMe:
		return "event.revoked-not-me"
	case e.Kind == authz.EventRevoked && e.Subject == authz.SubjectReuse:
		return "event.revoked-reuse"
	case e.Kind == authz.EventRevoked && e.Subject == authz.SubjectAgents:
		return "event.revoked-agents"
	case e.Kind == authz.EventRevoked && e.Subject == authz.SubjectKill:
		return "event.revoked-everything"
	case e.Kind == authz.EventPaused && e.GrantID == "":
		return "event.paused-all"
	case e.Kind == authz.EventSessionEnded && e.Subject == authz.SubjectAll:
		return "event.sessions-ended"
	default:
		return "event." + string(e.Kind)
	}
}

// Proof is how an approval was proved, in the words of the messages.
func Proof(acr string) string {
	switch acr {
	case authz.ACRSignature:
		return "signature"
	case authz.ACRPasskey:
		return "passkey"
	case authz.ACRBefore:
		return "before"
	default:
		return "session"
	}
}
