package view

import (
	"html/template"
	"time"

	"countersign.dev/internal/authz"
)

// Done is what was decided about a request, and what became of it.
type Done struct {
	ID         string
	Title      string // a message
	Mismatched bool   // it was denied for what the device does not show
	Reported   bool
	ClientName string
	Identity   string
	Approved   bool
	Revoked    bool
	Alive      bool
	Others     string // how many permissions of the same client live, or empty
	Scopes     []Scope
	Until      time.Time
	How        string // a message
	Receipt    bool
}

// SignOut asks whether a person wants to be signed out, or says that they are.
type SignOut struct {
	// Client is the name of the application that asks, or empty.
	Client string
	// Back leads on afterwards, sealed; empty for nowhere.
	Back string
	// Done: it has happened.
	Done bool
	// Grants act for the person still (requirement L-11), of which the newest are here.
	Grants []AccountGrant
	Older  bool
}

// Problem is an error for a person: what happened, and the next step.
type Problem struct {
	What string
	Next string
	// StartAgainAt is the application at which a person starts again, and all that is said; or
	// empty.
	StartAgainAt string
	// Developer is for whoever runs the application that led here, in English.
	Developer string
}

// Enter is the form for a user code.
type Enter struct {
	// Typed is what a person typed that did not do.
	Typed string
	// Problem is the message that says why, or empty.
	Problem string
}

// CodeProblems are the refusals of a code that are said on the form.
var CodeProblems = map[authz.Code]string{
	authz.NotACode:       "enter.not-a-code",
	authz.InvalidRequest: "enter.no-use",
	authz.ExpiredToken:   "enter.no-use",
	authz.Forbidden:      "enter.no-use",
	authz.TooManyGuesses: "enter.too-many",
	authz.ProofRequired:  "enter.proof",
}

// Carried is a code on its way, and the visit that carries it.
type Carried struct {
	Code  string
	Visit string
}

// SignIn is the screen of ways to prove an identity.
type SignIn struct {
	Carried
	// GoOn is where a person goes on to whom an application sent here, and ForApp its name;
	// Hint is the identity that it hopes for. All are empty for anybody else.
	GoOn, ForApp, Hint string
	// Passkeys: this server's issuer can have them.
	Passkeys bool
	// NoCookies: the browser sent nothing back of what another of these pages gave it.
	NoCookies bool
	QR        *QR
}

// Leave is where a browser goes on to.
type Leave struct{ Address template.URL }
