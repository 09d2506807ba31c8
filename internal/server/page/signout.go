package page

import (
	"net/http"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/server/page/view"
	"countersign.dev/internal/server/wire"
)

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
		return s.signedOut(w, r, asked.Back, view.SignOut{})
	}
	if err != nil {
		return err
	}
	page := view.SignOut{Client: asked.Client.DisplayName()}
	if err := s.stillActing(r, who, &page); err != nil {
		return err
	}
	if asked.Subject == who.AccountID {
		if err := s.door.ForgetSession(w, r); err != nil {
			return err
		}
		return s.signedOut(w, r, asked.Back, page)
	}
	if page.Back, err = s.issuer.Codes.SealBack(asked); err != nil {
		return err
	}
	v, err := s.frameOf(r, who, page)
	if err != nil {
		return err
	}
	v.LeadsTo = asked.Back
	return s.show(w, r, http.StatusOK, signOutScreen, v)
}

// SignOut is POST /sign-out, the button of every signed-in page and of the one that asks.
func (s *Screens) SignOut(w http.ResponseWriter, r *http.Request) error {
	who, p, err := s.ownForm(r)
	if err != nil {
		return err
	}
	asked := p.Text("asked") != ""
	back, err := s.issuer.Codes.OpenBack(p.Text("back"))
	if err != nil {
		return err
	}
	var page view.SignOut
	if asked {
		if err := s.stillActing(r, who, &page); err != nil {
			return err
		}
	}
	if err := s.door.ForgetSession(w, r); err != nil {
		return err
	}
	if !asked {
		return seeOther(w, r, "/")
	}
	return s.signedOut(w, r, back, page)
}

// signedOut leads a browser back, or says that it is signed out.
func (s *Screens) signedOut(w http.ResponseWriter, r *http.Request, back string, page view.SignOut) error {
	if back != "" {
		return s.leave(w, r, back)
	}
	page.Done = true
	return s.show(w, r, http.StatusOK, signOutScreen, frame{Page: page})
}

// stillActing finds what acts for a person (requirement L-11). An application to which they came
// often has many permissions that read alike here, and is named once.
func (s *Screens) stillActing(r *http.Request, who authz.Owner, into *view.SignOut) error {
	a := &accountReader{Screens: s, r: r, who: who, say: s.words(r), names: map[string]string{}}
	for _, read := range []func() error{a.identities, a.grants} {
		if err := read(); err != nil {
			return err
		}
	}
	type line struct{ client, device, identity string }
	named := map[line]bool{}
	for _, g := range a.view.Grants {
		if l := (line{g.ClientName, g.DeviceName, g.Identity}); !named[l] {
			named[l] = true
			into.Grants = append(into.Grants, g)
		}
	}
	into.Older = a.view.OlderGrants != ""
	return nil
}
