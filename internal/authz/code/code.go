package code

import (
	"time"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/approval"
	"countersign.dev/internal/authz/audit"
	"countersign.dev/internal/authz/client"
	"countersign.dev/internal/authz/contract"
	"countersign.dev/internal/authz/device"
	"countersign.dev/internal/authz/grant"
	"countersign.dev/internal/authz/proof"
	"countersign.dev/internal/authz/secret"
	"countersign.dev/internal/authz/token"
)

// Codes are authorization codes, and the requests that they answer.
type Codes struct {
	trail     audit.Trail
	unled     audit.Sparing // lines of log-outs that lead nowhere
	store     contract.Store
	settings  authz.Settings
	now       func() time.Time
	secrets   secret.Secrets
	clients   *client.Registry
	grants    *grant.Grants
	tokens    *token.Signer
	proofs    *proof.Verifier
	device    *device.Flow
	approvals *approval.Approvals
}

// New makes the codes of a server.
func New(store contract.Store, settings authz.Settings, trail audit.Trail, clients *client.Registry, grants *grant.Grants, tokens *token.Signer, proofs *proof.Verifier, device *device.Flow, approvals *approval.Approvals) *Codes {
	return &Codes{
		trail: trail, store: store, settings: settings, now: trail.Now, secrets: trail.Secrets,
		clients: clients, grants: grants, tokens: tokens, proofs: proofs, device: device, approvals: approvals,
	}
}
