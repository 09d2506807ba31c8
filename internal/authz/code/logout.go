package code

import (
	"context"
	"errors"
	"net/url"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/client"
	"countersign.dev/internal/authz/contract"
	"countersign.dev/internal/authz/secret"
)

// Logout is what an application asks that ends a session here (OpenID Connect RP-Initiated
// Logout §2).
type Logout struct {
	// Client is the application, or the zero client where none is named.
	Client authz.Client
	// Subject is the account that a hint of ours says was signed in, or empty. Only who is
	// signed in as that one is signed out without being asked (requirement L-09).
	Subject string
	// Back is where the browser is led afterwards, or empty.
	Back string
}

var (
	errHint       = authz.Refuse(authz.BadLink, "id_token_hint is not an ID token of this server")
	errHintClient = authz.Refuse(authz.BadLink, "client_id is not the client that id_token_hint was issued to")
	errBack       = authz.Refuse(authz.BadLink, "post_logout_redirect_uri is not, to the letter, one of the client's post_logout_redirect_uris")
	errTwiceOut   = authz.Refuse(authz.BadLink, "a parameter of the logout request was sent twice")
)

// ReadLogout reads a logout request. Where it leads is the very text that is registered for the
// client, or nowhere (requirement L-08), with the state as it came (requirement L-10).
//
//	BadLink: the hint is not ours, or not the client's
func (s *Codes) ReadLogout(ctx context.Context, given url.Values) (l Logout, err error) {
	if len(given.Encode()) > maxLogout {
		return l, errTooLong
	}
	for _, values := range given {
		if len(values) > 1 {
			return l, errTwiceOut
		}
	}
	id := given.Get("client_id")
	if raw := given.Get("id_token_hint"); raw != "" {
		hint, err := s.tokens.ReadHint(raw)
		switch {
		case err != nil:
			return l, errHint
		case id != "" && hint.Audience != "" && id != hint.Audience:
			return l, errHintClient
		case hint.Audience != "":
			id, l.Subject = hint.Audience, hint.Subject
		}
	}
	if id == "" {
		return l, nil
	}
	l.Client, err = s.clients.Named(ctx, id)
	if errors.Is(err, contract.ErrNotFound) || err == nil && !l.Client.Registered {
		return Logout{Subject: l.Subject}, nil
	}
	if err != nil {
		return l, err
	}
	to := given.Get("post_logout_redirect_uri")
	if to == "" {
		return l, nil
	}
	if !client.LeadsTo(l.Client.PostLogoutRedirectURIs, to) {
		s.trail.Refused(ctx, &s.unled, "signing out leads nowhere: the address is not registered", errBack, "client_id", id)
		return l, nil
	}
	l.Back = to
	if state, sent := given["state"]; sent {
		l.Back = with(to, url.Values{"state": state})
	}
	return l, nil
}

// maxLogout bounds a logout request, in bytes; an ID token is in it.
const maxLogout = 12 << 10

const backPurpose = "logout"

// SealBack keeps where a browser is led over the page on which a person is asked.
func (s *Codes) SealBack(l Logout) (string, error) {
	if l.Back == "" {
		return "", nil
	}
	return s.secrets.Seal(backPurpose, []byte(l.Back))
}

// OpenBack is where SealBack kept that a browser is led; nowhere for what it did not seal.
func (s *Codes) OpenBack(sealed string) (string, error) {
	if sealed == "" {
		return "", nil
	}
	plain, err := s.secrets.Open(backPurpose, sealed)
	if errors.Is(err, secret.ErrNotSealed) {
		return "", nil
	}
	return string(plain), err
}
