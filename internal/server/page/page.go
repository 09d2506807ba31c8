package page

import (
	"bytes"
	"cmp"
	"embed"
	"html/template"
	"net/http"
	"strings"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/server/page/assets"
	"countersign.dev/internal/server/page/messages"
	"countersign.dev/internal/server/page/view"
	"countersign.dev/internal/server/wire"
)

//go:embed templates/*.html
var templateFiles embed.FS

// screen is what a person sees at once. Its template, its script and the file that
// answers with it have this name.
type screen string

const (
	homeScreen     screen = "home"
	enterScreen    screen = "enter"
	continueScreen screen = "continue"
	signInScreen   screen = "signin"
	reviewScreen   screen = "review"
	doneScreen     screen = "done"
	accountScreen  screen = "account"
	problemScreen  screen = "problem"
	leaveScreen    screen = "leave"
	signOutScreen  screen = "signout"
)

// newPages are the screens' templates, each inside one layout.
func newPages() (map[screen]*template.Template, error) {
	pages := map[screen]*template.Template{}
	for _, name := range []screen{homeScreen, enterScreen, continueScreen, signInScreen, reviewScreen, doneScreen, accountScreen, problemScreen, leaveScreen, signOutScreen} {
		t, err := template.ParseFS(templateFiles, "templates/layout.html", "templates/"+string(name)+".html")
		if err != nil {
			return nil, err
		}
		pages[name] = t
	}
	return pages, nil
}

// defaultIssuer is where the command line looks when it is told nothing.
const defaultIssuer = "http://localhost:8628"

// frame is what every page gets.
type frame struct {
	messages.Words
	Brand assets.Brand
	// Host is printed so that a person can compare it with the address bar.
	Host   string
	Issuer string
	// Local: the command line looks here when it is told nothing.
	Local bool
	// Now is the server's clock in Unix milliseconds: the script signs by it.
	Now           int64
	Style         string
	ScriptAddress string
	ScriptParts   []string // which the script imports at once
	Languages     []messages.Link
	// Screen is the page's name, for the script.
	Screen screen
	// Address is where a reload finds this page again, without a code in it;
	// empty where the address bar already says so.
	Address string
	// LeadsTo is the address outside of this server that a form of the page ends at, or empty.
	LeadsTo string
	// Who is signed in, or nil; Form is the token that their forms carry.
	Who  *authz.Identity
	Form string
	// News are the ways that were added to the account of late, and TakenOut tells where the
	// key that signed in was taken out of an account.
	News     []view.News
	TakenOut []authz.Departure
	Page     any
}

// show answers with a page. It is made whole before the first byte goes out, so
// that a failure is still an error page.
func (s *Screens) show(w http.ResponseWriter, r *http.Request, status int, on screen, v frame) error {
	body, err := s.made(w, r, on, v)
	if err == nil {
		sendPage(w, status, body)
	}
	return err
}

// showInTurn shows an owner a page of much that they have. It is made in the owner's turn,
// and sent after it.
func (s *Screens) showInTurn(w http.ResponseWriter, r *http.Request, who authz.Owner, on screen, gather func() (any, error)) error {
	body, err := s.door.InTurn(r, who, func() ([]byte, error) {
		page, err := gather()
		if err != nil {
			return nil, err
		}
		v, err := s.frameOf(r, who, page)
		if err != nil {
			return nil, err
		}
		return s.made(w, r, on, v)
	})
	if err != nil {
		return err
	}
	sendPage(w, http.StatusOK, body)
	return nil
}

func sendPage(w http.ResponseWriter, status int, body []byte) {
	w.WriteHeader(status)
	_, _ = w.Write(body) // a reader that has gone is told nothing
}

// made makes a page, and sets the headers that go with it.
func (s *Screens) made(w http.ResponseWriter, r *http.Request, on screen, v frame) ([]byte, error) {
	v.Words = s.words(r)
	v.Brand, v.Host, v.Screen = s.brand, s.door.URL.Host, on
	v.Issuer, v.Now = s.issuer.Identifier(), s.issuer.Now().UnixMilli()
	v.Local = v.Issuer == defaultIssuer
	v.Style, v.ScriptAddress = s.assets.Address(assets.StyleSheet), s.assets.Address(assets.Script)
	v.ScriptParts = s.assets[assets.Script].Parts
	v.Languages = messages.Links(v.Words, cmp.Or(v.Address, pathToRead(r)))
	var b bytes.Buffer
	if err := s.pages[on].ExecuteTemplate(&b, "layout.html", v); err != nil {
		return nil, err
	}
	s.rememberLanguage(w, r, v.Words)
	s.nameBrowser(w, r)
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Language", v.Lang())
	w.Header().Add("Vary", "Accept-Language, Cookie")
	w.Header().Set("Content-Security-Policy", assets.ContentSecurityPolicy(on == signInScreen || on == reviewScreen, v.LeadsTo))
	return b.Bytes(), nil
}

// pathToRead is a path at which a person finds the page at hand by a link. Of what
// was asked for only a page of ours is one: "//evil.example/x" is a path too.
func pathToRead(r *http.Request) string {
	asked := r.Method == http.MethodGet || r.Method == http.MethodHead
	for _, ours := range []string{"/device", "/account"} {
		below, found := strings.CutPrefix(r.URL.Path, ours)
		switch {
		case found && asked && (below == "" || below[0] == '/'):
			return r.URL.EscapedPath()
		case found:
			return ours
		}
	}
	return "/"
}

// frameOf is the frame of the page of somebody who is signed in.
func (s *Screens) frameOf(r *http.Request, who authz.Owner, page any) (frame, error) {
	identity, err := s.issuer.Accounts.Identity(r.Context(), who, who.BAPID)
	if err != nil {
		return frame{}, err
	}
	news, err := s.issuer.Accounts.News(r.Context(), who)
	return frame{Who: &identity, Form: s.issuer.Accounts.FormToken(who), News: view.NewsOf(news.Ways), TakenOut: news.TakenOut, Page: page}, err
}

// showAnybody answers with a page that is there for people signed in and not.
func (s *Screens) showAnybody(w http.ResponseWriter, r *http.Request, status int, on screen, page any) error {
	who, err := s.door.SessionOwner(r)
	if wire.IsUnauthorized(err) {
		return s.show(w, r, status, on, frame{Page: page})
	}
	if err != nil {
		return err
	}
	v, err := s.frameOf(r, who, page)
	if err != nil {
		return err
	}
	return s.show(w, r, status, on, v)
}
