package statement

import (
	"errors"
	"slices"

	"countersign.dev/internal/authz"
	"countersign.dev/receipt"
)

// OfDevice is the text for the owner to sign of what a device asks (design D7, requirement
// N-11): who asks, for what, and which identity says yes.
func (s *Statements) OfDevice(o Offer) string {
	issued, expires := s.times(o)
	return s.ofDevice(o, issued, expires).Encode()
}

func (s *Statements) ofDevice(o Offer, issued, expires int64) receipt.Statement {
	return receipt.Statement{
		Version: receipt.StatementVersion, Issuer: s.settings.Issuer, Purpose: receipt.PurposeDeviceApproval,
		UserCodeHash: receipt.UserCodeHash(o.UserCode), ClientID: o.Request.ClientID, Scope: o.Scope, Resource: o.Request.Resources, BAPID: o.BAPID,
		Nonce: o.Request.ID, IssuedAt: issued, ExpiresAt: expires,
	}
}

// CheckDevice verifies field by field that a signed statement is the one of an offer.
//
//	Forbidden: it is another one's, or it has expired
func (s *Statements) CheckDevice(o Offer, given receipt.Statement) error {
	if given.Encode() != s.ofDevice(o, given.IssuedAt, given.ExpiresAt).Encode() {
		return errOther
	}
	return s.timely(given.IssuedAt, given.ExpiresAt)
}

// LeftByDevice is the receipt that a signed approval of what a device asks leaves, and what it
// says; a session leaves none. It is verified as anybody will verify it, before anything
// counts: a signature that would prove something else, or nothing, approves nothing.
//
//	InvalidRequest: it does not verify
//	Forbidden: it is another identity's, code's or time's
func LeftByDevice(o authz.Owner) (text string, says receipt.Statement, err error) {
	if !o.Signed() {
		return "", says, nil
	}
	text = receipt.Receipt{BAPID: o.BAPID, Path: o.Request.Path, Body: string(o.Request.Body), Token: o.Request.Token}.Encode()
	v, err := receipt.Verify([]byte(text))
	if err != nil {
		return "", says, unverified(err)
	}
	return text, v.Statement, nil
}

// unverified refuses what leaves no receipt that verifies.
func unverified(err error) error {
	var failed *receipt.CheckError
	if errors.As(err, &failed) && slices.Contains([]receipt.Check{receipt.CheckCode, receipt.CheckIdentity, receipt.CheckTime}, failed.Check) {
		return authz.RefuseBecause(authz.Forbidden, errOther.Description, err)
	}
	return authz.RefuseBecause(authz.InvalidRequest, "a signed approval must leave a receipt that verifies: sign, and send to "+receipt.ApprovalPath+
		", the statement and the code exactly as this server gave them", err)
}
