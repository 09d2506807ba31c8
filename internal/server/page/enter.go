package page

import (
	"cmp"
	"errors"
	"net/http"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/server/page/view"
	"countersign.dev/internal/server/wire"
)

// Enter is GET /device: where a person enters the code (RFC 8628 §3.3,
// requirement D-17). A link may fill it in (§3.3.1); it never does more than that.
func (s *Screens) Enter(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	code, other := q.Get("code"), q.Get("user_code")
	if code != "" && other != "" && code != other {
		return s.enterAgain(w, r, http.StatusBadRequest, view.Enter{Problem: "enter.two-codes"})
	}
	if code+other == "" {
		return s.enterAgain(w, r, http.StatusOK, view.Enter{})
	}
	visit, parsed, err := s.issuer.Approvals.StartVisit(cmp.Or(code, other))
	if errors.Is(err, authz.NotACode) {
		return s.enterAgain(w, r, http.StatusOK, view.Enter{Problem: "enter.not-a-code"})
	}
	if err != nil {
		return err
	}
	who, err := s.door.SessionOwner(r)
	if wire.IsUnauthorized(err) {
		return s.signInPage(w, r, visit, parsed)
	}
	if err != nil {
		return err
	}
	return s.continuePage(w, r, who, visit, parsed)
}

// enterAgain shows the form, with what was wrong.
func (s *Screens) enterAgain(w http.ResponseWriter, r *http.Request, status int, page view.Enter) error {
	return s.showAnybody(w, r, status, enterScreen, page)
}

func visitAddress(visit string) string { return "/device/request/" + visit }

// Open is POST /device: a code was entered or confirmed. For somebody who
// is signed in the request is opened, which only a POST may do (attack B-04); for
// anybody else the code is kept over the sign-in.
func (s *Screens) Open(w http.ResponseWriter, r *http.Request) error {
	p, err := wire.DecodeForm(r)
	if err != nil {
		return err
	}
	visit, code, err := s.visitOf(p)
	if err != nil {
		return s.notOpened(w, r, p.Text("visit"), p.Text("code"), err)
	}
	who, err := s.door.AuthenticateSession(r, authz.Changes)
	if err != nil && !wire.IsUnauthorized(err) {
		return err
	}
	if err == nil {
		asker, err := s.provedAsker(r, who, p.Text("proof"), code)
		if err != nil {
			return err
		}
		if visit, err = s.issuer.Approvals.OpenReview(r.Context(), who, s.issuer.Approvals.Returning(who, asker, visit), code); err != nil {
			return s.notOpened(w, r, p.Text("visit"), code, err)
		}
	}
	return seeOther(w, r, visitAddress(visit))
}

// provedAsker is who tries a code on the page, with the proof that came with it:
// an X-Auth-Token over account.ProofPath and the code, or empty.
func (s *Screens) provedAsker(r *http.Request, who authz.Owner, proof, code string) (authz.Asker, error) {
	return s.issuer.Accounts.ProveCode(r.Context(), who, s.door.Asker(r, who), proof, code)
}

// visitOf is the visit that a form goes on with, or a new one for the code that
// was typed.
func (s *Screens) visitOf(p *wire.Params) (visit, code string, err error) {
	if visit = p.Text("visit"); visit == "" {
		return s.issuer.Approvals.StartVisit(p.Text("code"))
	}
	code, _, err = s.issuer.Approvals.VisitCode(visit)
	return visit, code, err
}

// notOpened says on the form itself why a code did not do. Unknown, expired, used
// and somebody else's codes look alike (attack B-17). Nobody types the code of a request by
// redirect: there a person has to start again at the application.
func (s *Screens) notOpened(w http.ResponseWriter, r *http.Request, visit, typed string, err error) error {
	refusal := authz.CodeOf(err)
	problem, found := view.CodeProblems[refusal]
	app, unread := s.application(r, visit)
	switch status := wire.StatusOf(refusal); {
	case unread != nil:
		return unread
	case app != "" && (found || refusal == authz.ReviewOver) && status != http.StatusTooManyRequests:
		return s.showAnybody(w, r, http.StatusBadRequest, problemScreen, view.Problem{StartAgainAt: app})
	case !found:
		return err
	}
	h := w.Header()
	status := wire.StatusOf(refusal)
	if status == http.StatusTooManyRequests {
		h.Set("Retry-After", wire.RetryGuesses)
	} else {
		status = http.StatusBadRequest
	}
	page := view.Enter{Problem: problem}
	if problem == view.CodeProblems[authz.NotACode] { // a mistake in typing, which a person mends
		page.Typed = authz.CleanText(typed, typedShown)
	}
	return s.enterAgain(w, r, status, page)
}

// application is the name of the client whose request by redirect a visit is for, or empty.
func (s *Screens) application(r *http.Request, visit string) (name string, err error) {
	id, err := s.issuer.Approvals.VisitApplication(visit)
	if id == "" || err != nil {
		return "", err
	}
	return s.door.ClientName(r, id)
}

// typedShown is how much of what was typed is shown again, in characters.
const typedShown = 60
