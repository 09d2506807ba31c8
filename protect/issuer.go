package protect

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
)

// Bounds of what the issuer is asked and answers.
const (
	// answerTime is for all that one question takes; a request may wait for it.
	answerTime = 5 * time.Second
	// maxAnswer is a hundred times a key set, and maxHeaders what its headers may have.
	maxAnswer, maxHeaders = 256 << 10, 64 << 10
)

// issuer is whose tokens are accepted.
type issuer struct {
	id      string
	address *url.URL // the id, read
	client  *http.Client
}

func newIssuer(id string, address *url.URL, client *http.Client) *issuer {
	c := http.Client{}
	if client != nil {
		c = *client
	} else if t, ok := http.DefaultTransport.(*http.Transport); ok {
		t = t.Clone()
		t.MaxResponseHeaderBytes = maxHeaders
		c.Transport = t
	}
	// Where keys come from is what the metadata say, and a secret goes nowhere else.
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &issuer{id, address, &c}
}

// metadata is of RFC 8414 §2 what an API needs.
type metadata struct {
	Issuer                string `json:"issuer"`
	JWKSURI               string `json:"jwks_uri"`
	IntrospectionEndpoint string `json:"introspection_endpoint"`
}

// metadata finds the issuer's metadata (RFC 8414 §3.1; behind its path, as OpenID Connect
// Discovery has it, where there is nothing). They must name this very issuer, to the letter
// (§3.3).
func (i *issuer) metadata(ctx context.Context) (m metadata, err error) {
	path := strings.TrimSuffix(i.address.EscapedPath(), "/")
	origin := i.address.Scheme + "://" + i.address.Host
	body, _, err := i.get(ctx, origin+"/.well-known/oauth-authorization-server"+path)
	if errors.Is(err, errNothingThere) {
		body, _, err = i.get(ctx, origin+path+"/.well-known/openid-configuration")
	}
	if err != nil {
		return m, err
	}
	if json.Unmarshal(body, &m) != nil {
		return m, errors.New("the issuer's metadata are no JSON object")
	}
	if m.Issuer != i.id {
		return m, errors.New("the metadata there are another issuer's: write the issuer as it calls itself, to the letter")
	}
	if _, ok := trusted(m.JWKSURI); !ok {
		return m, errors.New("the issuer's metadata name no jwks_uri that is https, or http on this machine")
	}
	return m, nil
}

// errNothingThere is 404.
var errNothingThere = errors.New("nothing is there (404)")

func (i *issuer) get(ctx context.Context, address string) ([]byte, http.Header, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, nil, err
	}
	return i.do(req)
}

// do sends a request to the issuer. Only a whole JSON answer of a bounded size counts; a
// redirect is none.
func (i *issuer) do(req *http.Request) ([]byte, http.Header, error) {
	ctx, cancel := context.WithTimeout(req.Context(), answerTime)
	defer cancel()
	req.Header.Set("Accept", "application/json")
	resp, err := i.client.Do(req.WithContext(ctx))
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusOK:
	case http.StatusNotFound:
		return nil, nil, fmt.Errorf("%s: %w", req.URL, errNothingThere)
	default:
		return nil, nil, fmt.Errorf("%s answered %d", req.URL, resp.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return nil, nil, err
	}
	if len(body) > maxAnswer {
		return nil, nil, fmt.Errorf("%s answered more than %d bytes", req.URL, maxAnswer)
	}
	return body, resp.Header, nil
}
