package server

import (
	"net/http"
	"strconv"

	"countersign.dev/internal/authz"
)

const (
	// listed is how many things of a long list a program gets at once, and shown how
	// many a person.
	listed = 100
	shown  = 50
	// furthest bounds how far into a list a cursor may point: past the end of any.
	furthest = 10_000
)

// cursor is how much of a list was seen before, as `next` of an answer said. What
// came to its beginning meanwhile moves the rest on: something may be seen twice, and
// nothing is missed.
//
//	InvalidRequest: it is none of ours
func cursor(r *http.Request, name string) (skip int, err error) {
	text := r.URL.Query().Get(name)
	if text == "" {
		return 0, nil
	}
	skip, err = strconv.Atoi(text)
	if err != nil || skip < 0 || skip > furthest {
		return 0, &authz.Error{Code: authz.InvalidRequest, Description: "the cursor is not one of this list: send what next of the page before said"}
	}
	return skip, nil
}

// writeList answers with a page of a list, and with the cursor of the next one if
// there is more.
func writeList[T any](w http.ResponseWriter, name string, page []T, skip int, more bool) error {
	answer := map[string]any{name: page}
	if more {
		answer["next"] = strconv.Itoa(skip + len(page))
	}
	return writeJSON(w, answer)
}
