package wire

import (
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"

	"countersign.dev/internal/issuer"
)

// Handler answers one request. Its error is written by the one error writer.
type Handler func(w http.ResponseWriter, r *http.Request) error

// Door is what all answers of one issuer share.
type Door struct {
	// URL is the configured issuer, and Secure whether it is https.
	URL    *url.URL
	Secure bool
	Log    *slog.Logger
	// Cookies are the names of this server's cookies.
	Cookies CookieNames

	issuer *issuer.Issuer
	// trustedProxies are believed when they say whom they heard.
	trustedProxies []netip.Prefix
	unlisted       unlisted
}

// NewDoor returns the door of an issuer, which believes these proxies (attack B-22).
func NewDoor(i *issuer.Issuer, configured *url.URL, log *slog.Logger, trustedProxies []netip.Prefix) *Door {
	secure := configured.Scheme == "https"
	return &Door{
		URL: configured, Secure: secure, Log: log, Cookies: newCookieNames(i.Identifier(), secure),
		issuer: i, trustedProxies: trustedProxies,
	}
}
