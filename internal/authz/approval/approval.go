package approval

import (
	"log/slog"
	"time"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/audit"
	"countersign.dev/internal/authz/client"
	"countersign.dev/internal/authz/consent"
	"countersign.dev/internal/authz/contract"
	"countersign.dev/internal/authz/device"
	"countersign.dev/internal/authz/grant"
	"countersign.dev/internal/authz/guard"
	"countersign.dev/internal/authz/passkey"
	"countersign.dev/internal/authz/secret"
	"countersign.dev/internal/authz/statement"
)

// Approvals are what an owner does about a device request: open it, look at it, decide.
type Approvals struct {
	store    contract.Store
	agents   authz.AgentSettings
	now      func() time.Time
	log      *slog.Logger
	secrets  secret.Secrets
	trail    audit.Trail
	guard    *guard.Guard
	clients  *client.Registry
	consents *consent.Consents
	grants   *grant.Grants
	device   *device.Flow
	// statements are what owners sign here.
	statements *statement.Statements
}

// New makes the approvals of a server.
func New(store contract.Store, settings authz.Settings, trail audit.Trail, guard *guard.Guard, clients *client.Registry, consents *consent.Consents, grants *grant.Grants, device *device.Flow, passkeys *passkey.Passkeys) *Approvals {
	return &Approvals{
		store: store, agents: settings.Agents, now: trail.Now, log: trail.Log, secrets: trail.Secrets, trail: trail,
		guard: guard, clients: clients, consents: consents, grants: grants, device: device, statements: statement.New(settings, trail.Now, passkeys),
	}
}

var (
	errNoSuchCode       = authz.Refuse(authz.InvalidRequest, "there is no such code: check it against the device, or start again there")
	errProvedTooLongAgo = authz.Refuse(authz.Unauthorized, "the client wants the identity proved of late: sign in once more, and decide then")
	errDecided          = authz.Refuse(authz.AlreadyDecided, "this request is already decided")
	errNotOpened        = authz.Refuse(authz.NotOpened, "this request was not opened yet: look at it before deciding")
	errForeign          = authz.Refuse(authz.Forbidden, "this request was opened by somebody else")
	errCodeOver         = authz.Refuse(authz.ExpiredToken, "this code has expired: start again on the device")
	errTooManyGrants    = authz.Refuse(authz.AccountFull, "an account may have 200 devices and programs at once: take back one that you no longer use (countersign grants list, or the page /account), then approve again")
	errTooManyAgents    = authz.Refuse(authz.AccountFull, "the account, or this agent with all below it, has as many living agents as it may, or the account 200 devices and programs: revoke one that you no longer use, then approve again")
	errOwnersKey        = authz.Refuse(authz.InvalidRequest, "the agent's key is an owner's: an agent needs a key of its own, which is nobody's member key")
	errAgentOver        = authz.Refuse(authz.Forbidden, "the agent that asks for more was revoked, or its time is over")
	errCancelled        = authz.Refuse(authz.Forbidden, "too many people opened this code, so it was cancelled: start again on the device, and give the code to nobody")
)
