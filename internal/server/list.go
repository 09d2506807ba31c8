package server

import (
	"encoding/json"
	"net/http"

	"countersign.dev/internal/authz"
)

// listed is how many things of a long list a program gets at once, and shown how many
// a person.
const (
	listed = 100
	shown  = 50
)

// lists is an endpoint that gives owners a list of what they have, for a session or a
// signed request. It is gathered in the owner's turn, and sent after it: whoever reads slowly
// keeps nobody waiting.
func (s *Server) lists(gather func(r *http.Request, who authz.Owner) (any, error)) handler {
	return s.listsTo(s.authenticate, gather)
}

// listsTo is lists for whom who finds.
func (s *Server) listsTo(who func(r *http.Request, p *params, does authz.Deed) (authz.Owner, error), gather func(r *http.Request, who authz.Owner) (any, error)) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		who, err := who(r, &params{}, authz.Reads)
		if err != nil {
			return err
		}
		body, err := s.inTurn(r, who, func() ([]byte, error) {
			list, err := gather(r, who)
			if err != nil {
				return nil, err
			}
			return json.Marshal(list)
		})
		if err != nil {
			return err
		}
		writeBody(w, http.StatusOK, body)
		return nil
	}
}

// inTurn makes an answer of much that an owner has, in the owner's turn.
func (s *Server) inTurn(r *http.Request, who authz.Owner, answer func() ([]byte, error)) ([]byte, error) {
	done, err := s.authz.TurnToRead(r.Context(), who)
	if err != nil {
		return nil, err
	}
	defer done()
	return answer()
}

// pageOf is a page of a list, with the cursor of the next one if there is one.
func pageOf[T any](name string, page []T, next string) map[string]any {
	answer := map[string]any{name: page}
	if next != "" {
		answer["next"] = next
	}
	return answer
}
