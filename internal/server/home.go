package server

import (
	"net/http"
)

// homePage is what a person sees who opens the issuer's address.
func (s *Server) homePage(w http.ResponseWriter, r *http.Request) error {
	return s.showAnybody(w, r, http.StatusOK, homeScreen, nil)
}
