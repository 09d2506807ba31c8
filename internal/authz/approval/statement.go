package approval

import (
	"errors"
	"slices"
	"time"

	"countersign.dev/bitcoinauth"
	"countersign.dev/internal/authz"
	"countersign.dev/receipt"
)

// statementLifetime is how long an owner has from seeing a statement to sending
// it back signed.
const statementLifetime = 5 * time.Minute

// Statement is the text for the owner to sign (design D7, requirement N-11): who asks,
// for what, and which identity says yes.
func (s *Approvals) Statement(f Facts) string {
	now := s.now()
	expires := now.Add(statementLifetime)
	if f.Request.ExpiresAt.Before(expires) {
		expires = f.Request.ExpiresAt
	}
	return s.statement(f, now.Unix(), expires.Unix()).Encode()
}

func (s *Approvals) statement(f Facts, issued, expires int64) receipt.Statement {
	return receipt.Statement{
		Version: receipt.StatementVersion, Issuer: s.settings.Issuer, Purpose: receipt.PurposeDeviceApproval,
		UserCodeHash: receipt.UserCodeHash(f.UserCode), ClientID: f.Client.ID, Scope: f.Scope, Resource: f.Request.Resources, BAPID: f.Identity.BAPID,
		Nonce: f.Request.ID, IssuedAt: issued, ExpiresAt: expires,
	}
}

// checkStatement verifies field by field that a signed statement is the one of
// this request. It may come from a server whose clock is ahead, as the signature may.
func (s *Approvals) checkStatement(f Facts, given receipt.Statement) error {
	now := s.now().Unix()
	lifetime, apart := int64(statementLifetime/time.Second), int64(bitcoinauth.DefaultWindow/time.Second)
	if given.Encode() != s.statement(f, given.IssuedAt, given.ExpiresAt).Encode() ||
		given.IssuedAt > now+apart || given.ExpiresAt > given.IssuedAt+lifetime { // the difference of two times may be more than a number holds
		return errOtherStatement
	}
	if now >= given.ExpiresAt {
		return authz.Refuse(authz.Forbidden, "the signed statement has expired: fetch it again and sign that")
	}
	return nil
}

var errOtherStatement = authz.Refuse(authz.Forbidden, "the signed statement is not the one of this request: fetch it again and sign that")

// leftBy is the receipt that a signed approval leaves, and what it says; a session
// leaves none. It is verified as anybody will verify it, before anything counts:
// a signature that would prove something else, or nothing, approves nothing.
//
//	InvalidRequest: it does not verify
//	Forbidden: it is another identity's, code's or time's
func leftBy(o authz.Owner) (text string, says receipt.Statement, err error) {
	if !o.Signed() {
		return "", says, nil
	}
	text = receipt.Receipt{BAPID: o.BAPID, Path: o.Request.Path, Body: string(o.Request.Body), Token: o.Request.Token}.Encode()
	v, err := receipt.Verify([]byte(text))
	var failed *receipt.CheckError
	if errors.As(err, &failed) && slices.Contains([]receipt.Check{receipt.CheckCode, receipt.CheckIdentity, receipt.CheckTime}, failed.Check) {
		return "", says, authz.RefuseBecause(authz.Forbidden, errOtherStatement.Description, err)
	}
	if err != nil {
		return "", says, authz.RefuseBecause(authz.InvalidRequest, "a signed approval must leave a receipt that verifies: sign, and send to "+receipt.ApprovalPath+
			", the statement and the code exactly as this server gave them", err)
	}
	return text, v.Statement, nil
}
