package server

import (
	"net/http"
	"slices"
	"strings"

	"countersign.dev/internal/server/api"
	"countersign.dev/internal/server/page"
	"countersign.dev/internal/server/page/assets"
	"countersign.dev/internal/server/wire"
)

// class says who may call an endpoint and how.
type class int

const (
	// public: any origin, no cookie (ruling 0.11).
	public class = iota
	// owner: JSON for the owner's own tools and pages; a foreign web page is refused.
	owner
	// person: HTML; a foreign web page may link here, not post here (attack
	// B-04), and reads nothing (requirement Z-20).
	person
	// linked: HTML that pages of other sites lead to, by a link or a form; it decides nothing.
	linked
	// probe: for machines that watch this one, and APIs that ask about tokens; no web page
	// reads the answers.
	probe
)

// route is one row of the table below.
type route struct {
	method  string
	path    string // a net/http pattern without the method
	handler wire.Handler
	class   class
	// audience says where a signed request names the server it is for.
	audience wire.Audience
}

// routes is every endpoint there is. No GET decides anything (requirement D-19), but that an
// application is let in as before (decision 0074). An issuer with a path has a front door there, and
// metadata where RFC 8414 §3.1 and RFC 9728 §3.1 put the path; those at the root are for who knows
// the host alone (requirement M-01).
func (s *Server) routes() []route {
	rows := []route{
		{"POST", "/api/auth/device/code", s.oauth.DeviceCode, public, wire.IfNamed},
		{"POST", "/api/auth/device/token", s.oauth.DeviceToken, public, wire.IfNamed},
		{"POST", "/api/auth/oauth2/token", s.oauth.Token, public, wire.IfNamed},
		{"POST", "/api/auth/oauth2/revoke", s.oauth.Revoke, public, wire.IfNamed},
		{"GET", "/api/auth/oauth2/userinfo", s.oauth.UserInfo, public, wire.Unsigned},
		{"POST", "/api/auth/oauth2/userinfo", s.oauth.UserInfo, public, wire.Unsigned},
		{"GET", "/api/auth/organization/list", s.oauth.Organizations, public, wire.Unsigned},
		{"POST", "/api/auth/organization/set-active", s.oauth.SetActiveOrganization, public, wire.Unsigned},
		{"GET", "/api/auth/jwks", s.oauth.KeySet, public, wire.Unsigned},
		{"GET", "/.well-known/oauth-authorization-server", s.oauth.Discovery, public, wire.Unsigned},
		{"GET", "/.well-known/openid-configuration", s.oauth.Discovery, public, wire.Unsigned},
		{"GET", "/api/auth/.well-known/openid-configuration", s.oauth.Discovery, public, wire.Unsigned},
		{"GET", "/.well-known/oauth-protected-resource" + s.path, s.oauth.ProtectedResource, public, wire.Unsigned},
		{"GET", "/.well-known/oauth-protected-resource/api/auth/oauth2/userinfo", s.oauth.UserInfoResource, public, wire.Unsigned},

		{"POST", api.SignInPath, s.api.SignIn, owner, wire.IfNamed},
		{"POST", "/api/auth/sign-up/sigma", s.api.SignUp, owner, wire.IfNamed},
		{"POST", "/api/auth/sign-in/passkey/options", s.api.PasskeySignInOptions, owner, wire.Unsigned},
		{"POST", "/api/auth/sign-in/passkey", s.api.SignInWithPasskey, owner, wire.Unsigned},
		{"GET", "/api/auth/get-session", s.api.GetSession, owner, wire.Unsigned},
		{"POST", "/api/auth/sign-out", s.api.SignOut, owner, wire.Unsigned},
		{"GET", "/api/auth/device", s.api.DeviceStatus, owner, wire.Unsigned},
		{"GET", "/api/auth/device/approval", s.api.DeviceApproval, owner, wire.InQuery},
		{"POST", "/api/auth/device/approve", s.api.ApproveDevice, owner, wire.InStatement},
		{"POST", "/api/auth/device/deny", s.api.DenyDevice, owner, wire.IfNamed},
		{"GET", "/api/grants", s.owners.ListsTo(s.owners.AuthenticateForGrants, s.api.Grants), owner, wire.InQuery},
		{"GET", "/api/grants/{id}/receipt", s.api.GrantReceipt, owner, wire.InQuery},
		{"POST", "/api/grants/{id}/revoke", s.api.RevokeGrant, owner, wire.InBody},
		{"POST", "/api/grants/revoke", s.owners.StopsAll(s.issuer.Grants.RevokeAll), owner, wire.InBody},
		{"GET", "/api/agents", s.owners.Lists(s.agents.List), owner, wire.InQuery},
		{"GET", "/api/agents/{id}", s.owners.Lists(s.agents.Show), owner, wire.InQuery},
		{"GET", "/api/agents/{id}/chain", s.agents.Chain, owner, wire.InQuery},
		{"POST", "/api/agents/{id}/pause", s.owners.Stops(s.issuer.Agents.Pause), owner, wire.InBody},
		{"POST", "/api/agents/{id}/resume", s.agents.Resume, owner, wire.InBody},
		{"POST", "/api/agents/{id}/revoke", s.owners.Stops(s.issuer.Agents.Revoke), owner, wire.InBody},
		{"POST", "/api/agents/pause", s.owners.StopsAll(s.issuer.Agents.PauseAll), owner, wire.InBody},
		{"POST", "/api/agents/revoke", s.owners.StopsAll(s.issuer.Agents.RevokeAll), owner, wire.InBody},
		{"POST", "/api/kill", s.agents.Kill, public, wire.Unsigned},
		{"GET", "/api/sessions", s.owners.Lists(s.api.Sessions), owner, wire.InQuery},
		{"POST", "/api/sessions/{id}/end", s.owners.Stops(s.issuer.Accounts.EndSession), owner, wire.InBody},
		{"POST", "/api/sessions/end-others", s.owners.StopsAll(s.issuer.Accounts.EndOtherSessions), owner, wire.InBody},
		{"GET", "/api/events", s.owners.Lists(s.api.Events), owner, wire.InQuery},
		{"GET", "/api/passkeys", s.owners.Lists(s.api.Passkeys), owner, wire.InQuery},
		{"POST", "/api/passkeys", s.api.AddPasskey, owner, wire.InBody},
		{"POST", "/api/passkeys/options", s.api.PasskeyOptions, owner, wire.Unsigned},
		{"POST", "/api/passkeys/{id}/remove", s.owners.Stops(s.issuer.Passkeys.Remove), owner, wire.InBody},
		{"GET", "/api/backup", s.api.Backup, owner, wire.InQuery},
		{"POST", "/api/backup", s.api.SaveBackup, owner, wire.InBody},
		{"POST", "/api/backup/remove", s.api.RemoveBackup, owner, wire.InBody},
		{"GET", "/api/backups", s.owners.Lists(s.api.Backups), owner, wire.InQuery},
		{"GET", "/api/bap/profile", s.api.Profile, owner, wire.InQuery},
		{"PUT", "/api/bap/profile", s.api.SetProfile, owner, wire.InBody},
		{"GET", "/api/user/bap-ids", s.api.IdentitiesOfKey, owner, wire.InQuery},
		{"POST", "/api/user/bap-ids", s.api.LinkIdentity, owner, wire.InBody},
		{"GET", "/api/user/last-oauth-identity", s.api.LastIdentity, owner, wire.InQuery},
		{"POST", "/api/user/bap-ids/{id}/remove", s.owners.Stops(s.issuer.Accounts.RemoveIdentity), owner, wire.InBody},
		{"GET", "/api/oauth-clients", s.owners.Lists(s.api.Clients), owner, wire.InQuery},
		{"POST", "/api/oauth-clients", s.api.AddClient, owner, wire.InBody},

		{"GET", "/oauth2/authorize", s.screens.Authorize, linked, wire.Unsigned},
		{"POST", "/oauth2/authorize", s.screens.ByForm, linked, wire.Unsigned},
		{"GET", "/api/auth/oauth2/authorize", s.screens.Authorize, linked, wire.Unsigned},
		{"POST", "/api/auth/oauth2/authorize", s.screens.ByForm, linked, wire.Unsigned},

		{"GET", "/oauth2/logout", s.screens.Logout, linked, wire.Unsigned},
		{"POST", "/oauth2/logout", s.screens.ByForm, linked, wire.Unsigned},

		{"GET", "/device", s.screens.Enter, person, wire.Unsigned},
		{"POST", "/device", s.screens.Open, person, wire.Unsigned},
		{"GET", "/device/request/{visit}", s.screens.Review, person, wire.Unsigned},
		{"POST", "/device/decide", s.screens.Decide, person, wire.Unsigned},
		{"GET", "/device/done/{id}", s.screens.Done, person, wire.Unsigned},
		{"POST", "/device/done/{id}/undo", s.screens.Stop(s.issuer.Grants.Revoke, page.DonePath), person, wire.Unsigned},
		{"POST", "/device/done/{id}/report", s.screens.Stop(s.issuer.Grants.Report, page.DonePath), person, wire.Unsigned},
		{"GET", "/account", s.screens.Account, person, wire.Unsigned},
		{"POST", "/account/grants/revoke", s.screens.Stop(s.screens.RevokeAll, page.AccountDone+"revoked-all"), person, wire.Unsigned},
		{"POST", "/account/grants/{id}/revoke", s.screens.Stop(s.issuer.Grants.Revoke, page.AccountDone+"revoked"), person, wire.Unsigned},
		{"POST", "/account/grants/{id}/report", s.screens.Stop(s.issuer.Grants.Report, page.AccountDone+"revoked-not-me"), person, wire.Unsigned},
		{"POST", "/account/consents/{id}/forget", s.screens.Stop(s.issuer.Consents.Forget, page.AccountPath), person, wire.Unsigned},
		{"POST", "/account/sessions/end", s.screens.Stop(s.screens.EndOthers, page.AccountDone+"sessions-ended"), person, wire.Unsigned},
		{"POST", "/account/sessions/{id}/end", s.screens.Stop(s.issuer.Accounts.EndSession, page.AccountDone+"session-ended"), person, wire.Unsigned},
		{"POST", "/account/passkeys/{id}/remove", s.screens.Stop(s.issuer.Passkeys.Remove, page.AccountDone+"passkey-removed"), person, wire.Unsigned},
		{"POST", "/sign-out", s.screens.SignOut, person, wire.Unsigned},
		{"GET", "/assets/{file}", s.screens.Asset, person, wire.Unsigned},
		{"GET", "/{$}", s.home, person, wire.Unsigned},

		{"POST", "/api/auth/oauth2/introspect", s.oauth.Introspect, probe, wire.IfNamed},
		{"GET", "/healthz", s.api.Healthz, probe, wire.Unsigned},
		{"GET", "/readyz", s.api.Readyz, probe, wire.Unsigned},
	}
	if s.path == "" {
		return rows
	}
	return append(rows,
		route{"GET", s.path, s.home, person, wire.Unsigned},
		route{"GET", "/.well-known/oauth-authorization-server" + s.path, s.oauth.Discovery, public, wire.Unsigned},
		route{"GET", "/.well-known/openid-configuration" + s.path, s.oauth.Discovery, public, wire.Unsigned},
	)
}

// home says what this is: to a person as a page, to a program as JSON.
func (s *Server) home(w http.ResponseWriter, r *http.Request) error {
	if strings.Contains(r.Header.Get("Accept"), "text/html") {
		return s.screens.Home(w, r)
	}
	return s.api.Greeting(w, r)
}

// Handler is the whole server as one http.Handler.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	byPath := map[string][]route{}
	for _, r := range s.routes() {
		byPath[r.path] = append(byPath[r.path], r)
	}
	for path, routes := range byPath {
		mux.Handle(path, s.dispatch(routes))
	}
	mux.Handle("/", s.nothingHere())
	return s.guardRedirects(mux)
}

// guardRedirects gives the headers of a page to what the mux answers by itself: a
// redirect from a path that is not clean to the one that is (requirement Z-21).
func (s *Server) guardRedirects(mux http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked := r.URL.Path + "/" // "/.well-known" is clean
		if strings.Contains(r.URL.Path, "//") || strings.Contains(asked, "/./") || strings.Contains(asked, "/../") {
			s.headers(w.Header(), person)
		}
		mux.ServeHTTP(w, r)
	})
}

// nothingHere answers where there is no endpoint: a person who mistyped an address
// with a page, a program with JSON.
func (s *Server) nothingHere() http.Handler {
	refuse := func(http.ResponseWriter, *http.Request) error { return wire.ErrNoEndpoint }
	forPrograms, forPeople := s.adapt(route{handler: refuse, class: owner}), s.adapt(route{handler: refuse, class: person})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		program := strings.HasPrefix(r.URL.Path, "/api/") || strings.HasPrefix(r.URL.Path, "/.well-known/")
		if !program && strings.Contains(r.Header.Get("Accept"), "text/html") {
			forPeople.ServeHTTP(w, r)
			return
		}
		forPrograms.ServeHTTP(w, r)
	})
}

// dispatch picks the route of a method; GET answers HEAD too, and what has no route is
// refused (requirements D-01, T-01).
func (s *Server) dispatch(routes []route) http.Handler {
	c := routes[0].class
	handlers := map[string]http.Handler{}
	var allow []string
	for _, r := range routes {
		handlers[r.method] = s.adapt(r)
		allow = append(allow, r.method)
		if r.method == http.MethodGet {
			handlers[http.MethodHead] = handlers[r.method]
			allow = append(allow, http.MethodHead)
		}
	}
	slices.Sort(allow)
	allowed := strings.Join(allow, ", ")
	wrong := s.adapt(route{class: c, handler: func(w http.ResponseWriter, _ *http.Request) error {
		w.Header().Set("Allow", allowed)
		return wire.ErrMethod
	}})
	options := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Allow", allowed+", OPTIONS")
		w.WriteHeader(http.StatusNoContent)
	})
	h := http.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch h, ok := handlers[r.Method]; {
		case ok:
			h.ServeHTTP(w, r)
		case r.Method == http.MethodOptions:
			options.ServeHTTP(w, r)
		default:
			wrong.ServeHTTP(w, r)
		}
	}))
	if c == public {
		return withoutCredentials(s.cors.Handler(h))
	}
	return h
}

// adapt makes an http.Handler of a row: headers of its class before it, the
// error writer and the log after it.
func (s *Server) adapt(to route) http.Handler {
	c := to.class
	say := wire.RefuseJSON
	if c == person || c == linked {
		say = s.screens.Problem
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.headers(w.Header(), c)
		rec, r := wire.Begin(w, r, to.audience)
		defer s.door.Finish(rec, r, say)
		// Pages may be linked to from anywhere; what owners' programs ask for is asked
		// by no other site's page, not even with GET (decision 0027).
		if c == owner && s.door.Foreign(r) || c == person && s.crossOrigin.Check(r) != nil || c == linked && !followed(r) {
			s.door.WriteError(rec, r, say, wire.ErrCrossOrigin)
			return
		}
		if err := wire.Readable(r.URL); err != nil {
			s.door.WriteError(rec, r, say, err)
			return
		}
		err := s.door.OfferNonce(rec, r)
		if err == nil {
			err = to.handler(rec, r)
		}
		if err != nil {
			s.door.WriteError(rec, r, say, err)
		}
	})
}

// followed reports whether a request is a window that goes there, and no picture or frame of
// another page: to those of the same site a browser adds the session. Ours ask by script, and
// programs say nothing of it. HEAD leads nobody anywhere.
func followed(r *http.Request) bool {
	switch site := r.Header.Get("Sec-Fetch-Site"); {
	case r.Method == http.MethodHead:
		return false
	case site == "" || site == "none" || site == "same-origin":
		return true
	default:
		return r.Header.Get("Sec-Fetch-Mode") == "navigate" && r.Header.Get("Sec-Fetch-Dest") == "document"
	}
}

// headers sets what every answer of a class has, errors included: nothing is kept by
// caches (requirements D-11, T-07), no page is framed (requirement Z-21, attack B-05).
func (s *Server) headers(h http.Header, c class) {
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	if c == public || c == probe {
		return
	}
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Content-Security-Policy", assets.ContentSecurityPolicy(false, ""))
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=(), publickey-credentials-create=(self), publickey-credentials-get=(self)")
	if s.door.Secure {
		h.Set("Strict-Transport-Security", "max-age=31536000")
	}
}
