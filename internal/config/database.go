package config

import (
	"errors"
	"log/slog"
	"net/url"
	"strings"
)

// DatabaseURL is where a PostgreSQL database is, or empty. It may hold a password,
// in more than one place, so printing it shows no more than Place does.
type DatabaseURL string

// String keeps the password out of what is printed.
func (u DatabaseURL) String() string { return u.Place() }

// GoString keeps it out of what is printed with %#v.
func (u DatabaseURL) GoString() string { return u.Place() }

// LogValue keeps it out of logs.
func (u DatabaseURL) LogValue() slog.Value { return slog.StringValue(u.Place()) }

// MarshalText keeps it out of any encoding that was not meant for it.
func (u DatabaseURL) MarshalText() ([]byte, error) { return []byte(u.Place()), nil }

// Reveal returns the URL itself, for whoever connects.
func (u DatabaseURL) Reveal() string { return string(u) }

// Place is the host and the name of the database, like db.example.org/countersign.
func (u DatabaseURL) Place() string {
	host, name, err := splitDatabaseURL(string(u))
	if err != nil {
		return ""
	}
	return host + "/" + name
}

var (
	errNoDatabaseURL  = errors.New("must be like postgres://user@host/name; leave it out for SQLite in the data directory")
	errDatabaseEscape = errors.New(`must have the special characters of user and password percent-encoded, like %2F for "/"`)
)

// splitDatabaseURL checks a URL and takes what may be shown from it. Whatever
// stands where a mistake could have put a piece of a password is refused.
func splitDatabaseURL(text string) (host, name string, err error) {
	scheme, rest, found := strings.Cut(text, "://")
	if !found || (scheme != "postgres" && scheme != "postgresql") {
		return "", "", errNoDatabaseURL
	}
	authority, after := rest, ""
	if end := strings.IndexAny(rest, "/?#"); end >= 0 {
		authority, after = rest[:end], rest[end:]
	}
	if strings.ContainsAny(after, "@#") || strings.Count(authority, "@") > 1 {
		return "", "", errDatabaseEscape
	}
	u, err := url.Parse(text)
	if err != nil {
		return "", "", errNoDatabaseURL // the parser's error quotes the URL
	}
	name = strings.TrimPrefix(u.Path, "/")
	if name == "" {
		return "", "", errors.New("must name the database after the host, like postgres://user@host/countersign")
	}
	return u.Host, name, nil
}

func checkDatabase(text string) error {
	if text == "" {
		return nil
	}
	_, _, err := splitDatabaseURL(text)
	return err
}

// ParseDatabaseURL checks a URL like the setting database does.
func ParseDatabaseURL(text string) (DatabaseURL, error) {
	if _, _, err := splitDatabaseURL(text); err != nil {
		return "", err
	}
	return DatabaseURL(text), nil
}

// hasPassword reports whether a database's URL has one in it.
func hasPassword(text string) bool {
	u, err := url.Parse(text)
	if err != nil {
		return text != "" // which it may be for its password's sake
	}
	_, inside := u.User.Password()
	return inside || u.Query().Has("password") || u.Query().Has("sslpassword")
}
