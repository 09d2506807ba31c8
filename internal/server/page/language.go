package page

import (
	"net/http"
	"time"

	"countersign.dev/internal/server/page/messages"
)

// languageRemembered is how long a language that a person chose is kept in a cookie.
const languageRemembered = 365 * 24 * time.Hour

// words picks the language of a request: the one chosen before, or what the
// browser prefers.
func (s *Screens) words(r *http.Request) messages.Words {
	wanted := []string{r.Header.Get("Accept-Language")}
	if cookie, err := r.Cookie(s.door.Cookies.Language); err == nil {
		wanted = append([]string{cookie.Value}, wanted...)
	}
	if chosen := r.URL.Query().Get("lang"); chosen != "" {
		wanted = append([]string{chosen}, wanted...)
	}
	return s.catalogue.Words(wanted)
}

// rememberLanguage keeps a language that was chosen by a link of ours.
func (s *Screens) rememberLanguage(w http.ResponseWriter, r *http.Request, chosen messages.Words) {
	if r.URL.Query().Get("lang") != chosen.Lang() || s.door.Foreign(r) {
		return
	}
	s.door.SetCookie(w, s.door.Cookies.Language, chosen.Lang(), languageRemembered)
}
