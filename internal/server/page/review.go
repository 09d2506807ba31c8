package page

import (
	"cmp"
	"errors"
	"net/http"
	"slices"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/approval"
	"countersign.dev/internal/server/page/view"
	"countersign.dev/internal/server/wire"
)

// Review is GET /device/request/{visit}: where a person is with a code. One
// address serves the whole way, so that a reload, the back button, a sign-in in
// between and a restart of the server lose nothing.
func (s *Screens) Review(w http.ResponseWriter, r *http.Request) error {
	visit := r.PathValue("visit")
	code, opener, err := s.issuer.Approvals.VisitCode(visit)
	if err != nil {
		return s.notOpened(w, r, visit, "", err)
	}
	who, err := s.door.SessionOwner(r)
	if wire.IsUnauthorized(err) {
		return s.signInPage(w, r, visit, code)
	}
	if err != nil {
		return err
	}
	// Only what this very account has opened is looked up: a GET may be anybody's link
	// (decision 0027).
	if opener != who.AccountID {
		// What another account was asked by an application is not for this one.
		if app, err := s.application(r, visit); err != nil || app != "" {
			return s.notOpened(w, r, visit, "", cmp.Or[error](err, authz.ErrReviewOver))
		}
		return s.continuePage(w, r, who, visit, code)
	}
	facts, transaction, err := s.issuer.Approvals.Review(r.Context(), who, s.issuer.Approvals.Returning(who, s.door.Asker(r, who), visit), code)
	switch {
	case errors.Is(err, authz.AlreadyDecided): // by this very person: somebody else's is foreign
		return seeOther(w, r, "/device/done/"+facts.Request.ID)
	case err != nil:
		return s.notOpened(w, r, visit, code, err)
	}
	identities, err := s.issuer.Accounts.Identities(r.Context(), who)
	if err != nil {
		return err
	}
	say := s.words(r)
	page, err := view.NewReview(say, facts, transaction, who.Method)
	if err != nil {
		return err
	}
	for _, i := range identities {
		page.Identities = append(page.Identities, view.IdentityChoice{BAPID: i.BAPID, Name: i.DisplayName(), Session: i.BAPID == who.BAPID})
	}
	mistake := ""
	switch asked := r.URL.Query(); {
	case asked.Has(nothingChosen):
		mistake = "review.nothing-chosen"
	case asked.Has(mistyped):
		mistake = "review.mistyped"
	}
	if mistake != "" {
		text, err := say.A(mistake)
		if err != nil {
			return err
		}
		page.Warnings = append(page.Warnings, text)
	}
	page.Visit = visit
	v, err := s.frameOf(r, who, page)
	if err != nil {
		return err
	}
	v.LeadsTo = facts.Request.Redirect.URI
	return s.show(w, r, http.StatusOK, reviewScreen, v)
}

var errNoDecision = &authz.Error{Code: wire.CodeForm, Description: "decision must be approve, deny or report"}

// Decide is POST /device/decide: one decision of one review.
func (s *Screens) Decide(w http.ResponseWriter, r *http.Request) error {
	p, err := wire.DecodeForm(r)
	if err != nil {
		return err
	}
	visit := p.Text("visit")
	if _, _, err := s.issuer.Approvals.VisitCode(visit); err != nil {
		visit = "" // leads back nowhere
	}
	decision, does := p.Text("decision"), authz.Changes
	if decision != "approve" {
		does = authz.Stops
	}
	who, err := s.door.AuthenticateSession(r, does)
	if wire.IsUnauthorized(err) && visit != "" {
		return seeOther(w, r, visitAddress(visit))
	}
	if err != nil {
		return err
	}
	if !slices.Contains([]string{"approve", "deny", "report"}, decision) {
		return errNoDecision // nobody's silence denies
	}
	requestID, err := s.issuer.Approvals.Decide(r.Context(), who, s.door.Asker(r, who), approval.ReviewDecision{
		Transaction: authz.Secret(p.Text("transaction")), Approve: decision == "approve", Report: decision == "report",
		Scope: p.Text("scope"), Match: p.Text("match"), BAPID: p.Text("identity"),
	})
	decided := err == nil
	if err != nil && requestID != "" {
		// It was decided after all: by this very decision when the number did not match,
		// or in another tab before.
		switch _, unknown := s.issuer.Approvals.Outcome(r.Context(), who, requestID); {
		case unknown == nil:
			decided = true
		case !errors.Is(unknown, authz.NotFound):
			return unknown
		}
	}
	switch {
	case decided:
		return seeOther(w, r, "/device/done/"+requestID)
	case visit != "" && errors.Is(err, authz.InvalidScope):
		return seeOther(w, r, visitAddress(visit)+"?"+nothingChosen)
	case visit != "" && errors.Is(err, authz.Mistyped):
		return seeOther(w, r, visitAddress(visit)+"?"+mistyped)
	case visit != "" && errors.Is(err, authz.ReviewOver): // read too long, or it has changed: read it again
		return seeOther(w, r, visitAddress(visit))
	default:
		return s.notOpened(w, r, p.Text("visit"), "", err)
	}
}

// What a review's address says to a person who left nothing ticked, or entered what no
// device shows.
const (
	nothingChosen = "nothing-chosen"
	mistyped      = "mistyped"
)

// seeOther leads on to an address of our own, with 303 (requirements Z-19, Z-23, attack
// B-06).
func seeOther(w http.ResponseWriter, r *http.Request, address string) error {
	http.Redirect(w, r, address, http.StatusSeeOther)
	return nil
}
