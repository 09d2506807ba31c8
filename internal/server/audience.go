package server

import (
	"errors"
	"net/http"

	"countersign.dev/bitcoinauth"
	"countersign.dev/internal/authz"
	"countersign.dev/receipt"
)

// audience is where a signed request says which server it is for, a column of the
// table of routes (requirement N-07). A signature covers path and body, and neither
// says which host was meant: what was signed for another server does nothing here,
// and is not looked at.
type audience int

const (
	// unsigned: a signature counts for nothing here.
	unsigned audience = iota
	// inQuery: once, as aud.
	inQuery
	// inBody: as its member aud.
	inBody
	// inStatement: in the statement that the body carries.
	inStatement
	// ifNamed: existing clients sign these without a word about the server. Where the
	// body or the query has an aud, it must be this one's.
	ifNamed
)

// errForAnother is the cause of the refusal of what was signed for another server.
var errForAnother = errors.New("signed for another server")

// signedRequest returns a request for its signature to be verified, or nil where it has
// none that counts. It is the only one who makes one, so that none passes by the
// audience of its route. Call it when every member of the body has been asked for.
func (s *Server) signedRequest(r *http.Request, p *params) (*authz.SignedRequest, error) {
	token, where := r.Header.Get(bitcoinauth.Header), audienceOf(r.Context())
	named := where.named(r, p)
	if p.err != nil {
		return nil, p.err
	}
	if where == unsigned || token == "" && where != ifNamed {
		return nil, nil
	}
	if where == inStatement {
		if err := s.checkStatement(p.text("statement")); err != nil {
			return nil, err
		}
	}
	for _, issuer := range named {
		if issuer != s.authz.Issuer() {
			return nil, &authz.Error{
				Code: authz.InvalidRequest, Cause: errForAnother,
				Description: "a signed request names the server it is for, in its body or, where it has none, in its query: aud must be " + s.authz.Issuer(),
			}
		}
	}
	if token == "" {
		return nil, nil
	}
	return &authz.SignedRequest{Token: token, Path: r.URL.RequestURI(), Body: p.raw, From: s.source(r)}, nil
}

// named are the servers that a request names, each of which must be this one: an empty
// one where there should be one.
func (where audience) named(r *http.Request, p *params) []string {
	inURL := r.URL.Query()["aud"]
	switch where {
	case inQuery:
		if len(inURL) != 1 {
			return []string{""}
		}
		return inURL
	case inBody:
		return []string{p.text("aud")}
	case ifNamed:
		if issuer := p.text("aud"); issuer != "" {
			return append(inURL, issuer)
		}
		return inURL
	default:
		return nil
	}
}

// checkStatement refuses a statement that is not for this server, or says of no server
// that it is for it.
func (s *Server) checkStatement(statement string) error {
	says, err := receipt.ParseStatement(statement)
	if err != nil {
		return &authz.Error{
			Code: authz.InvalidRequest, Cause: err,
			Description: "the signed statement cannot be read: sign the one that GET /api/auth/device/approval gave, byte for byte",
		}
	}
	if says.Issuer != s.authz.Issuer() {
		return &authz.Error{Code: authz.Forbidden, Description: "the signed statement is for another server: fetch one here and sign that"}
	}
	return nil
}
