package server

import (
	"net/http"
	"slices"
	"strings"
)

// class says who may call an endpoint and how.
type class int

const (
	// public: any origin, no cookie (ruling 0.11).
	public class = iota
	// owner: JSON for the owner's own tools and pages; a foreign web page is refused.
	owner
	// page: HTML for people; a foreign web page may link here, not post here (attack
	// B-04), and reads nothing (requirement Z-20).
	page
	// probe: for machines that watch this one.
	probe
)

// handler answers one request. Its error is written by the one error writer.
type handler func(w http.ResponseWriter, r *http.Request) error

// route is one row of the table below.
type route struct {
	method  string
	path    string // a net/http pattern without the method
	handler handler
	class   class
	// audience says where a signed request names the server it is for.
	audience audience
}

// Where forms lead back to.
const (
	accountPath = "/account"
	donePath    = "/device/done/{id}"
)

// routes is every endpoint there is. No GET decides anything (requirement D-19).
func (s *Server) routes() []route {
	return []route{
		{"POST", "/api/auth/device/code", s.deviceCode, public, ifNamed},
		{"POST", "/api/auth/device/token", s.deviceToken, public, ifNamed},
		{"POST", "/api/auth/oauth2/token", s.token, public, ifNamed},
		{"POST", "/api/auth/oauth2/revoke", s.revoke, public, ifNamed},
		{"GET", "/api/auth/oauth2/userinfo", s.userInfo, public, unsigned},
		{"POST", "/api/auth/oauth2/userinfo", s.userInfo, public, unsigned},
		{"GET", "/api/auth/jwks", s.keySet, public, unsigned},
		{"GET", "/.well-known/oauth-authorization-server", s.discovery, public, unsigned},
		{"GET", "/.well-known/openid-configuration", s.discovery, public, unsigned},
		{"GET", "/api/auth/.well-known/openid-configuration", s.discovery, public, unsigned},

		{"POST", "/api/auth/sign-in/sigma", s.signIn, owner, ifNamed},
		{"POST", "/api/auth/sign-in/passkey/options", s.passkeySignInOptions, owner, unsigned},
		{"POST", "/api/auth/sign-in/passkey", s.signInWithPasskey, owner, unsigned},
		{"GET", "/api/auth/get-session", s.getSession, owner, unsigned},
		{"POST", "/api/auth/sign-out", s.signOut, owner, unsigned},
		{"GET", "/api/auth/device", s.deviceStatus, owner, unsigned},
		{"GET", "/api/auth/device/approval", s.deviceApproval, owner, inQuery},
		{"POST", "/api/auth/device/approve", s.approveDevice, owner, inStatement},
		{"POST", "/api/auth/device/deny", s.denyDevice, owner, ifNamed},
		{"GET", "/api/grants", s.listsTo(s.authenticateForGrants, s.grants), owner, inQuery},
		{"GET", "/api/grants/{id}/receipt", s.grantReceipt, owner, inQuery},
		{"POST", "/api/grants/{id}/revoke", s.revokeGrant, owner, inBody},
		{"POST", "/api/grants/revoke", s.stopsAll(s.authz.RevokeGrants), owner, inBody},
		{"GET", "/api/sessions", s.lists(s.sessions), owner, inQuery},
		{"POST", "/api/sessions/{id}/end", s.stops(s.authz.EndSession), owner, inBody},
		{"POST", "/api/sessions/end-others", s.stopsAll(s.authz.EndOtherSessions), owner, inBody},
		{"GET", "/api/events", s.lists(s.events), owner, inQuery},
		{"GET", "/api/passkeys", s.lists(s.passkeys), owner, inQuery},
		{"POST", "/api/passkeys", s.addPasskey, owner, inBody},
		{"POST", "/api/passkeys/options", s.passkeyOptions, owner, unsigned},
		{"POST", "/api/passkeys/{id}/remove", s.stops(s.authz.RemovePasskey), owner, inBody},
		{"GET", "/api/backup", s.backup, owner, inQuery},
		{"POST", "/api/backup", s.saveBackup, owner, inBody},
		{"POST", "/api/backup/remove", s.removeBackup, owner, inBody},
		{"GET", "/api/backups", s.lists(s.backups), owner, inQuery},
		{"GET", "/api/bap/profile", s.profile, owner, inQuery},
		{"PUT", "/api/bap/profile", s.setProfile, owner, inBody},
		{"GET", "/api/user/bap-ids", s.lists(s.identities), owner, inQuery},
		{"POST", "/api/user/bap-ids", s.linkIdentity, owner, inBody},
		{"POST", "/api/user/bap-ids/{id}/remove", s.stops(s.authz.RemoveIdentity), owner, inBody},

		{"GET", "/device", s.enterPage, page, unsigned},
		{"POST", "/device", s.openRequest, page, unsigned},
		{"GET", "/device/request/{visit}", s.requestPage, page, unsigned},
		{"POST", "/device/decide", s.decide, page, unsigned},
		{"GET", "/device/done/{id}", s.donePage, page, unsigned},
		{"POST", "/device/done/{id}/undo", s.formThat(s.authz.RevokeGrant, donePath), page, unsigned},
		{"POST", "/device/done/{id}/report", s.formThat(s.authz.ReportGrant, donePath), page, unsigned},
		{"GET", "/account", s.accountPage, page, unsigned},
		{"POST", "/account/grants/revoke", s.formThat(s.revokeAll, accountDone+"revoked-all"), page, unsigned},
		{"POST", "/account/grants/{id}/revoke", s.formThat(s.authz.RevokeGrant, accountDone+"revoked"), page, unsigned},
		{"POST", "/account/grants/{id}/report", s.formThat(s.authz.ReportGrant, accountDone+"revoked-not-me"), page, unsigned},
		{"POST", "/account/sessions/end", s.formThat(s.endOthers, accountDone+"sessions-ended"), page, unsigned},
		{"POST", "/account/sessions/{id}/end", s.formThat(s.authz.EndSession, accountDone+"session-ended"), page, unsigned},
		{"POST", "/account/passkeys/{id}/remove", s.formThat(s.authz.RemovePasskey, accountDone+"passkey-removed"), page, unsigned},
		{"POST", "/sign-out", s.signOutForm, page, unsigned},
		{"GET", "/assets/{file}", s.asset, page, unsigned},
		{"GET", "/{$}", s.home, page, unsigned},

		{"GET", "/healthz", s.healthz, probe, unsigned},
		{"GET", "/readyz", s.readyz, probe, unsigned},
	}
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
			s.headers(w.Header(), page)
		}
		mux.ServeHTTP(w, r)
	})
}

// nothingHere answers where there is no endpoint: a person who mistyped an address
// with a page, a program with JSON.
func (s *Server) nothingHere() http.Handler {
	refuse := func(http.ResponseWriter, *http.Request) error { return errNoEndpoint }
	forPrograms, forPeople := s.adapt(route{handler: refuse, class: owner}), s.adapt(route{handler: refuse, class: page})
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
		return errMethod
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
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.headers(w.Header(), c)
		r = begin(r, to.audience)
		rec := &recorder{ResponseWriter: w}
		defer s.finish(rec, r, c)
		// Pages may be linked to from anywhere; what owners' programs ask for is asked
		// by no other site's page, not even with GET (decision 0027).
		if c == owner && s.foreign(r) || c == page && s.crossOrigin.Check(r) != nil {
			s.writeError(rec, r, c, errCrossOrigin)
			return
		}
		if err := readable(r.URL); err != nil {
			s.writeError(rec, r, c, err)
			return
		}
		if err := to.handler(rec, r); err != nil {
			s.writeError(rec, r, c, err)
		}
	})
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
	h.Set("Content-Security-Policy", contentSecurityPolicy(false))
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=(), publickey-credentials-create=(self), publickey-credentials-get=(self)")
	if s.secure {
		h.Set("Strict-Transport-Security", "max-age=31536000")
	}
}

// contentSecurityPolicy allows our own style sheet, script and forms, and nothing of
// anybody else's (requirement Z-22, attack B-08). The signer on the person's own machine
// may be called only from the screens that sign.
func contentSecurityPolicy(signs bool) string {
	signer := ""
	if signs {
		signer = " http://localhost:21000 http://127.0.0.1:21000"
	}
	return "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'" + signer + "; " +
		"form-action 'self'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
}
