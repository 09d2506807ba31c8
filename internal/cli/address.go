package cli

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"countersign.dev/internal/config"
)

// serverAddress is the issuer that somebody means by an address: its scheme and host in
// small letters, without the port that the scheme has by itself and without a slash at
// the end. What would be sent readable through a network is refused.
func serverAddress(text string) (string, error) {
	text = strings.TrimSpace(text)
	if !strings.Contains(text, "://") {
		return "", notAServer(text, errors.New("it does not say https or http"), "Write "+guessedAddress(text))
	}
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Hostname() == "" || (u.Scheme != "https" && u.Scheme != "http"):
		return "", notAServer(text, errors.New("it is no web address"), "Write it like "+defaultServer+" or https://id.example.org")
	case u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return "", notAServer(u.Redacted(), errors.New("it has more than a scheme, a host and a path"), "Write "+(&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String())
	}
	u.Host = strings.ToLower(u.Host)
	if port := u.Port(); port == "" || (u.Scheme == "https" && port == "443") || (u.Scheme == "http" && port == "80") {
		u.Host = strings.TrimSuffix(strings.TrimSuffix(u.Host, port), ":")
	}
	u.Path, u.RawPath = strings.TrimRight(u.Path, "/"), strings.TrimRight(u.RawPath, "/")
	if u.Scheme == "http" && !loopback(u.String()) {
		return "", notAServer(text, errors.New("what is sent there by http can be read on its way"), "Write https://"+u.Host+u.Path)
	}
	return u.String(), nil
}

// originOf is where the endpoints and pages of a Countersign are that calls itself so.
func originOf(server string) string { return strings.TrimSuffix(server, config.IssuerPath) }

func notAServer(text string, why error, next string) error {
	return &Failure{Code: ExitUsage, What: fmt.Sprintf("the server cannot be %q", printable(text)), Err: why, Next: printable(next)}
}

// guessedAddress is an address that somebody may have meant who wrote no scheme.
func guessedAddress(text string) string {
	text = strings.Trim(text, "/")
	if text == "" {
		return "it like " + defaultServer
	}
	if loopback("http://" + text) {
		return "http://" + text
	}
	return "https://" + text
}

// namedServer is the server that a flag or the environment names, or empty.
func namedServer(env *Env, flag string) (string, error) {
	name := cmp.Or(flag, env.Getenv("COUNTERSIGN_SERVER"))
	if name == "" {
		return "", nil
	}
	return serverAddress(name)
}

// chooseServer says which server a command asks.
func chooseServer(env *Env, h *home, flag string) (string, error) {
	named, err := namedServer(env, flag)
	if named != "" || err != nil {
		return named, err
	}
	if a, err := h.find(""); err == nil {
		return a.Server, nil
	}
	return defaultServer, nil
}

// loopback reports whether an address leads to this machine.
func loopback(address string) bool {
	u, err := url.Parse(address)
	return err == nil && config.IsLoopback(u.Hostname())
}
