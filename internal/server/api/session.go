package api

import (
	"errors"
	"net/http"
	"slices"
	"time"

	"countersign.dev/bitcoinauth"
	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/account"
	"countersign.dev/internal/server/owners"
	"countersign.dev/internal/server/wire"
)

// sessionView is one of the owner's sessions; times in Unix seconds.
type sessionView struct {
	ID string `json:"id"`
	// Current is whether the request came from this one.
	Current   bool   `json:"current"`
	Method    string `json:"method"`
	BAPID     string `json:"bap_id"`
	Network   string `json:"network,omitempty"`
	UserAgent string `json:"user_agent,omitempty"`
	CreatedAt int64  `json:"created_at"`
	ExpiresAt int64  `json:"expires_at"`
}

// Sessions lists where the owner is signed in.
func (a *API) Sessions(r *http.Request, who authz.Owner) (any, error) {
	list, err := a.issuer.Accounts.Sessions(r.Context(), who)
	if err != nil {
		return nil, err
	}
	views := make([]sessionView, len(list))
	for i, n := range list {
		views[i] = sessionView{
			ID: n.ID, Current: n.ID == who.SessionID, Method: n.Method, BAPID: n.BAPID, Network: n.Network, UserAgent: n.UserAgent,
			CreatedAt: n.CreatedAt.Unix(), ExpiresAt: n.ExpiresAt.Unix(),
		}
	}
	return map[string]any{"sessions": views}, nil
}

// first is the session that a sign-in in the same browser replaces.
func first(tokens []authz.Secret) authz.Secret {
	if len(tokens) == 0 {
		return ""
	}
	return tokens[0]
}

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

// SignIn signs in with a member key (contract, section 3).
func (a *API) SignIn(w http.ResponseWriter, r *http.Request) error {
	p, err := wire.DecodeJSON(r)
	if err != nil {
		return err
	}
	if r.Header.Get(bitcoinauth.Header) == "" {
		return &authz.Error{Code: authz.Unauthorized, Description: "X-Auth-Token is missing: sign the request with your identity's member key"}
	}
	in, err := a.signIn(r, p)
	if err != nil {
		return err
	}
	signedIn, err := a.issuer.Accounts.SignIn(r.Context(), in)
	if err != nil {
		return err
	}
	return a.signedIn(w, signedIn)
}

// signIn is a sign-in with its signature, which is for this server if it names one.
func (a *API) signIn(r *http.Request, p *wire.Params) (in account.SignInRequest, err error) {
	in = account.SignInRequest{BAPID: p.Text("bapId"), Seen: a.door.Seen(r), Replaces: first(a.door.SessionTokens(r))}
	in.SignedRequest, err = a.gate.Signature(r, p)
	if errors.Is(err, wire.ErrForAnother) {
		err = &authz.Error{Code: authz.Unauthorized, Description: "this sign-in is for another server: sign one whose aud is " + a.issuer.Identifier()}
	}
	return in, err
}

// SignInPath is what the X-Auth-Token of a sign-in is for, and of a sign-up, which is signed
// for itself by another header.
const (
	SignInPath  = "/api/auth/sign-in/sigma"
	proofHeader = "X-Sigma-Enrollment-Proof"
)

// SignUp makes the account of a member key, if it has none, and signs in (contract, section 3).
func (a *API) SignUp(w http.ResponseWriter, r *http.Request) error {
	p, err := wire.DecodeJSON(r)
	if err != nil {
		return err
	}
	intent := p.Text("intent")
	in, err := a.signIn(r, p)
	switch {
	case err != nil:
		return err
	case intent != "sign-up":
		return &authz.Error{Code: authz.InvalidRequest, Description: "intent must be sign-up: to sign in, use " + SignInPath}
	case r.Header.Get(proofHeader) == "":
		return &authz.Error{Code: authz.Unauthorized, Description: proofHeader + " is missing: sign this path and body in it, as X-Auth-Token signs " + SignInPath + " without a body"}
	}
	proof := in.SignedRequest
	proof.Token = r.Header.Get(proofHeader)
	in.Proof, in.Path, in.Body = &proof, SignInPath, nil
	signedIn, err := a.issuer.Accounts.SignIn(r.Context(), in)
	if err != nil {
		return err
	}
	return a.signedIn(w, signedIn)
}

// signedIn answers a sign-in, by whatever means, with the session's cookie.
func (a *API) signedIn(w http.ResponseWriter, signedIn account.SignedIn) error {
	a.door.SetCookie(w, a.door.Cookies.Session, signedIn.Token.Reveal(), signedIn.Session.ExpiresAt.Sub(a.issuer.Now()))
	return wire.WriteJSON(w, struct {
		User  user      `json:"user"`
		Token string    `json:"token"`
		News  []wayView `json:"newWays,omitempty"`
		// TakenOut tells where the key that signed in was taken out of an account.
		TakenOut []departureView `json:"takenOut,omitempty"`
	}{newUser(signedIn.Identity), signedIn.Token.Reveal(), newWayViews(signedIn.News.Ways), newDepartureViews(signedIn.News.TakenOut)})
}

// wayView is a way that was added to the account of late.
type wayView struct {
	Kind    account.WayKind `json:"kind"`
	ID      string          `json:"id"`
	BAPID   string          `json:"bapId"`
	Name    string          `json:"name,omitempty"`
	AddedAt time.Time       `json:"addedAt"`
	Network string          `json:"network,omitempty"`
}

func newWayViews(ways []account.Way) []wayView {
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

// GetSession says who is signed in, or null.
func (a *API) GetSession(w http.ResponseWriter, r *http.Request) error {
	tokens := a.door.SessionTokens(r)
	session, identity, err := a.issuer.Accounts.Session(r.Context(), tokens...)
	if wire.IsUnauthorized(err) {
		return wire.WriteJSON(w, nil)
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
	return wire.WriteJSON(w, struct {
		Session sessionView `json:"session"`
		User    user        `json:"user"`
	}{
		sessionView{session.ID, session.AccountID, token.Reveal(), session.CreatedAt.UTC(), session.ExpiresAt.UTC()},
		newUser(identity),
	})
}

// SignOut is sign-out for scripts.
func (a *API) SignOut(w http.ResponseWriter, r *http.Request) error {
	if err := a.door.ForgetSession(w, r); err != nil {
		return err
	}
	return wire.WriteJSON(w, owners.Success{Success: true})
}
