package receipt

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// maxDepth bounds the nesting of members that nobody asked for.
const maxDepth = 16

// What is wrong with a body, in words for whoever wrote it.
var (
	errNotObject = errors.New("the body is not a JSON object")
	errTwice     = errors.New("a parameter was sent twice")
	errTooDeep   = errors.New("the JSON is nested too deeply")
	errTrailing  = errors.New("there is something after the JSON object")
	errNoText    = errors.New("a parameter is not UTF-8, or has a NUL in it")
)

// Members are the members of a request's body. Server and receipt read bodies by
// this one reader: what a body says to the one it says to the other.
type Members struct {
	// Texts are the members whose value is a text, by their exact names.
	Texts map[string]string
	// Others are those whose value is something else, and whether it is true. A null
	// is how some say that a member is absent.
	Others map[string]bool
}

// Text returns a member that must be a text where it is there at all; an absent one
// is empty.
func (m Members) Text(name string) (string, error) {
	if _, other := m.Others[name]; other {
		return "", fmt.Errorf("%s must be a text", name)
	}
	return m.Texts[name], nil
}

// decoders are used again and again: a new one costs as much as what it reads.
var decoders = sync.Pool{New: func() any { return jsontext.NewDecoder(bytes.NewReader(nil)) }}

// ReadMembers reads one JSON object and nothing after it. A name that is there twice is
// refused, at any depth, because parsers differ in which they believe (requirement D-04);
// so is text that is not UTF-8 or has a NUL in it, which no database takes. Names are
// compared byte by byte once their escapes are resolved: "Statement" is not "statement".
func ReadMembers(body []byte) (Members, error) {
	m := Members{Texts: map[string]string{}}
	d := decoders.Get().(*jsontext.Decoder) //nolint:forcetypeassert // there is nothing else in it
	defer decoders.Put(d)
	d.Reset(bytes.NewReader(body))
	if d.PeekKind() != '{' {
		return m, errNotObject
	}
	if _, err := d.ReadToken(); err != nil {
		return m, notJSON(err)
	}
	for d.PeekKind() != '}' {
		name, err := d.ReadToken()
		if err != nil {
			return m, notJSON(err)
		}
		if err := m.read(d, name.String()); err != nil {
			return m, err
		}
	}
	if _, err := d.ReadToken(); err != nil {
		return m, notJSON(err)
	}
	if _, err := d.ReadToken(); !errors.Is(err, io.EOF) {
		return m, errTrailing
	}
	return m, nil
}

func notJSON(err error) error {
	if errors.Is(err, jsontext.ErrDuplicateName) {
		return errTwice
	}
	return errNotObject
}

func (m *Members) read(d *jsontext.Decoder, name string) error {
	kind := d.PeekKind()
	if kind == '"' {
		value, err := d.ReadToken()
		if err != nil {
			return notJSON(err)
		}
		if m.Texts[name] = value.String(); !IsText(m.Texts[name]) {
			return errNoText
		}
		return nil
	}
	if kind != 'n' {
		if m.Others == nil {
			m.Others = map[string]bool{}
		}
		m.Others[name] = kind == 't'
	}
	return skip(d)
}

// IsText reports whether a value is what every database keeps as it is: UTF-8
// (RFC 6749 appendix B) without a NUL.
func IsText(value string) bool {
	return utf8.ValidString(value) && strings.IndexByte(value, 0) < 0
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
