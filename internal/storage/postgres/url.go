package postgres

import (
	"net/url"
)

// namesPoolSize reports whether a URL says how many connections there may be.
func namesPoolSize(text string) bool {
	u, err := url.Parse(text)
	return err == nil && u.Query().Has("pool_max_conns")
}
