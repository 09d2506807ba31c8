package wire

import (
	"encoding/json"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"countersign.dev/internal/authz"
	"countersign.dev/receipt"
)

// maxBody bounds a request body in bytes (requirement T-15).
const maxBody = 64 << 10

// Params are the members of a request body, form or JSON alike (ruling 0.1).
// The URL's query never counts (requirement T-02).
type Params struct {
	// Asking for a member that is not a text is an error, ignoring it is not
	// (RFC 6749 §3.2: unrecognised parameters are ignored; requirements D-03, T-11).
	receipt.Members
	// raw is the body as it was received: what an X-Auth-Token covers.
	raw []byte
	// several: a member of a form is there more than once, which List finds in raw.
	several bool
	Err     error
}

// Raw is the body as it was received.
func (p *Params) Raw() []byte { return p.raw }

// repeatable are what may be there more than once (RFC 8707 §2, RFC 8693 §2.1), all else
// is there once.
var repeatable = []string{"resource", "audience"}

// Text returns a member; an empty value counts as absent (RFC 6749 §3.2,
// requirement D-05).
func (p *Params) Text(name string) string {
	value, err := p.Members.Text(name)
	if err != nil {
		p.Err = &authz.Error{Code: authz.InvalidRequest, Description: err.Error()}
	}
	return value
}

// List returns what a repeatable member has been given: of a JSON body a text, or an
// array of them. Empty values count as absent.
func (p *Params) List(name string) []string {
	var list []string
	if p.several {
		form, err := url.ParseQuery(string(p.raw))
		if err != nil {
			p.Err = err
		}
		list = form[name]
	} else if _, other := p.Others[name]; other {
		if json.Unmarshal(p.other(name), &list) != nil {
			p.Err = &authz.Error{Code: authz.InvalidRequest, Description: name + " must be a text, or an array of texts"}
		}
	} else if text := p.Texts[name]; text != "" {
		list = []string{text}
	}
	if slices.ContainsFunc(list, func(value string) bool { return !receipt.IsText(value) }) {
		p.Err = errNoText
	}
	return slices.DeleteFunc(list, func(value string) bool { return value == "" })
}

// other is a member of a JSON body that is no text, as it was received.
func (p *Params) other(name string) json.RawMessage {
	var members map[string]json.RawMessage
	if json.Unmarshal(p.raw, &members) != nil { // which was read already
		return nil
	}
	return members[name]
}

// JSON returns a member that is JSON of any kind: of a JSON body as it stands there, of a form
// the text, which a JSON body may have as well (RFC 9396 §2). It is not read: that it is JSON at
// all, and no text in it has a NUL, is for who reads it to find. Empty: it is absent.
func (p *Params) JSON(name string) string {
	if _, other := p.Others[name]; other {
		return string(p.other(name))
	}
	return p.Texts[name]
}

// mostWhole is the largest whole number that every reader of JSON has as it was written
// (RFC 8259 §6).
const mostWhole = 1<<53 - 1

// Whole returns a member that is a whole number, none below zero: a number of a JSON body, or
// its digits in a text. An absent or empty one is 0, and was not said.
func (p *Params) Whole(name string) (number int64, said bool) {
	digits := p.JSON(name)
	if digits == "" {
		return 0, false
	}
	number, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || number < 0 || number > mostWhole || strconv.FormatInt(number, 10) != digits {
		p.Err = &authz.Error{Code: authz.InvalidRequest, Description: name + " must be a whole number, in digits alone"}
		return 0, true
	}
	return number, true
}

// Flag returns a member that is true or "true".
func (p *Params) Flag(name string) bool { return p.Others[name] || p.Texts[name] == "true" }

// Decode reads the body of a request once, and refuses what it cannot read
// (requirement T-14). Handlers that have asked for every member they know return Params.Err.
func Decode(r *http.Request) (*Params, error) {
	raw, err := readBody(r)
	if err != nil {
		return nil, err
	}
	p := &Params{raw: raw}
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

// DecodeJSON reads a body that must be JSON: endpoints that a form of a foreign
// page must not reach.
func DecodeJSON(r *http.Request) (*Params, error) {
	if mediaType, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); r.ContentLength != 0 && mediaType != "application/json" {
		return nil, errMediaType
	}
	return Decode(r)
}

// ReadFile reads a body of JSON that counts byte for byte, and is nothing of a request's own.
func ReadFile(r *http.Request) ([]byte, error) {
	if mediaType, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); mediaType != "application/json" {
		return nil, errMediaType
	}
	return readBody(r)
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

func (p *Params) readForm() error {
	p.Texts = map[string]string{}
	form, err := url.ParseQuery(string(p.raw))
	if err != nil {
		return &authz.Error{Code: authz.InvalidRequest, Description: "the form body cannot be read: encode it as application/x-www-form-urlencoded", Cause: err}
	}
	for name, values := range form {
		if slices.ContainsFunc(values, func(value string) bool { return !receipt.IsText(value) }) {
			return errNoText
		}
		switch {
		case len(values) == 1:
			p.Texts[name] = values[0]
		case slices.Contains(repeatable, name):
			p.several = true
		default:
			return errTwice
		}
	}
	return nil
}

// Readable refuses a path and a query that are not text: nothing has such a name,
// and not every database can be asked. Bodies are refused where they are decoded,
// an id in HTTP Basic is looked up only if a client could have it, and other headers
// are cleaned before they are kept.
func Readable(u *url.URL) error {
	if !receipt.IsText(u.Path) {
		return ErrNoEndpoint
	}
	if u.RawQuery == "" {
		return nil
	}
	for name, values := range u.Query() {
		if !receipt.IsText(name) || slices.ContainsFunc(values, func(v string) bool { return !receipt.IsText(v) }) {
			return errNoText
		}
	}
	return nil
}

var (
	errNoText = &authz.Error{Code: authz.InvalidRequest, Description: "a parameter is not UTF-8, or has a NUL in it"}
	errTwice  = &authz.Error{Code: authz.InvalidRequest, Description: "a parameter was sent twice"}
)

// readJSON reads one flat JSON object (requirement D-04), as receipts read it.
func (p *Params) readJSON() (err error) {
	if p.Members, err = receipt.ReadMembers(p.raw); err != nil {
		return &authz.Error{Code: authz.InvalidRequest, Description: err.Error()}
	}
	return nil
}

// DecodeForm reads a form of one of our own pages. Checkboxes of one name become one
// value with spaces, which is how a scope is written.
func DecodeForm(r *http.Request) (*Params, error) {
	raw, err := readBody(r)
	if err != nil {
		return nil, err
	}
	if len(raw) > 0 && !strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded") {
		return nil, errMediaType
	}
	fields, err := url.ParseQuery(string(raw))
	if err != nil {
		return nil, errUnreadableForm
	}
	p := &Params{Members: receipt.Members{Texts: map[string]string{}}}
	for name, values := range fields {
		if p.Texts[name] = strings.Join(values, " "); !receipt.IsText(p.Texts[name]) {
			return nil, errUnreadableForm
		}
	}
	return p, nil
}

// FormValues reads a form as it was sent, members that were sent twice included.
func FormValues(r *http.Request) (url.Values, error) {
	raw, err := readBody(r)
	if err != nil {
		return nil, err
	}
	if !strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded") {
		return nil, errMediaType
	}
	fields, err := url.ParseQuery(string(raw))
	if err != nil {
		return nil, errUnreadableForm
	}
	return fields, nil
}

var errUnreadableForm = &authz.Error{Code: CodeForm, Description: "this form cannot be read: go back and send it again"}

// UnixOrZero is a time in Unix seconds as answers have it, and 0 where there is none.
func UnixOrZero(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix()
}
