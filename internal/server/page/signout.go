package page

import (
	"net/http"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/server/wire"
)

// signOutView asks whether a person wants to be signed out, or says that they are.
type signOutView struct {
	// Client is the name of the application that asks, or empty.
	Client string
	// Back leads on afterwards, sealed; empty for nowhere.
	Back string
	// Done: it has happened.
	Done bool
	// Grants act for the person still (requirement L-11), of which the newest are here.
	Grants []accountGrant
	Older  bool
}

// Logout is the end session endpoint (OpenID Connect RP-Initiated Logout §2, requirement L-06).
// It ends the session of this browser, and nothing that devices and programs have: it says which
// those are. Who is not known to be the one whom the application signed out is asked first
// (requirement L-09).
func (s *Screens) Logout(w http.ResponseWriter, r *http.Request) error {
	given := r.URL.Query()
	given.Del("lang")
	asked, err := s.issuer.Codes.ReadLogout(r.Context(), given)
	if err != nil {
		return err
	}
	who, err := s.door.SessionOwner(r)
	if wire.IsUnauthorized(err) {
		return s.signedOut(w, r, asked.Back, signOutView{})
	}
	if err != nil {
		return err
	}
	view := signOutView{Client: asked.Client.DisplayName()}
	if err := s.stillActing(r, who, &view); err != nil {
		return err
	}
	if asked.Subject == who.AccountID {
		if err := s.door.ForgetSession(w, r); err != nil {
			return err
		}
		return s.signedOut(w, r, asked.Back, view)
	}
	if view.Back, err = s.issuer.Codes.SealBack(asked); err != nil {
		return err
	}
	v, err := s.frameOf(r, who, view)
	if err != nil {
		return err
	}
	v.LeadsTo = asked.Back
	return s.show(w, r, http.StatusOK, signOutScreen, v)
}

// LogoutByForm is the same for a form (requirement L-06), as AuthorizeByForm is.
func (s *Screens) LogoutByForm(w http.ResponseWriter, r *http.Request) error {
	return s.AuthorizeByForm(w, r)
}

// SignOut is POST /sign-out, the button of every signed-in page and of the one that asks.
func (s *Screens) SignOut(w http.ResponseWriter, r *http.Request) error {
	who, p, err := s.ownForm(r)
	if err != nil {
		return err
	}
	back, err := s.issuer.Codes.OpenBack(p.Text("back"))
	if err != nil {
		return err
	}
	view := signOutView{}
	if asked := p.Text("asked") != ""; !asked {
		if err := s.door.ForgetSession(w, r); err != nil {
			return err
		}
		return seeOther(w, r, "/")
	}
	if err := s.stillActing(r, who, &view); err != nil {
		return err
	}
	if err := s.door.ForgetSession(w, r); err != nil {
		return err
	}
	return s.signedOut(w, r, back, view)
}

// signedOut leads a browser back, or says that it is signed out.
func (s *Screens) signedOut(w http.ResponseWriter, r *http.Request, back string, view signOutView) error {
	if back != "" {
		return s.leave(w, r, back)
	}
	view.Done = true
	return s.show(w, r, http.StatusOK, signOutScreen, frame{Page: view})
}

// stillActing finds what acts for a person.
func (s *Screens) stillActing(r *http.Request, who authz.Owner, into *signOutView) error {
	a := &accountReader{Screens: s, r: r, who: who, say: s.words(r), names: map[string]string{}}
	for _, read := range []func() error{a.identities, a.grants} {
		if err := read(); err != nil {
			return err
		}
	}
	into.Grants, into.Older = a.view.Grants, a.view.OlderGrants != ""
	return nil
}
