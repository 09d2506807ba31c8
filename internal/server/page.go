package server

import (
	"embed"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"net/url"
	"strings"
	"time"

	"countersign.dev/internal/authz"
)

//go:embed templates/*.html
var templateFiles embed.FS

//go:embed assets/*
var assetFiles embed.FS

// pages are the HTML answers, one template each inside one layout.
type pages struct {
	home, enter, signIn, review, done, problem *pageTemplate
}

type pageTemplate struct{ t *template.Template }

func newPages() (*pages, error) {
	var p pages
	for name, into := range map[string]**pageTemplate{
		"home": &p.home, "enter": &p.enter, "signin": &p.signIn, "review": &p.review, "done": &p.done, "problem": &p.problem,
	} {
		t, err := template.ParseFS(templateFiles, "templates/layout.html", "templates/"+name+".html")
		if err != nil {
			return nil, err
		}
		*into = &pageTemplate{t}
	}
	return &p, nil
}

// write answers with the page. It is made whole before the first byte goes out,
// so that a failure is still an error page.
func (p *pageTemplate) write(w http.ResponseWriter, status int, v view) error {
	var b strings.Builder
	if err := p.t.ExecuteTemplate(&b, "layout.html", v); err != nil {
		return err
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(b.String())) // a reader that has gone is told nothing
	return nil
}

// view is what every page gets.
type view struct {
	// Host is printed so that a person can compare it with the address bar.
	Host string
	Page any
}

func (s *Server) view(_ *http.Request, page any) view { return view{Host: s.issuer.Host, Page: page} }

type homeView struct{}

// enterView is the form for a user code.
type enterView struct {
	Code string // filled in from a link
}

// enterPage is GET /device: where a person enters the code (RFC 8628 §3.3). A
// link may fill it in; it never does more than that.
func (s *Server) enterPage(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	code, other := q.Get("code"), q.Get("user_code")
	if code == "" {
		code = other
	}
	if other != "" && other != code {
		return &authz.Error{Code: authz.InvalidRequest, Description: "this link carries two different codes: enter the one your device shows"}
	}
	v := enterView{}
	if parsed, ok := authz.ParseUserCode(code); ok {
		v.Code = parsed
	}
	return s.pages.enter.write(w, http.StatusOK, s.view(r, v))
}

// form reads a form of one of our own pages. Checkboxes of one name become one
// value with spaces, which is how a scope is written.
func form(r *http.Request) (*params, error) {
	raw, err := readBody(r)
	if err != nil {
		return nil, err
	}
	if !strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded") {
		return nil, errMediaType
	}
	fields, err := url.ParseQuery(string(raw))
	if err != nil {
		return nil, &authz.Error{Code: authz.InvalidRequest, Description: "this form cannot be read: go back and send it again", Cause: err}
	}
	p := &params{values: map[string]string{}}
	for name, values := range fields {
		p.values[name] = strings.Join(values, " ")
	}
	return p, nil
}

type signInView struct {
	Code   string
	Issuer string
	Local  bool // the command's default server is this one
}

// reviewPage is POST /device: the request is opened for whoever is signed in, and
// shown.
func (s *Server) reviewPage(w http.ResponseWriter, r *http.Request) error {
	p, err := form(r)
	if err != nil {
		return err
	}
	typed := p.text("code")
	who, err := s.sessionOwner(r)
	if isUnauthorized(err) {
		code, _ := authz.ParseUserCode(typed)
		return s.pages.signIn.write(w, http.StatusUnauthorized, s.view(r, signInView{
			Code: code, Issuer: s.authz.Issuer(), Local: s.authz.Issuer() == defaultIssuer,
		}))
	}
	if err != nil {
		return err
	}
	asker, err := s.provedAsker(r, who, p.text("proof"), typed)
	if err != nil {
		return err
	}
	facts, transaction, err := s.authz.StartReview(r.Context(), who, asker, typed)
	if errors.Is(err, authz.AlreadyDecided) { // by this very person: somebody else's is foreign
		http.Redirect(w, r, "/device/done/"+facts.Request.ID, http.StatusSeeOther)
		return nil
	}
	if err != nil {
		return samePageForEveryCode(err)
	}
	return s.pages.review.write(w, http.StatusOK, s.view(r, newReviewView(facts, transaction)))
}

// defaultIssuer is where the command line looks when it is told nothing.
const defaultIssuer = "http://localhost:8628"

// samePageForEveryCode hides what is wrong with a code: unknown, expired, used
// and somebody else's codes look alike (attack B-17).
func samePageForEveryCode(err error) error {
	for _, code := range []authz.Code{authz.InvalidRequest, authz.ExpiredToken, authz.Forbidden, authz.AlreadyDecided} {
		if errors.Is(err, code) {
			return &authz.Error{Code: authz.InvalidRequest, Description: noUse, Cause: err}
		}
	}
	return err
}

const noUse = "this code cannot be used: check it against your device, or start again there for a new one"

// reviewView is everything the owner is shown before deciding.
type reviewView struct {
	Code        string
	Transaction string
	ClientName  string
	ClientID    string
	Verified    bool
	Identity    string
	BAPID       string
	Scopes      []authz.ScopeText
	Asked       string
	Network     string
	UserAgent   string
	Origin      string
	DeviceName  string
	Platform    string
	Lasts       string
	Numbers     []string
	Letters     bool
	SignedOnly  bool
}

func newReviewView(f authz.Facts, transaction authz.Secret) reviewView {
	v := reviewView{
		Code: f.UserCode, Transaction: transaction.Reveal(),
		ClientName: f.Client.DisplayName(), ClientID: f.Client.ID, Verified: f.Client.Registered,
		Identity: f.Identity.DisplayName(), BAPID: f.Identity.BAPID,
		Scopes: authz.DescribeScopes(f.Request.Scope), Asked: ago(f.Age),
		UserAgent: f.Request.Seen.UserAgent, Origin: f.Request.Seen.Origin,
		DeviceName: f.Request.Says.Name, Platform: f.Request.Says.Platform,
		Numbers: f.Numbers, Letters: f.Match == authz.MatchLetters, SignedOnly: f.Request.SignatureRequired,
		Lasts: inWords(f.Lasts) + ", then it has to ask again",
	}
	if f.Renewed {
		v.Lasts = "until you take it back, " + inWords(f.Lasts) + " at most"
	}
	switch f.Network {
	case authz.NetworkSame:
		v.Network = "the same network as you"
	case authz.NetworkOther:
		v.Network = "another network than yours"
	default:
		v.Network = "an unknown network"
	}
	return v
}

// inWords is a length of time in words, in the largest unit that fits.
func inWords(d time.Duration) string {
	const day = 24 * time.Hour
	for _, unit := range []struct {
		length time.Duration
		name   string
	}{{day, "day"}, {time.Hour, "hour"}, {time.Minute, "minute"}, {time.Second, "second"}} {
		switch n := int(d / unit.length); {
		case n == 1:
			return "1 " + unit.name
		case n > 1:
			return fmt.Sprintf("%d %ss", n, unit.name)
		}
	}
	return "no time"
}

// ago is a length of time in words, coarse.
func ago(d time.Duration) string {
	switch {
	case d < 2*time.Second:
		return "just now"
	case d < 2*time.Minute:
		return fmt.Sprintf("%d seconds ago", int(d.Seconds()))
	default:
		return fmt.Sprintf("%d minutes ago", int(d.Minutes()))
	}
}

// decide is POST /device/decide: one decision of one review.
func (s *Server) decide(w http.ResponseWriter, r *http.Request) error {
	p, err := form(r)
	if err != nil {
		return err
	}
	who, err := s.sessionOwner(r)
	if err != nil {
		return err
	}
	requestID, err := s.authz.DecideReview(r.Context(), who, s.asker(r, who), authz.ReviewDecision{
		Transaction: authz.Secret(p.text("transaction")),
		Approve:     p.text("decision") == "approve", Report: p.text("decision") == "report",
		Scope: p.text("scope"), Match: p.text("match"),
	})
	if err != nil && (requestID == "" || !s.isOutcome(r, who, requestID)) {
		return samePageForEveryCode(err)
	}
	http.Redirect(w, r, "/device/done/"+requestID, http.StatusSeeOther)
	return nil
}

// isOutcome reports whether a request was decided after all: by this very
// decision when the number did not match, or in another tab before.
func (s *Server) isOutcome(r *http.Request, who authz.Owner, requestID string) bool {
	_, err := s.authz.Outcome(r.Context(), who, requestID)
	return err == nil
}

// donePage is GET /device/done/{id}: what was decided, and how to undo it.
func (s *Server) donePage(w http.ResponseWriter, r *http.Request) error {
	who, err := s.sessionOwner(r)
	if err != nil {
		return err
	}
	outcome, err := s.authz.Outcome(r.Context(), who, r.PathValue("id"))
	if err != nil {
		return err
	}
	v := doneView{ID: outcome.ID, ClientName: s.clientName(r, outcome.ClientID), Approved: outcome.Approved}
	if grant := outcome.Grant; v.Approved {
		v.Revoked = !grant.RevokedAt.IsZero()
		v.Alive = outcome.Alive
		v.Scopes = authz.DescribeScopes(grant.Scope)
		v.Until = grant.ExpiresAt.UTC().Format("2 January 2006, 15:04 UTC")
	}
	return s.pages.done.write(w, http.StatusOK, s.view(r, v))
}

type doneView struct {
	ID         string
	ClientName string
	Approved   bool
	Revoked    bool
	Alive      bool
	Scopes     []authz.ScopeText
	Until      string
}

// undo is POST /device/done/{id}/undo: one click takes the grant back.
func (s *Server) undo(w http.ResponseWriter, r *http.Request) error {
	who, err := s.sessionOwner(r)
	if err != nil {
		return err
	}
	id := r.PathValue("id")
	if err := s.authz.RevokeGrant(r.Context(), who, id); err != nil {
		return err
	}
	http.Redirect(w, r, "/device/done/"+id, http.StatusSeeOther)
	return nil
}

// problemView is an error for a person: what happened, and the next step.
type problemView struct {
	What string
	Next string
}

// errorPage says an error to a person: one sentence, and the next step.
func (s *Server) errorPage(w http.ResponseWriter, r *http.Request, status int, refusal *authz.Error) {
	what, next, found := strings.Cut(refusal.Description, ": ")
	if !found {
		next = "go back to your device and start again"
	}
	v := problemView{What: sentence(what), Next: sentence(next)}
	if err := s.pages.problem.write(w, status, s.view(r, v)); err != nil {
		s.log.Error("error page failed", "error", err)
		http.Error(w, v.What, status)
	}
}

func sentence(s string) string {
	if s == "" {
		return ""
	}
	return strings.ToUpper(s[:1]) + s[1:] + "."
}

// asset serves the style sheet.
func (s *Server) asset(w http.ResponseWriter, r *http.Request) error {
	b, err := fs.ReadFile(assetFiles, "assets/"+r.PathValue("file"))
	if err != nil {
		return &authz.Error{Code: authz.NotFound, Description: "there is no such page: check the address"}
	}
	w.Header().Set("Content-Type", "text/css; charset=utf-8")
	w.Header().Set("Cache-Control", "public, max-age=3600")
	_, _ = w.Write(b) // a reader that has gone is told nothing
	return nil
}
