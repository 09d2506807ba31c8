package page

import (
	"net/http"

	"countersign.dev/internal/server/page/view"
)

// signInPage offers the ways to prove an identity. With a visit a person goes on
// to its code or to what an application asks, without one to their account.
func (s *Screens) signInPage(w http.ResponseWriter, r *http.Request, visit, code string) error {
	page := view.SignIn{Carried: view.Carried{Code: code, Visit: visit}, Passkeys: s.issuer.Passkeys.Possible()}
	var err error
	if page.ForApp, err = s.application(r, visit); err != nil {
		return err
	}
	v := frame{}
	if visit != "" {
		v.Address = visitAddress(visit)
		page.NoCookies = s.keepsNoCookies(r)
		switch {
		case page.ForApp != "":
			page.Code = "" // nobody is shown it elsewhere
		case s.door.Secure: // a phone reaches no loopback address of another machine
			page.QR = view.NewQR(s.issuer.Origin() + "/device?code=" + code)
		}
	}
	v.Page = page
	return s.show(w, r, http.StatusOK, signInScreen, v)
}
