package wire

import (
	"errors"
	"net/http"

	"countersign.dev/bitcoinauth"
	"countersign.dev/internal/authz"
	"countersign.dev/receipt"
)

// Audience is where a signed request says which server it is for, a column of the
// table of routes (requirement N-07). A signature covers path and body, and neither
// says which host was meant: what was signed for another server does nothing here,
// and is not looked at.
type Audience int

const (
	// Unsigned is nowhere: a signature counts for nothing here but, beside an access token that
	// is bound to a key, as the proof of that key (Door.Proofs).
	Unsigned Audience = iota
	// InQuery is once in the query, as aud.
	InQuery
	// InBody is in the body, as its member aud.
	InBody
	// InStatement is in the statement that the body carries.
	InStatement
	// IfNamed is perhaps nowhere: existing clients sign these without a word about the
	// server. Where the body or the query has an aud, it must be this one's.
	IfNamed
)

// ErrForAnother is the cause of the refusal of what was signed for another server.
var ErrForAnother = errors.New("signed for another server")

// SignedRequest returns a request for its signature to be verified, or nil where it has
// none that counts as an owner's or a client's. It is the only one who makes one, so that none
// passes by the audience of its route. Call it when every member of the body has been asked for.
func (d *Door) SignedRequest(r *http.Request, p *Params) (*authz.SignedRequest, error) {
	token, where := r.Header.Get(bitcoinauth.Header), audienceOf(r.Context())
	named := where.named(r, p)
	if p.Err != nil {
		return nil, p.Err
	}
	if where == Unsigned || token == "" && where != IfNamed {
		return nil, nil
	}
	if where == InStatement {
		if err := d.checkStatement(p.Text("statement")); err != nil {
			return nil, err
		}
	}
	for _, issuer := range named {
		if issuer != d.issuer.Identifier() {
			return nil, &authz.Error{
				Code: authz.InvalidRequest, Cause: ErrForAnother,
				Description: "a signed request names the server it is for, in its body or, where it has none, in its query: aud must be " + d.issuer.Identifier(),
			}
		}
	}
	if token == "" {
		return nil, nil
	}
	return &authz.SignedRequest{Token: token, Path: r.URL.RequestURI(), Body: p.raw, From: d.Source(r)}, nil
}

// named are the servers that a request names, each of which must be this one: an empty
// one where there should be one.
func (where Audience) named(r *http.Request, p *Params) []string {
	inURL := r.URL.Query()["aud"]
	switch where {
	case InQuery:
		if len(inURL) != 1 {
			return []string{""}
		}
		return inURL
	case InBody:
		return []string{p.Text("aud")}
	case IfNamed:
		if issuer := p.Text("aud"); issuer != "" {
			return append(inURL, issuer)
		}
		return inURL
	default:
		return nil
	}
}

// checkStatement refuses a statement that is not for this server, or says of no server
// that it is for it.
func (d *Door) checkStatement(statement string) error {
	issuer, err := issuerOf(statement)
	if err != nil {
		return &authz.Error{
			Code: authz.InvalidRequest, Cause: err,
			Description: "the signed statement cannot be read: sign the one that GET /api/auth/device/approval gave, byte for byte",
		}
	}
	if issuer != d.issuer.Identifier() {
		return &authz.Error{Code: authz.Forbidden, Description: "the signed statement is for another server: fetch one here and sign that"}
	}
	return nil
}

// issuerOf is the server that a statement of either version is for.
func issuerOf(statement string) (string, error) {
	device, err := receipt.ParseStatement(statement)
	if err == nil {
		return device.Issuer, nil
	}
	agent, failed := receipt.ParseDelegation(statement)
	if failed != nil {
		return "", errors.Join(err, failed)
	}
	return agent.Issuer, nil
}
