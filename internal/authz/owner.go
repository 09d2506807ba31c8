package authz

import (
	"log/slog"
	"time"
)

// Owner is a person who has proved control of one identity, by a session or by
// signing the very request; or a program that acts for one, with a token of theirs.
type Owner struct {
	AccountID string
	BAPID     string
	MemberKey string
	// Method is how: MethodBAP, also for a signed request, or MethodPasskey, which is
	// then the passkey with the id Passkey.
	Method  string
	Passkey string
	// AuthTime is when the identity was proved.
	AuthTime time.Time
	// Session is the session's token hash, and SessionID its id; both are empty for
	// a signed request.
	Session   Hash
	SessionID string
	// GrantID is the grant of the token that the owner came with, else empty.
	GrantID string
	// NewsSince is the session's.
	NewsSince time.Time
	// Seen is what the server saw of the request, for the owner's events.
	Seen Seen
	// Request is the very request, when a signature over it is what proved the identity.
	// Only account.Accounts.SignedOwner sets it, which a test holds.
	Request *SignedRequest
}

// Signed reports whether the owner signed the very request, and did not come with a
// session.
func (o Owner) Signed() bool { return o.Request != nil }

// SignedRequest is a request as it was received, with its X-Auth-Token.
type SignedRequest struct {
	Token string
	// Path is the request target, query included.
	Path string
	Body []byte
	// BodyMayBeUnsigned: a signature without the body will do.
	BodyMayBeUnsigned bool
	// From is where it came from.
	From Source
	// Does is what it is to do. It stores a row at least, lest it come again.
	Does Deed
	// Client is the member key of the client that it should be by, or empty.
	Client string
}

// How an owner signed in.
const (
	MethodBAP     = "bap"
	MethodPasskey = "passkey"
)

// OwnerOf is the owner that a session stands for.
func OwnerOf(session Session) Owner {
	return Owner{
		AccountID: session.AccountID, BAPID: session.BAPID, MemberKey: session.MemberKey,
		Method: session.Method, Passkey: session.Passkey, AuthTime: session.CreatedAt, Session: session.Token, SessionID: session.ID,
		NewsSince: session.NewsSince,
	}
}

// By is who did something, for the log; with the grant of the program that did it for them,
// if it was one.
func By(o Owner) slog.Attr {
	who := []any{"account", o.AccountID, "bap_id", o.BAPID, "network", o.Seen.Network}
	if o.GrantID != "" {
		who = append(who, "with_grant", o.GrantID)
	}
	return slog.Group("", who...)
}

// Asker is who tries a user code.
type Asker struct {
	// AccountID is empty for somebody who is not signed in.
	AccountID string
	From      Source
	// Browser tells one browser from another, by the hash of a cookie of ours; zero
	// for what is no browser.
	Browser Hash
	// Proved: a key of the account has signed this very code, by ProveCode or by
	// signing the request that carries it.
	Proved bool
	// Opened is the code of a request that the asker has opened and comes back to, by
	// Returning; or empty.
	Opened string
}

// Asker is the owner who tries a code.
func (o Owner) Asker(from Source, browser Hash) Asker {
	return Asker{AccountID: o.AccountID, From: from, Browser: browser, Proved: o.Signed()}
}

// Deed is what an owner's request does. Each has an allowance of its own, so that what
// stops something is never refused for what was done before.
type Deed int

// The deeds told apart.
const (
	Reads   Deed = iota // stores nothing, where it is not signed
	Changes             // stores something
	Stops               // denies, takes back, ends or takes out
)
