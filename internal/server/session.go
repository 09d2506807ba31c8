package server

import (
	"errors"
	"net/http"
	"slices"
	"time"

	"countersign.dev/bitcoinauth"
	"countersign.dev/internal/authz"
)

// How many cookies of a request are tried as a session, each of which is a look into
// the database: of our own name, and of the name that others know. Browsers send those
// with a longer path first, and without https another port of this host may set as many
// of ours as it likes: a handful of them must not hide the one that counts.
const (
	mostOwn   = 32
	mostKnown = 4
)

// sessionCookies are the cookies of a request that may be a session of this server,
// the likeliest first: its own, then those under the name that better-auth clients
// know. That one is shared with every other server on this host, on any port, so
// that it is read only, and only where it could be ours (decision 0029).
func (s *Server) sessionCookies(r *http.Request) []*http.Cookie {
	known := r.CookiesNamed(s.cookieNames.known)
	known = slices.DeleteFunc(known, func(c *http.Cookie) bool { return !authz.SessionToken(c.Value) })
	own := r.CookiesNamed(s.cookieNames.session)
	return append(own[:min(len(own), mostOwn)], known[:min(len(known), mostKnown)]...)
}

// sessionTokens are those of them that count. Of a browser, which says where a request
// comes from, only what bears our own name does: the known name may have been set by
// another host of the domain. Programs that send it set it themselves.
func (s *Server) sessionTokens(r *http.Request) (tokens []authz.Secret) {
	byBrowser := r.Header.Get("Sec-Fetch-Site") != ""
	for _, cookie := range s.sessionCookies(r) {
		if cookie.Name == s.cookieNames.session || !byBrowser {
			tokens = append(tokens, authz.Secret(cookie.Value))
		}
	}
	return tokens
}

// first is the session that a sign-in in the same browser replaces.
func first(tokens []authz.Secret) authz.Secret {
	if len(tokens) == 0 {
		return ""
	}
	return tokens[0]
}

// sessionOwner returns the owner whose session cookie a request carries.
func (s *Server) sessionOwner(r *http.Request) (authz.Owner, error) {
	who, err := s.authz.SessionOwner(r.Context(), s.sessionTokens(r)...)
	who.Seen = s.seen(r)
	return who, err
}

// authenticateSession is sessionOwner for a request that is to do something.
func (s *Server) authenticateSession(r *http.Request, does authz.Deed) (authz.Owner, error) {
	who, err := s.sessionOwner(r)
	if err != nil {
		return who, err
	}
	return who, s.authz.Admit(who, s.source(r), does)
}

// authenticate returns who sent a request that is to do something: whoever signed it, else
// whose session it carries. Call it when every member of the body has been asked for.
func (s *Server) authenticate(r *http.Request, p *params, does authz.Deed) (authz.Owner, error) {
	signed, err := s.signedRequest(r, p)
	if err != nil {
		return authz.Owner{}, err
	}
	if signed == nil {
		return s.authenticateSession(r, does)
	}
	signed.Does = does
	who, err := s.authz.SignedOwner(r.Context(), *signed)
	who.Seen = s.seen(r)
	return who, err
}

// authenticateForGrants is authenticate for a request about an account's grants, which a program may send
// that has an access token with the grants scope. The token is in the header: the body is
// the endpoint's own.
func (s *Server) authenticateForGrants(r *http.Request, p *params, does authz.Deed) (authz.Owner, error) {
	token, ok := bearerInHeader(r)
	if !ok || r.Header.Get(bitcoinauth.Header) != "" {
		return s.authenticate(r, p, does)
	}
	owner, err := s.authz.TokenOwner(r.Context(), token)
	if err != nil {
		return owner, err
	}
	owner.Seen = s.seen(r)
	return owner, s.authz.Admit(owner, s.source(r), does)
}

// authenticateStop is authenticate for what stops something, by a body that says nothing.
func (s *Server) authenticateStop(r *http.Request) (authz.Owner, error) {
	p, err := decodeJSON(r)
	if err != nil {
		return authz.Owner{}, err
	}
	return s.authenticate(r, p, authz.Stops)
}

// signature is signedRequest where a key is added to the account of a session: a
// signature must be there.
func (s *Server) signature(r *http.Request, p *params) (authz.SignedRequest, error) {
	signed, err := s.signedRequest(r, p)
	if err != nil {
		return authz.SignedRequest{}, err
	}
	if signed == nil {
		return authz.SignedRequest{}, errNoSignature
	}
	return *signed, nil
}

var errNoSignature = &authz.Error{
	Code: authz.Unauthorized, Description: "X-Auth-Token is missing: sign the request with the member key of the identity that it is about",
}

func isUnauthorized(err error) bool { return errors.Is(err, authz.Unauthorized) }

// user is a signed-in person as better-auth clients know one.
type user struct {
	ID     string  `json:"id"`
	Name   string  `json:"name"`
	Email  *string `json:"email"` // never known to this server
	Image  *string `json:"image"`
	BAPID  string  `json:"bapId"`
	Pubkey string  `json:"pubkey"`
}

func newUser(i authz.Identity) user {
	u := user{ID: i.AccountID, Name: i.DisplayName(), BAPID: i.BAPID, Pubkey: i.MemberKey}
	if i.Profile.Picture != "" {
		u.Image = &i.Profile.Picture
	}
	return u
}

// signIn signs in with a member key (contract, section 3).
func (s *Server) signIn(w http.ResponseWriter, r *http.Request) error {
	p, err := decodeJSON(r)
	if err != nil {
		return err
	}
	if r.Header.Get(bitcoinauth.Header) == "" {
		return &authz.Error{Code: authz.Unauthorized, Description: "X-Auth-Token is missing: sign the request with your identity's member key"}
	}
	in := authz.SignInRequest{BAPID: p.text("bapId"), Seen: s.seen(r), Replaces: first(s.sessionTokens(r))}
	in.SignedRequest, err = s.signature(r, p)
	if errors.Is(err, errForAnother) {
		return &authz.Error{Code: authz.Unauthorized, Description: "this sign-in is for another server: sign one whose aud is " + s.authz.Issuer()}
	}
	if err != nil {
		return err
	}
	signedIn, err := s.authz.SignIn(r.Context(), in)
	if err != nil {
		return err
	}
	return s.signedIn(w, signedIn)
}

// signedIn answers a sign-in, by whatever means, with the session's cookie.
func (s *Server) signedIn(w http.ResponseWriter, signedIn authz.SignedIn) error {
	s.setCookie(w, s.cookieNames.session, signedIn.Token.Reveal(), signedIn.Session.ExpiresAt.Sub(s.authz.Now()))
	return writeJSON(w, struct {
		User  user      `json:"user"`
		Token string    `json:"token"`
		News  []wayView `json:"newWays,omitempty"`
		// TakenOut tells where the key that signed in was taken out of an account.
		TakenOut []departureView `json:"takenOut,omitempty"`
	}{newUser(signedIn.Identity), signedIn.Token.Reveal(), newWayViews(signedIn.News.Ways), newDepartureViews(signedIn.News.TakenOut)})
}

// wayView is a way that was added to the account of late.
type wayView struct {
	Kind    authz.WayKind `json:"kind"`
	ID      string        `json:"id"`
	BAPID   string        `json:"bapId"`
	Name    string        `json:"name,omitempty"`
	AddedAt time.Time     `json:"addedAt"`
	Network string        `json:"network,omitempty"`
}

func newWayViews(ways []authz.Way) []wayView {
	views := make([]wayView, len(ways))
	for i, w := range ways {
		views[i] = wayView{w.Kind, w.ID, w.BAPID, w.Name, w.AddedAt.UTC(), w.Network}
	}
	return views
}

// departureView is an account that the key was taken out of.
type departureView struct {
	UserID  string    `json:"userId"`
	LeftAt  time.Time `json:"leftAt"`
	By      string    `json:"by"`
	Network string    `json:"network,omitempty"`
}

func newDepartureViews(departures []authz.Departure) []departureView {
	views := make([]departureView, len(departures))
	for i, d := range departures {
		views[i] = departureView{d.AccountID, d.LeftAt.UTC(), d.By, d.Network}
	}
	return views
}

// getSession says who is signed in, or null.
func (s *Server) getSession(w http.ResponseWriter, r *http.Request) error {
	tokens := s.sessionTokens(r)
	session, identity, err := s.authz.Session(r.Context(), tokens...)
	if isUnauthorized(err) {
		return writeJSON(w, nil)
	}
	if err != nil {
		return err
	}
	token := tokens[slices.IndexFunc(tokens, func(t authz.Secret) bool { return t.Hash() == session.Token })]
	type sessionView struct {
		ID        string    `json:"id"`
		UserID    string    `json:"userId"`
		Token     string    `json:"token"`
		CreatedAt time.Time `json:"createdAt"`
		ExpiresAt time.Time `json:"expiresAt"`
	}
	return writeJSON(w, struct {
		Session sessionView `json:"session"`
		User    user        `json:"user"`
	}{
		sessionView{session.ID, session.AccountID, token.Reveal(), session.CreatedAt.UTC(), session.ExpiresAt.UTC()},
		newUser(identity),
	})
}

// signOut is sign-out for scripts.
func (s *Server) signOut(w http.ResponseWriter, r *http.Request) error {
	if err := s.forgetSession(w, r); err != nil {
		return err
	}
	return writeJSON(w, success{Success: true})
}

// forgetSession ends the sessions of a request, if it has any, and takes their
// cookies. A cookie that is no session of ours is left to whoever set it.
func (s *Server) forgetSession(w http.ResponseWriter, r *http.Request) error {
	taken := map[string]bool{s.cookieNames.session: true}
	for _, cookie := range s.sessionCookies(r) {
		err := s.authz.SignOut(r.Context(), authz.Secret(cookie.Value))
		if err != nil && !isUnauthorized(err) {
			return err
		}
		taken[cookie.Name] = taken[cookie.Name] || err == nil
	}
	for name, ours := range taken {
		if ours {
			s.setCookie(w, name, "", -time.Second)
		}
	}
	return nil
}
