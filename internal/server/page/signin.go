package page

import (
	"fmt"
	"net/http"
	"strings"

	"rsc.io/qr"
)

// signInView is the screen of ways to prove an identity.
type signInView struct {
	visitView
	// GoOn is where a person goes on to whom an application sent here, and ForApp its name;
	// Hint is the identity that it hopes for. All are empty for anybody else.
	GoOn, ForApp, Hint string
	// Passkeys: this server's issuer can have them.
	Passkeys bool
	// NoCookies: the browser sent nothing back of what another of these pages gave it.
	NoCookies bool
	QR        *qrView
}

// signInPage offers the ways to prove an identity. With a visit a person goes on
// to its code, without one to their account.
func (s *Screens) signInPage(w http.ResponseWriter, r *http.Request, visit, code string) error {
	page := signInView{visitView: visitView{code, visit}, Passkeys: s.issuer.Passkeys.Possible()}
	v := frame{}
	if visit != "" {
		v.Address = visitAddress(visit)
		page.NoCookies = s.keepsNoCookies(r)
		if s.door.Secure { // a phone reaches no loopback address of another machine
			page.QR = newQR(s.issuer.Identifier() + "/device?code=" + code)
		}
	}
	v.Page = page
	return s.show(w, r, http.StatusOK, signInScreen, v)
}

// qrView is a QR code as one path of an SVG.
type qrView struct {
	Size int
	Path string
}

// newQR is nil for what is too long.
func newQR(text string) *qrView {
	const quiet = 4 // modules of white around, as the standard wants
	code, err := qr.Encode(text, qr.M)
	if err != nil {
		return nil
	}
	var path strings.Builder
	for y := range code.Size {
		for x := range code.Size {
			if code.Black(x, y) {
				fmt.Fprintf(&path, "M%d %dh1v1h-1z", x+quiet, y+quiet)
			}
		}
	}
	return &qrView{Size: code.Size + 2*quiet, Path: path.String()}
}
