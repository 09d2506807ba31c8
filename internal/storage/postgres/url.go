package postgres

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// namesPoolSize reports whether a URL says how many connections there may be.
func namesPoolSize(text string) bool {
	u, err := url.Parse(text)
	return err == nil && u.Query().Has("pool_max_conns")
}

// ErrURL says that a database's URL cannot be used, whatever runs there.
var ErrURL = errors.New("reading the database's URL")

// unreadable says what is wrong with a URL. pgx quotes the whole of it before the
// reason, and hides a password in only one of the places where it may stand.
func unreadable(err error) error {
	text := err.Error()
	return fmt.Errorf("%w: %s", ErrURL, strings.TrimPrefix(text[strings.LastIndexByte(text, '`')+1:], ": "))
}
