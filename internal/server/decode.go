package server

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"countersign.dev/internal/authz"
)

const (
	// maxBody bounds a request body in bytes.
	maxBody = 64 << 10
	// maxDepth bounds the nesting of JSON that nobody asked for.
	maxDepth = 16
)

// params are the members of a request body, form or JSON alike (ruling 0.1).
// The URL's query never counts (requirement T-02).
type params struct {
	values map[string]string
	// odd are members whose JSON value is not a text; asking for one is an error,
	// ignoring it is not (RFC 6749 §3.2: unrecognised parameters are ignored).
	odd map[string]bool
	// raw is the body as it was received: what an X-Auth-Token covers.
	raw []byte
	err error
}

// text returns a member; an empty value counts as absent (RFC 6749 §3.2).
func (p *params) text(name string) string {
	if p.odd[name] && p.err == nil {
		p.err = &authz.Error{Code: authz.InvalidRequest, Description: name + " must be a text"}
	}
	return p.values[name]
}

// flag returns a member that is true or "true".
func (p *params) flag(name string) bool { return p.values[name] == "true" }

// decode reads the body of a request once. Handlers that have asked for every
// member they know return err.
func decode(r *http.Request) (*params, error) {
	raw, err := readBody(r)
	if err != nil {
		return nil, err
	}
	p := &params{raw: raw}
	if len(raw) == 0 {
		return p, nil
	}
	mediaType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	switch {
	case err != nil:
		return nil, errMediaType
	case mediaType == "application/json":
		return p, p.readJSON()
	case mediaType == "application/x-www-form-urlencoded":
		return p, p.readForm()
	default:
		// text/plain with JSON in it would let a foreign page post without a
		// preflight (ruling 0.1).
		return nil, errMediaType
	}
}

// decodeJSON reads a body that must be JSON: endpoints that a form of a foreign
// page must not reach.
func decodeJSON(r *http.Request) (*params, error) {
	if mediaType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); r.ContentLength != 0 && (err != nil || mediaType != "application/json") {
		return nil, errMediaType
	}
	return decode(r)
}

func readBody(r *http.Request) ([]byte, error) {
	if r.Header.Get("Content-Encoding") != "" {
		return nil, errMediaType
	}
	if r.ContentLength > maxBody {
		return nil, errTooLarge
	}
	var body []byte
	var err error
	if r.ContentLength > 0 {
		body = make([]byte, r.ContentLength)
		_, err = io.ReadFull(r.Body, body)
	} else {
		body, err = io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	}
	if err != nil {
		return nil, &authz.Error{Code: authz.InvalidRequest, Description: "the body ended early", Cause: err}
	}
	if len(body) > maxBody {
		return nil, errTooLarge
	}
	return body, nil
}

func (p *params) readForm() error {
	p.values = map[string]string{}
	form, err := url.ParseQuery(string(p.raw))
	if err != nil {
		return &authz.Error{Code: authz.InvalidRequest, Description: "the form body cannot be read: encode it as application/x-www-form-urlencoded", Cause: err}
	}
	for name, values := range form {
		if len(values) > 1 {
			return errTwice
		}
		if !isText(values[0]) {
			return errNoText
		}
		p.values[name] = values[0]
	}
	return nil
}

// isText reports whether a value is what every database keeps as it is: UTF-8
// (RFC 6749 appendix B) without a NUL.
func isText(value string) bool {
	return utf8.ValidString(value) && strings.IndexByte(value, 0) < 0
}

var (
	errNoText   = &authz.Error{Code: authz.InvalidRequest, Description: "a parameter is not UTF-8, or has a NUL in it"}
	errTwice    = &authz.Error{Code: authz.InvalidRequest, Description: "a parameter was sent twice"}
	errNotJSON  = &authz.Error{Code: authz.InvalidRequest, Description: "the body is not a JSON object"}
	errTooDeep  = &authz.Error{Code: authz.InvalidRequest, Description: "the JSON is nested too deeply"}
	errTrailing = &authz.Error{Code: authz.InvalidRequest, Description: "there is something after the JSON object"}
)

// decoders are used again and again: a new one costs as much as what it reads.
var decoders = sync.Pool{New: func() any { return jsontext.NewDecoder(bytes.NewReader(nil)) }}

// readJSON reads one flat JSON object. A name that is there twice is refused
// (requirement D-04), because parsers differ in which they believe; so is text
// that is not UTF-8.
func (p *params) readJSON() error {
	p.values = map[string]string{}
	d := decoders.Get().(*jsontext.Decoder) //nolint:forcetypeassert // there is nothing else in it
	defer decoders.Put(d)
	d.Reset(bytes.NewReader(p.raw))
	if d.PeekKind() != '{' {
		return errNotJSON
	}
	if _, err := d.ReadToken(); err != nil {
		return notJSON(err)
	}
	for d.PeekKind() != '}' {
		name, err := d.ReadToken()
		if err != nil {
			return notJSON(err)
		}
		if err := p.readMember(d, name.String()); err != nil {
			return err
		}
	}
	if _, err := d.ReadToken(); err != nil {
		return notJSON(err)
	}
	if _, err := d.ReadToken(); !errors.Is(err, io.EOF) {
		return errTrailing
	}
	return nil
}

func notJSON(err error) error {
	if errors.Is(err, jsontext.ErrDuplicateName) {
		return errTwice
	}
	return errNotJSON
}

func (p *params) readMember(d *jsontext.Decoder, name string) error {
	switch d.PeekKind() {
	case '"':
		value, err := d.ReadToken()
		if err != nil {
			return notJSON(err)
		}
		if p.values[name] = value.String(); !isText(p.values[name]) {
			return errNoText
		}
		return nil
	case 't':
		p.values[name] = "true"
		p.isOdd(name)
	case 'n': // null is how some say that a member is absent
	default:
		p.isOdd(name)
	}
	return skip(d)
}

// isOdd remembers a member whose value is not a text.
func (p *params) isOdd(name string) {
	if p.odd == nil {
		p.odd = map[string]bool{}
	}
	p.odd[name] = true
}

// skip reads one value of any kind, not too deep.
func skip(d *jsontext.Decoder) error {
	for level := d.StackDepth(); ; {
		if _, err := d.ReadToken(); err != nil {
			return notJSON(err)
		}
		switch depth := d.StackDepth(); {
		case depth > maxDepth:
			return errTooDeep
		case depth <= level:
			return nil
		}
	}
}

// preferredWait is the `wait` of the Prefer header in seconds (RFC 7240 §4.3),
// or 0.
func preferredWait(h http.Header) int {
	for _, value := range h.Values("Prefer") {
		for preference := range strings.SplitSeq(value, ",") {
			preference, _, _ = strings.Cut(preference, ";")
			name, seconds, _ := strings.Cut(preference, "=")
			if !strings.EqualFold(strings.TrimSpace(name), "wait") {
				continue
			}
			return boundedSeconds(strings.Trim(strings.TrimSpace(seconds), `"`))
		}
	}
	return 0
}

// boundedSeconds reads digits; more than a day's worth is all the same.
func boundedSeconds(digits string) int {
	const aDay = 86400
	n := 0
	for _, d := range digits {
		if d < '0' || d > '9' {
			return 0
		}
		if n = n*10 + int(d-'0'); n > aDay {
			return aDay
		}
	}
	return n
}
