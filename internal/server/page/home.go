package page

import (
	"net/http"
)

// Home is what a person sees who opens the issuer's address.
func (s *Screens) Home(w http.ResponseWriter, r *http.Request) error {
	return s.showAnybody(w, r, http.StatusOK, homeScreen, nil)
}
