package page

import (
	"errors"
	"net/http"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/server/page/view"
)

// Done is GET /device/done/{id}: what was decided, with which a person goes back to
// the device (requirement D-21) or is led back to the application, and how to undo it (requirement K-11). What else lives
// and what happened are read for it, so it is made in the owner's turn.
func (s *Screens) Done(w http.ResponseWriter, r *http.Request) error {
	who, err := s.door.SessionOwner(r)
	if err != nil {
		return err
	}
	back, err := s.issuer.Codes.Answer(r.Context(), who, r.PathValue("id"))
	if err != nil {
		return err
	}
	if back != "" {
		return s.leave(w, r, back)
	}
	return s.showInTurn(w, r, who, doneScreen, func() (any, error) { return s.doneView(r, who) })
}

func (s *Screens) doneView(r *http.Request, who authz.Owner) (page view.Done, err error) {
	outcome, err := s.issuer.Approvals.Outcome(r.Context(), who, r.PathValue("id"))
	if err != nil {
		return page, err
	}
	name, err := s.door.ClientName(r, outcome.ClientID)
	if err != nil {
		return page, err
	}
	page = view.Done{ID: outcome.ID, ClientName: name, Title: "done.denied", Approved: outcome.Approved}
	page.Mismatched, page.Reported = outcome.Mismatched, outcome.Reported
	if outcome.Others > 0 {
		if page.Others, err = s.words(r).N("done.others", outcome.Others); err != nil {
			return page, err
		}
	}
	if grant := outcome.Grant; page.Approved {
		page.Revoked, page.Alive = !grant.RevokedAt.IsZero(), outcome.Alive
		page.Scopes, page.Until = view.Scopes(grant.Scope), grant.ExpiresAt
		page.How, page.Receipt = "proved."+view.Proof(grant.ACR), grant.ACR == authz.ACRSignature
		identity, err := s.issuer.Accounts.Identity(r.Context(), who, grant.BAPID)
		if errors.Is(err, authz.NotFound) { // taken out since
			identity = authz.Identity{BAPID: grant.BAPID}
		} else if err != nil {
			return page, err
		}
		page.Identity = identity.DisplayName()
		switch {
		case page.Revoked:
			page.Title = "done.revoked"
		case !page.Alive:
			page.Title = "done.over"
		default:
			page.Title = "done.allowed"
		}
	}
	return page, nil
}
