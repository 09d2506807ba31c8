package page

import (
	"errors"
	"net/http"
	"slices"
	"time"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/approval"
	"countersign.dev/internal/authz/scopes"
	"countersign.dev/internal/server/page/messages"
	"countersign.dev/internal/server/wire"
)

// Review is GET /device/request/{visit}: where a person is with a code. One
// address serves the whole way, so that a reload, the back button, a sign-in in
// between and a restart of the server lose nothing.
func (s *Screens) Review(w http.ResponseWriter, r *http.Request) error {
	visit := r.PathValue("visit")
	code, opener, err := s.issuer.Approvals.VisitCode(visit)
	if err != nil {
		return err
	}
	who, err := s.door.SessionOwner(r)
	if wire.IsUnauthorized(err) {
		return s.signInPage(w, r, visit, code)
	}
	if err != nil {
		return err
	}
	// Only what this very account has opened is looked up: a GET may be anybody's link
	// (decision 0027).
	if opener != who.AccountID {
		return s.continuePage(w, r, who, visit, code)
	}
	facts, transaction, err := s.issuer.Approvals.Review(r.Context(), who, s.issuer.Approvals.Returning(who, s.door.Asker(r, who), visit), code)
	switch {
	case errors.Is(err, authz.AlreadyDecided): // by this very person: somebody else's is foreign
		return seeOther(w, r, "/device/done/"+facts.Request.ID)
	case err != nil:
		return s.notOpened(w, r, code, err)
	}
	identities, err := s.issuer.Accounts.Identities(r.Context(), who)
	if err != nil {
		return err
	}
	say := s.words(r)
	page, err := newReviewView(say, facts, transaction, who.Method)
	if err != nil {
		return err
	}
	for _, i := range identities {
		page.Identities = append(page.Identities, identityChoice{i.BAPID, i.DisplayName(), i.BAPID == who.BAPID})
	}
	mistake := ""
	switch asked := r.URL.Query(); {
	case asked.Has(nothingChosen):
		mistake = "review.nothing-chosen"
	case asked.Has(mistyped):
		mistake = "review.mistyped"
	}
	if mistake != "" {
		text, err := say.A(mistake)
		if err != nil {
			return err
		}
		page.Warnings = append(page.Warnings, text)
	}
	page.Visit = visit
	v, err := s.viewOf(r, who, page)
	if err != nil {
		return err
	}
	return s.show(w, r, http.StatusOK, reviewScreen, v)
}

// reviewView is everything the owner is shown before deciding: who asks, for what, and
// what is known of the device (requirements D-20, D-35, K-06).
type reviewView struct {
	Code        string
	Transaction string
	// Visit leads back here when the session has ended meanwhile.
	Visit       string
	ClientName  string
	ClientID    string
	Standing    string // of the client: proved, registered or unverified
	Identity    string
	BAPID       string
	Identities  []identityChoice
	Warnings    []string
	Scopes      []scopeView
	Asked       string
	Network     string // a message
	Program     string
	Origin      string
	DeviceName  string
	Platform    string
	Lasts       string
	How         string
	Numbers     []string
	Letters     bool
	SignedOnly  bool
	SecondsLeft int
}

// identityChoice is an identity of the account. Only the session's own may act by
// the session; another has to sign with its own key (requirement L-05).
type identityChoice struct {
	BAPID   string
	Name    string
	Session bool
}

// scopeView is a scope in words: messages of the catalogue.
type scopeView struct {
	Scope         string
	Message       string
	Short         string
	Weight        string
	WeightMessage string
	// Optional scopes can be unticked. All are ticked: what does more than read only
	// clients may ask for that the operator has looked at.
	Optional bool
}

func scopeViews(scope string) []scopeView {
	var views []scopeView
	for _, t := range scopes.Describe(scope) {
		v := scopeView{
			Scope: t.Scope, Message: "scope." + t.Scope + ".text", Short: "scope." + t.Scope + ".short",
			Weight: t.Weight, WeightMessage: "weight." + t.Weight, Optional: t.Optional,
		}
		if t.Named {
			v.Message, v.Short = "scope.named.text", "scope.named.short"
		}
		views = append(views, v)
	}
	return views
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

func newReviewView(say messages.Words, f approval.Facts, transaction authz.Secret, method string) (v reviewView, err error) {
	v = reviewView{
		Code: f.UserCode, Transaction: transaction.Reveal(),
		ClientName: f.Client.DisplayName(), ClientID: f.Client.ID, Standing: standing(f),
		Identity: f.Identity.DisplayName(), BAPID: f.Identity.BAPID,
		Scopes:     scopeViews(f.Request.Scope),
		Origin:     f.Request.Says.Origin,
		DeviceName: f.Request.Says.Name, Platform: f.Request.Says.Platform,
		Numbers: f.Numbers, Letters: f.Match == approval.MatchLetters, SignedOnly: f.Request.SignatureRequired,
		Network: networkMessages[f.Network], SecondsLeft: int(f.Left / time.Second),
	}
	if v.Program, err = say.Program(f.Request.Seen.UserAgent); err != nil {
		return v, err
	}
	if v.Asked, err = say.Ago(f.Age); err != nil {
		return v, err
	}
	if v.Lasts, err = say.Lasts(f.Lasts, f.Renewed); err != nil {
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

var errNoDecision = &authz.Error{Code: wire.CodeForm, Description: "decision must be approve, deny or report"}

// Decide is POST /device/decide: one decision of one review.
func (s *Screens) Decide(w http.ResponseWriter, r *http.Request) error {
	p, err := wire.DecodeForm(r)
	if err != nil {
		return err
	}
	visit := p.Text("visit")
	if _, _, err := s.issuer.Approvals.VisitCode(visit); err != nil {
		visit = "" // leads back nowhere
	}
	decision, does := p.Text("decision"), authz.Changes
	if decision != "approve" {
		does = authz.Stops
	}
	who, err := s.door.AuthenticateSession(r, does)
	if wire.IsUnauthorized(err) && visit != "" {
		return seeOther(w, r, visitAddress(visit))
	}
	if err != nil {
		return err
	}
	if !slices.Contains([]string{"approve", "deny", "report"}, decision) {
		return errNoDecision // nobody's silence denies
	}
	requestID, err := s.issuer.Approvals.Decide(r.Context(), who, s.door.Asker(r, who), approval.ReviewDecision{
		Transaction: authz.Secret(p.Text("transaction")), Approve: decision == "approve", Report: decision == "report",
		Scope: p.Text("scope"), Match: p.Text("match"), BAPID: p.Text("identity"),
	})
	decided := err == nil
	if err != nil && requestID != "" {
		// It was decided after all: by this very decision when the number did not match,
		// or in another tab before.
		switch _, unknown := s.issuer.Approvals.Outcome(r.Context(), who, requestID); {
		case unknown == nil:
			decided = true
		case !errors.Is(unknown, authz.NotFound):
			return unknown
		}
	}
	switch {
	case decided:
		return seeOther(w, r, "/device/done/"+requestID)
	case visit != "" && errors.Is(err, authz.InvalidScope):
		return seeOther(w, r, visitAddress(visit)+"?"+nothingChosen)
	case visit != "" && errors.Is(err, authz.Mistyped):
		return seeOther(w, r, visitAddress(visit)+"?"+mistyped)
	case visit != "" && errors.Is(err, authz.ReviewOver): // read too long, or it has changed: read it again
		return seeOther(w, r, visitAddress(visit))
	default:
		return s.notOpened(w, r, "", err)
	}
}

// What a review's address says to a person who left nothing ticked, or entered what no
// device shows.
const (
	nothingChosen = "nothing-chosen"
	mistyped      = "mistyped"
)

// seeOther leads on to an address of our own, with 303 (requirements Z-19, Z-23, attack
// B-06).
func seeOther(w http.ResponseWriter, r *http.Request, address string) error {
	http.Redirect(w, r, address, http.StatusSeeOther)
	return nil
}
