package assets

import "net/url"

// ContentSecurityPolicy allows our own style sheet, script and forms, and nothing of
// anybody else's (requirement Z-22, attack B-08). The signer on the person's own machine
// may be called only from the screens that sign, and only where a form ends at another
// origin it may be followed there.
func ContentSecurityPolicy(signs bool, leadsTo string) string {
	if leadsTo = originOf(leadsTo); leadsTo != "" {
		leadsTo = " " + leadsTo
	}
	signer := ""
	if signs {
		signer = " http://localhost:21000 http://127.0.0.1:21000"
	}
	return "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'" + signer + "; " +
		"form-action 'self'" + leadsTo + "; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
}

// originOf is the origin of a redirect URI as a source of a Content-Security-Policy: a browser
// follows a form only to addresses that are allowed. What has no host is known by its scheme,
// and so is an address in brackets, which no such policy can say.
func originOf(uri string) string {
	u, err := url.Parse(uri)
	switch {
	case err != nil || u.Scheme == "":
		return ""
	case u.Host == "" || u.Host[0] == '[':
		return u.Scheme + ":"
	default:
		return u.Scheme + "://" + u.Host
	}
}
