package page

import (
	"errors"
	"html/template"
	"net/http"
	"time"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/code"
	"countersign.dev/internal/server/page/view"
	"countersign.dev/internal/server/wire"
)

// Authorize is the authorization endpoint (RFC 6749 §3.1): an application sends a person here
// who is to allow it something. The person decides, on the review that the device flow has, and
// each time anew where anybody could pose as the application (requirement Z-18); who allowed all
// of it before is led back at once (decision 0074). Where nothing may be shown the application
// is told why something had to be (requirement Z-26).
func (s *Screens) Authorize(w http.ResponseWriter, r *http.Request) error {
	given := r.URL.Query()
	came := s.issuer.Codes.Came(given)
	given.Del("lang") // a choice of this page's reader, who is sent on without it
	asked, err := s.issuer.Codes.Read(r.Context(), given)
	if err != nil {
		return s.refused(w, r, err)
	}
	who, err := s.door.SessionOwner(r)
	if err != nil && !wire.IsUnauthorized(err) {
		return err
	}
	signedIn := err == nil && !who.AuthTime.Truncate(time.Second).Before(asked.Since(came))
	switch {
	case asked.Silent && !signedIn:
		return s.refused(w, r, &code.Refusal{To: asked.Redirect, Err: code.ErrLoginRequired})
	case !signedIn:
		return s.signInFor(w, r, asked, r.URL.Path+"?"+code.Again(given, came).Encode())
	}
	if err := s.issuer.Guard.Admit(who, s.door.Source(r), authz.Changes); err != nil {
		return err
	}
	visit, back, err := s.issuer.Codes.Ask(r.Context(), who, asked)
	if err != nil {
		return s.refused(w, r, err)
	}
	if back != "" {
		return s.leave(w, r, back)
	}
	return seeOther(w, r, visitAddress(visit))
}

// refused leads a browser back with a refusal that the client is told of; any other is for the
// person.
func (s *Screens) refused(w http.ResponseWriter, r *http.Request, err error) error {
	var refusal *code.Refusal
	if errors.As(err, &refusal) {
		return s.leave(w, r, s.issuer.Codes.Refused(refusal.To, refusal.Err))
	}
	return err
}

// ByForm is for a request to the authorization or the end session endpoint that is sent by a
// form (OpenID Connect Core §3.1.2.1, requirements Z-25, L-06). A browser sends no session with
// the form of another site, and does with the address that it is led to.
func (s *Screens) ByForm(w http.ResponseWriter, r *http.Request) error {
	given, err := wire.FormValues(r)
	if err != nil {
		return err
	}
	return seeOther(w, r, r.URL.Path+"?"+given.Encode())
}

// signInFor offers the ways to prove an identity to who was sent here by an application, and
// goes on to an address of ours.
func (s *Screens) signInFor(w http.ResponseWriter, r *http.Request, asked code.Request, goOn string) error {
	return s.show(w, r, http.StatusOK, signInScreen, frame{Address: goOn, Page: view.SignIn{
		GoOn: goOn, ForApp: asked.Client.DisplayName(), Hint: asked.Hint, Passkeys: s.issuer.Passkeys.Possible(),
	}})
}

// leave leads a browser back to the application (requirement Z-19: never with 307). Who asks by
// our script gets a page instead, which the script leaves by: it may not read what another
// origin answers.
func (s *Screens) leave(w http.ResponseWriter, r *http.Request, address string) error {
	if r.Header.Get("Sec-Fetch-Dest") == "empty" {
		to := template.URL(address) //nolint:gosec // it begins with a redirect URI that the client is registered for
		return s.show(w, r, http.StatusOK, leaveScreen, frame{Page: view.Leave{Address: to}})
	}
	w.Header().Set("Location", address)
	w.WriteHeader(http.StatusSeeOther)
	return nil
}
