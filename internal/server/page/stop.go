package page

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/server/wire"
)

// Stop carries out a form of a signed-in page that stops one thing, and shows the
// page again: back is its address, in which {id} is the thing's.
func (s *Screens) Stop(act func(ctx context.Context, owner authz.Owner, id string) error, back string) wire.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		who, _, err := s.ownForm(r)
		if err != nil {
			return err
		}
		if err := s.issuer.Guard.Admit(who, s.door.Source(r), authz.Stops); err != nil {
			return err
		}
		id := r.PathValue("id")
		// What is gone already is what was wanted: a second click, another tab.
		to := back
		if err := act(r.Context(), who, id); errors.Is(err, authz.NotFound) {
			to, _, _ = strings.Cut(back, "?") // nothing was done that it could tell
		} else if err != nil {
			return err
		}
		return seeOther(w, r, strings.Replace(to, "{id}", url.PathEscape(id), 1))
	}
}

// RevokeAll takes back all that an owner allowed, for Stop.
func (s *Screens) RevokeAll(ctx context.Context, who authz.Owner, _ string) error {
	_, err := s.issuer.Grants.RevokeAll(ctx, who)
	return err
}

// EndOthers ends all sessions of an owner but the one at hand, for Stop.
func (s *Screens) EndOthers(ctx context.Context, who authz.Owner, _ string) error {
	_, err := s.issuer.Accounts.EndOtherSessions(ctx, who)
	return err
}

// ownForm reads a form of a signed-in page and returns who sent it. It must be a form
// that was made for this very session.
func (s *Screens) ownForm(r *http.Request) (authz.Owner, *wire.Params, error) {
	p, err := wire.DecodeForm(r)
	if err != nil {
		return authz.Owner{}, nil, err
	}
	who, err := s.door.SessionOwner(r)
	if err != nil {
		return authz.Owner{}, nil, err
	}
	return who, p, s.issuer.Accounts.CheckForm(who, p.Text("form"))
}
