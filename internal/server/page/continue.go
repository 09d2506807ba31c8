package page

import (
	"net/http"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/server/page/view"
)

// continuePage shows a code that came by a link to somebody who is signed in, to be
// compared with the device's (requirement D-18).
func (s *Screens) continuePage(w http.ResponseWriter, r *http.Request, who authz.Owner, visit, code string) error {
	v, err := s.frameOf(r, who, view.Carried{Code: code, Visit: visit})
	if err != nil {
		return err
	}
	v.Address = visitAddress(visit)
	return s.show(w, r, http.StatusOK, continueScreen, v)
}
