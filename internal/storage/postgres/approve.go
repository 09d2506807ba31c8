package postgres

import (
	"context"
	"errors"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/contract"
	"countersign.dev/internal/storage/kept"
)

// An approval's statement has the parts that it needs: what is planned and begun for nothing
// costs a tenth of a whole flow. All begin with the parameters of approvalArgs, of which $2 is
// the account, $4 the time, $6 the grant, $8 the client, $10 the identity, $24 the passkey, $27
// to $30 kind, agent, parent and line, and $37 authz.ACRBefore; those of a part come behind.
const (
	eventOfApproval = 38
	partsOfApproval = 52
)

// approvalParts are those that not every approval has.
type approvalParts struct{ letIn, consent, agent bool }

var approvals = func() map[approvalParts]string {
	all := map[approvalParts]string{}
	for i := range 8 {
		parts := approvalParts{letIn: i&1 > 0, consent: i&2 > 0, agent: i&4 > 0}
		all[parts] = parts.statement()
	}
	return all
}()

// Identity and passkey are locked, so that they are removed before, or afterwards
// with the grant. One that is over makes room for a new one, with its tokens, where
// there are too many.
func (p approvalParts) statement() string {
	next := partsOfApproval
	part := func(has bool, parameters int, of func(first int) string) string {
		if !has {
			return ""
		}
		next += parameters
		return of(next - parameters)
	}
	counted, conditions := `acr <> $37`, ""
	if p.letIn {
		counted, conditions = `(acr <> $37 OR last_used_at > 0)`, ` AND EXISTS (SELECT FROM consent)`
	}
	first := next
	letting := part(p.letIn, lettingInParameters, letIn)
	giving := part(p.consent, givingParameters, giveConsent)
	replacing := part(p.agent, admittingParameters, func(first int) string {
		conditions += admitAgent(first)
		counted += ` AND id <> ALL (` + replacedAgents + `)`
		return replaceAgents
	})
	standing := ""
	if p.letIn {
		standing = standingConsent(first)
	}
	return `
WITH identity AS (
	SELECT FROM identities WHERE bap_id = $10 AND account_id = $2 FOR KEY SHARE
), passkey AS (
	SELECT FROM passkeys WHERE id = $24 AND account_id = $2 FOR KEY SHARE
), ` + standing + decision + ` AND EXISTS (SELECT FROM identity) AND ($24 = '' OR EXISTS (SELECT FROM passkey))` + conditions + `
		AND (SELECT count(*) FROM grants WHERE account_id = $2 AND revoked_at = 0 AND expires_at > $4 AND ` + counted + `) < $34 RETURNING device_code
), ` + tell(eventOfApproval, "decided") + `, ` + letting + giving + replacing + `over AS (
	DELETE FROM grants WHERE id = ANY (ARRAY (SELECT id FROM grants WHERE (revoked_at > 0 OR expires_at <= $4) AND id = ANY (ARRAY (
		SELECT id FROM grants WHERE account_id = $2 AND EXISTS (SELECT FROM decided) ORDER BY created_at DESC, id LIMIT $36 OFFSET $35 - 1
	)) FOR UPDATE SKIP LOCKED)) RETURNING id
), tokens AS (
	DELETE FROM refresh_tokens USING over WHERE grant_id = over.id
), granted AS (
	INSERT INTO grants (` + grantColumns + `, receipt)
	SELECT $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26, $27, $28, $29, $30, $31, $32, $33 FROM decided
)
SELECT device_code FROM decided`
}

// approvalArgs are an approval's statement and its parameters.
func approvalArgs(a contract.Approval) (statement string, args []any, err error) {
	parts := approvalParts{letIn: a.LetIn != nil, consent: a.Consent != nil, agent: a.Grant.Delegated.ToAgent()}
	args = append([]any{string(authz.Approved), a.AccountID, a.RequestID, kept.Time(a.At), a.Unclaimed}, grantArgs(a.Grant)...)
	args = append(args, a.Receipt, a.Living, a.Keep.Most, a.Keep.AtOnce, authz.ACRBefore)
	args = andEvent(a.Event, args...)
	bounds := []contract.Keep{a.Keep, a.Event.Keep}
	if parts.letIn {
		args = append(args, lettingInArgs(*a.LetIn)...)
		bounds = append(bounds, a.LetIn.Keep)
	}
	if parts.consent {
		args = append(args, givingArgs(*a.Consent, a.ConsentsKeep)...)
		bounds = append(bounds, a.ConsentsKeep)
	}
	if parts.agent {
		args = append(args, a.Agents.PerAccount, a.Agents.PerLine)
	}
	return approvals[parts], args, contract.Bounded(bounds...)
}

// ApproveDeviceRequest implements contract.DeviceStore.
func (s *Store) ApproveDeviceRequest(ctx context.Context, a contract.Approval) error {
	statement, args, err := approvalArgs(a)
	if err != nil {
		return err
	}
	err = s.decideAfter(ctx, "approving a device request", a.Grant.Delegated.Agent.ID, a.RequestID, statement, args...)
	var state *contract.StateError
	if errors.As(err, &state) && decidable(state.Request, a) {
		return s.whyNotApproved(ctx, a)
	}
	return err
}

const whyNotApproved = `
SELECT (SELECT count(*) FROM grants WHERE account_id = $2 AND revoked_at = 0 AND expires_at > $6 AND (acr <> $7 OR ($4 <> '' AND last_used_at > 0))) >= $8
FROM identities WHERE bap_id = $1 AND account_id = $2
	AND ($3 = '' OR EXISTS (SELECT FROM passkeys WHERE id = $3 AND account_id = $2))
	AND ($4 = '' OR EXISTS (SELECT FROM consents WHERE account_id = $2 AND client_id = $5 AND bap_id = $1 AND grant_id = $4 AND expires_at > $6))`

// whyNotApproved explains why a request that could be decided was not approved. A consent
// that is there still is being forgotten, or the account was full.
func (s *Store) whyNotApproved(ctx context.Context, a contract.Approval) error {
	var full bool
	by := ""
	if a.LetIn != nil {
		by = a.LetIn.By
	}
	err := s.one(ctx, "reading who approves", whyNotApproved,
		[]any{a.Grant.BAPID, a.AccountID, a.Grant.Passkey, by, a.Grant.ClientID, kept.Time(a.At), authz.ACRBefore, a.Living}, &full)
	switch {
	case errors.Is(err, contract.ErrNotFound), err == nil && by != "" && !full:
		return contract.ErrGone
	case err != nil:
		return err
	case a.Grant.Delegated.ToAgent():
		return s.whyNotAdmitted(ctx, a)
	default:
		return contract.ErrFull
	}
}

// decidable reports whether nothing in a request keeps it from being approved.
func decidable(r authz.DeviceRequest, a contract.Approval) bool {
	return r.StateAt(a.At) == authz.Pending && (r.AccountID == a.AccountID || (a.Unclaimed && r.AccountID == ""))
}
