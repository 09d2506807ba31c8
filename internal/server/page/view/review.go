package view

import (
	"net/url"
	"time"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/approval"
	"countersign.dev/internal/authz/consent"
	"countersign.dev/internal/authz/scopes"
	"countersign.dev/internal/server/page/messages"
)

// Review is everything the owner is shown before deciding: who asks, for what, and
// what is known of the device (requirements D-20, D-35, K-06).
type Review struct {
	// Code is empty where there is no device to compare it with.
	Code        string
	Transaction string
	// UserCode is what the script knows the request by.
	UserCode string
	// LeadsTo is the host that a person goes back to, or the scheme of an application's own
	// address; empty for a device.
	LeadsTo string
	// Visit leads back here when the session has ended meanwhile.
	Visit      string
	ClientName string
	ClientID   string
	Standing   string // of the client: proved, registered or unverified
	Identity   string
	BAPID      string
	Identities []IdentityChoice
	Warnings   []string
	May        []ScopeList
	Resources  []consent.Resource
	Asked      string
	Network    string // a message
	Program    string
	Origin     string
	DeviceName string
	Platform   string
	Lasts      string
	Remembered int // days for which the client will not have to ask again
	How        string
	Numbers    []string
	Letters    bool
	SignedOnly bool
	// Agent is what an agent that asks calls itself: only a command shows all that it asks.
	Agent       string
	SecondsLeft int
}

// IdentityChoice is an identity of the account. Only the session's own may act by
// the session; another has to sign with its own key (requirement L-05).
type IdentityChoice struct {
	BAPID   string
	Name    string
	Session bool
}

// standing is what is known of who asks: of a registered client's id anybody can make
// use, unless the client has something to prove itself with.
func standing(f approval.Facts) string {
	switch {
	case f.Request.ClientProved:
		return "proved"
	case f.Client.Registered:
		return "registered"
	default:
		return "unverified"
	}
}

// NewReview says the facts of a request in the words of a language. Method is how the
// session at hand began. Visit and Identities are for the caller to add.
func NewReview(say messages.Words, f approval.Facts, transaction authz.Secret, method string) (v Review, err error) {
	v = Review{
		Code: f.UserCode, UserCode: f.UserCode, Transaction: transaction.Reveal(),
		ClientName: f.Client.DisplayName(), ClientID: f.Client.ID, Standing: standing(f),
		Identity: f.Identity.DisplayName(), BAPID: f.Identity.BAPID,
		May:        mays(f),
		Resources:  f.Resources,
		Origin:     f.Request.Says.Origin,
		DeviceName: f.Request.Says.Name, Platform: f.Request.Says.Platform,
		Numbers: f.Numbers, Letters: f.Match == approval.MatchLetters, SignedOnly: f.Request.SignatureRequired || f.Agent != nil,
		Remembered: int(f.Remembered / (24 * time.Hour)),
		Network:    networkMessages[f.Network], SecondsLeft: int(f.Left / time.Second),
	}
	if f.Agent != nil {
		v.Agent, v.Numbers, v.Letters = f.Request.Asked.Agent.Name, nil, false
	}
	if f.Request.ByRedirect() {
		v.Code, v.LeadsTo = "", whereTo(f.Request.Redirect.URI)
	}
	if v.Program, err = say.Program(f.Request.Seen.UserAgent); err != nil {
		return v, err
	}
	if v.Asked, err = say.Ago(f.Age); err != nil {
		return v, err
	}
	if v.Lasts, err = say.Lasts(f.Lasts, f.Renewed, !f.Request.ByRedirect()); err != nil {
		return v, err
	}
	if v.Warnings, err = warnings(say, f); err != nil {
		return v, err
	}
	how := "review.by-session"
	if method == authz.MethodPasskey {
		how = "review.by-passkey"
	}
	v.How, err = say.A(how)
	return v, err
}

// ScopeList is a part of what a client asks for, under a title; what was allowed before is folded.
type ScopeList struct {
	Title  string // a message
	Folded bool
	Scopes []Scope
}

// mays are all that a client asks for, or what is new and what was allowed before (requirement
// S-09).
func mays(f approval.Facts) []ScopeList {
	if f.Before == "" {
		return []ScopeList{{"review.may", false, Scopes(f.Request.Scope)}}
	}
	return []ScopeList{{"review.may-new", false, Scopes(scopes.Without(f.Request.Scope, f.Before))}, {"review.before", true, Scopes(f.Before)}}
}

// whereTo is what of a redirect URI tells a person where it leads (requirement Z-03).
func whereTo(uri string) string {
	u, err := url.Parse(uri)
	switch {
	case err != nil:
		return ""
	case u.Host == "":
		return u.Scheme + ":"
	default:
		return u.Host
	}
}

// warnings tell what a client could be taken for, and what others reported today
// (attack B-01).
func warnings(say messages.Words, f approval.Facts) (said []string, err error) {
	imitation := ""
	switch {
	case f.Imitates.Name != "":
		imitation, err = say.A("review.imitates", "name", f.Imitates.Name)
	case f.Imitates.Server:
		imitation, err = say.A("review.imitates-server")
	}
	if err != nil {
		return nil, err
	}
	if imitation != "" {
		said = append(said, imitation)
	}
	for _, about := range []struct {
		message string
		n       int
	}{{"review.reported-client", f.Reports.Client}, {"review.reported-network", f.Reports.Network}} {
		if about.n == 0 {
			continue
		}
		text, err := say.N(about.message, about.n)
		if err != nil {
			return nil, err
		}
		said = append(said, text)
	}
	return said, nil
}

var networkMessages = map[approval.NetworkDistance]string{
	approval.NetworkSame: "network.same", approval.NetworkOther: "network.distant", approval.NetworkUnknown: "network.unknown",
}
