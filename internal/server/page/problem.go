package page

import (
	"net/http"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/server/page/view"
	"countersign.dev/internal/server/wire"
)

// problem names the messages of a refusal.
type problem struct{ what, next string }

// Problems says every code to a person. A test wants a row for each code that a
// page can meet; what has none is our own failure.
var Problems = map[authz.Code]problem{
	authz.InvalidRequest:    {"enter.no-use", "problem.start-again"},
	authz.InvalidScope:      {"problem.what-form", "problem.go-back"},
	authz.NotACode:          {"enter.not-a-code", "problem.enter-again"},
	authz.ExpiredToken:      {"enter.no-use", "problem.start-again"},
	authz.AlreadyDecided:    {"enter.no-use", "problem.start-again"},
	authz.NotOpened:         {"problem.what-over", "problem.enter-again"},
	authz.ReviewOver:        {"problem.what-over", "problem.enter-again"},
	authz.Mistyped:          {"review.mistyped", "problem.go-back"},
	authz.WrongMatch:        {"problem.what-match", "problem.start-again"},
	authz.TooManyGuesses:    {"enter.too-many", "problem.enter-again"},
	authz.ProofRequired:     {"enter.proof", "problem.enter-again"},
	authz.BadLink:           {"problem.what-app", "problem.next-app"},
	authz.Forbidden:         {"problem.what-forbidden", "problem.next-forbidden"},
	authz.TooLittlePresence: {"problem.what-forbidden", "problem.go-back"},
	authz.OtherAccount:      {"problem.what-forbidden", "problem.next-forbidden"},
	authz.UserNotFound:      {"problem.what-forbidden", "problem.next-forbidden"},
	authz.NoProfile:         {"problem.what-forbidden", "problem.next-forbidden"},
	authz.Unauthorized:      {"problem.what-unauthorized", "problem.next-unauthorized"},
	authz.NotFound:          {"problem.what-none", "problem.next-none"},
	authz.AccountFull:       {"problem.what-full", "problem.next-full"},
	authz.Unavailable:       {"problem.what-busy", "problem.next-busy"},
	wire.CodeMethod:         {"problem.what-method", "problem.go-back"},
	wire.CodeMediaType:      {"problem.what-form", "problem.go-back"},
	wire.CodeForm:           {"problem.what-form", "problem.go-back"},
	wire.CodeTooLarge:       {"problem.what-large", "problem.go-back"},
	wire.CodeCrossOrigin:    {"problem.what-origin", "problem.next-origin"},
}

// Problem says an error to a person: one sentence, and the next step.
func (s *Screens) Problem(w http.ResponseWriter, r *http.Request, status int, refusal *authz.Error) {
	say := s.words(r)
	said, known := Problems[refusal.Code]
	if !known {
		said = problem{"problem.what-ours", "problem.next-ours"}
	}
	var page view.Problem
	var err error
	if page.What, err = say.A(said.what); err == nil {
		page.Next, err = say.A(said.next, "id", refusal.RequestID)
	}
	if refusal.Code == authz.BadLink {
		page.Developer = refusal.Description
	}
	if err == nil {
		err = s.show(w, r, status, problemScreen, frame{Page: page})
	}
	if err != nil {
		s.door.Log.ErrorContext(r.Context(), "error page failed", "error", err)
		http.Error(w, refusal.Description, status)
	}
}
