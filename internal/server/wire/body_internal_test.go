package wire

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"

	"countersign.dev/internal/authz"
)

const formType = "application/x-www-form-urlencoded"

func decoded(t testing.TB, contentType, body string) *Params {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
	r.Header.Set("Content-Type", contentType)
	p, err := Decode(r)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestAMemberThatIsJSONIsReadFromEitherBody(t *testing.T) {
	const details = `[ {"type":"spend","currency":"USD","total":"20.00"}, {"a":[1,2.50,{"b":null}]} ]`
	for name, row := range map[string]struct{ contentType, body, want string }{
		"a list":        {"application/json", `{"x":1,"authorization_details":` + details + `}`, details},
		"an object":     {"application/json", `{"authorization_details":{"a": 1}}`, `{"a": 1}`},
		"true":          {"application/json", `{"authorization_details":true}`, `true`},
		"a text":        {"application/json", `{"authorization_details":` + strconv.Quote(details) + `}`, details},
		"null":          {"application/json", `{"authorization_details":null}`, ``},
		"nothing":       {"application/json", `{"Authorization_details":[]}`, ``},
		"a form":        {formType, url.Values{"authorization_details": {details}}.Encode(), details},
		"an empty form": {formType, "authorization_details=", ""},
	} {
		p := decoded(t, row.contentType, row.body)
		if got := p.JSON("authorization_details"); got != row.want || p.Err != nil {
			t.Errorf("%s: %q %v, want %q", name, got, p.Err, row.want)
		}
	}
	// As a text it is refused, where one is asked for.
	p := decoded(t, "application/json", `{"authorization_details":[]}`)
	if p.Text("authorization_details") != "" || p.Err == nil {
		t.Error("a list was read as a text")
	}
}

func TestAResourceIsATextOrAListInJSONAndRepeatsInAForm(t *testing.T) {
	two := []string{"https://a.example", "https://b.example"}
	for name, row := range map[string]struct {
		contentType, body string
		want              []string
	}{
		"a text":       {"application/json", `{"resource":"https://a.example"}`, two[:1]},
		"a list":       {"application/json", `{"resource":["https://a.example","https://b.example"]}`, two},
		"an empty one": {"application/json", `{"resource":["","https://a.example"]}`, two[:1]},
		"once":         {formType, "resource=https://a.example", two[:1]},
		"twice":        {formType, "resource=https://a.example&x=y&resource=https://b.example", two},
		"none":         {formType, "x=y", nil},
	} {
		p := decoded(t, row.contentType, row.body)
		if got := p.List("resource"); !slices.Equal(got, row.want) || p.Err != nil {
			t.Errorf("%s: %q %v, want %q", name, got, p.Err, row.want)
		}
	}
	for _, body := range []string{`{"resource":5}`, `{"resource":{"a":"b"}}`, `{"resource":["a",5]}`, `{"resource":[["a"]]}`, `{"resource":true}`, `{"resource":["a\u0000"]}`} {
		p := decoded(t, "application/json", body)
		if list := p.List("resource"); p.Err == nil {
			t.Errorf("%s was read as %q", body, list)
		}
	}
	// All else is there once.
	r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader("authorization_details=a&authorization_details=b"))
	r.Header.Set("Content-Type", formType)
	if _, err := Decode(r); err == nil {
		t.Error("authorization_details was taken twice")
	}
}

func TestAWholeNumberIsOneInEitherBody(t *testing.T) {
	for text, want := range map[string]int64{"0": 0, "7": 7, "86400": 86400, "9007199254740991": 1<<53 - 1} {
		for _, p := range []*Params{decoded(t, "application/json", `{"lifetime":`+text+`}`), decoded(t, "application/json", `{"lifetime":"`+text+`"}`), decoded(t, formType, "lifetime="+text)} {
			if got, said := p.Whole("lifetime"); got != want || !said || p.Err != nil {
				t.Errorf("%s: %d %v %v", text, got, said, p.Err)
			}
		}
	}
	for _, value := range []string{"-1", "1.0", "1e3", "1.5", "9007199254740992", "99999999999999999999", "true", "[]", "{}", `"x"`, `" 1"`, `"+1"`, `"01"`, `"1 "`, `"0x1"`} {
		p := decoded(t, "application/json", `{"lifetime":`+value+`}`)
		if got, said := p.Whole("lifetime"); got != 0 || !said || p.Err == nil {
			t.Errorf("%s was read as %d %v", value, got, said)
		}
	}
	for _, body := range []string{`{}`, `{"lifetime":null}`, `{"lifetime":""}`} {
		p := decoded(t, "application/json", body)
		if got, said := p.Whole("lifetime"); got != 0 || said || p.Err != nil {
			t.Errorf("%s: %d %v %v", body, got, said, p.Err)
		}
	}
}

// What is read of a member that is no text is JSON, and nothing that anybody sends makes a
// reader panic or take more than it says.
func FuzzMembers(f *testing.F) {
	for _, body := range []string{`{"m":[{"a":1}]}`, `{"m":"1"}`, `{"m":12}`, `{"m":null}`, `{"m":["a","b"]}`, `{"m":{"m":[]}}`, `{"M":1,"m":1}`} {
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, body string) {
		r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		p, err := Decode(r)
		if err != nil {
			return
		}
		text, isText := p.Texts["m"]
		if raw := p.JSON("m"); !isText && raw != "" && !json.Valid([]byte(raw)) || isText && raw != text {
			t.Fatalf("%q of %q", raw, body)
		}
		if n, said := p.Whole("m"); n < 0 || n > mostWhole || n > 0 && !said {
			t.Fatalf("%d of %q", n, body)
		}
		p.Err = nil
		var refused *authz.Error
		if p.List("m"); p.Err != nil && !errors.As(p.Err, &refused) {
			t.Fatal(p.Err)
		}
	})
}
