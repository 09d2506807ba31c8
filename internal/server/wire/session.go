package wire

import (
	"errors"
	"net/http"
	"slices"
	"time"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/account"
)

// How many cookies of a request are tried as a session, each of which is a look into
// the database: of our own name, and of the name that others know. Browsers send those
// with a longer path first, and without https another port of this host may set as many
// of ours as it likes: a handful of them must not hide the one that counts.
const (
	mostOwn   = 32
	mostKnown = 4
)

// sessionCookies are the cookies of a request that may be a session of this server,
// the likeliest first: its own, then those under the name that better-auth clients
// know. That one is shared with every other server on this host, on any port, so
// that it is read only, and only where it could be ours (decision 0029).
func (d *Door) sessionCookies(r *http.Request) []*http.Cookie {
	known := r.CookiesNamed(d.Cookies.Known)
	known = slices.DeleteFunc(known, func(c *http.Cookie) bool { return !account.SessionToken(c.Value) })
	own := r.CookiesNamed(d.Cookies.Session)
	return append(own[:min(len(own), mostOwn)], known[:min(len(known), mostKnown)]...)
}

// SessionTokens are those of them that count. Of a browser, which says where a request
// comes from, only what bears our own name does: the known name may have been set by
// another host of the domain. Programs that send it set it themselves.
func (d *Door) SessionTokens(r *http.Request) (tokens []authz.Secret) {
	byBrowser := r.Header.Get("Sec-Fetch-Site") != ""
	for _, cookie := range d.sessionCookies(r) {
		if cookie.Name == d.Cookies.Session || !byBrowser {
			tokens = append(tokens, authz.Secret(cookie.Value))
		}
	}
	return tokens
}

// SessionOwner returns the owner whose session cookie a request carries.
func (d *Door) SessionOwner(r *http.Request) (authz.Owner, error) {
	who, err := d.issuer.Accounts.SessionOwner(r.Context(), d.SessionTokens(r)...)
	who.Seen = d.Seen(r)
	return who, err
}

// AuthenticateSession is SessionOwner for a request that is to do something.
func (d *Door) AuthenticateSession(r *http.Request, does authz.Deed) (authz.Owner, error) {
	who, err := d.SessionOwner(r)
	if err != nil {
		return who, err
	}
	return who, d.issuer.Guard.Admit(who, d.Source(r), does)
}

// IsUnauthorized reports whether an error says that nobody is signed in.
func IsUnauthorized(err error) bool { return errors.Is(err, authz.Unauthorized) }

// ForgetSession ends the sessions of a request, if it has any, and takes their
// cookies. A cookie that is no session of ours is left to whoever set it.
func (d *Door) ForgetSession(w http.ResponseWriter, r *http.Request) error {
	taken := map[string]bool{d.Cookies.Session: true}
	for _, cookie := range d.sessionCookies(r) {
		err := d.issuer.Accounts.SignOut(r.Context(), authz.Secret(cookie.Value))
		if err != nil && !IsUnauthorized(err) {
			return err
		}
		taken[cookie.Name] = taken[cookie.Name] || err == nil
	}
	for name, ours := range taken {
		if ours {
			d.SetCookie(w, name, "", -time.Second)
		}
	}
	return nil
}

// InTurn makes an answer of much that an owner has, in the owner's turn.
func (d *Door) InTurn(r *http.Request, who authz.Owner, answer func() ([]byte, error)) ([]byte, error) {
	done, err := d.issuer.Guard.TurnToRead(r.Context(), who)
	if err != nil {
		return nil, err
	}
	defer done()
	return answer()
}
