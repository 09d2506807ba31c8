package server_test

import (
	"html"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/server"
	"countersign.dev/receipt"
)

const languageCookie = "countersign.language"

var (
	htmlElement  = regexp.MustCompile(`<html lang="([^"]*)" dir="([^"]*)">`)
	languageLink = regexp.MustCompile(`hreflang="([^"]*)" lang="([^"]*)"( aria-current="true")?>([^<]*)<`)
)

// wantLanguage fails unless a page is in a language, to its last attribute.
func (r reply) wantLanguage(tag string) {
	r.t.Helper()
	dir := "ltr"
	if tag == "ar" {
		dir = "rtl"
	}
	found := htmlElement.FindStringSubmatch(r.body)
	if found == nil || found[1] != tag || found[2] != dir || r.header.Get("Content-Language") != tag {
		r.t.Errorf("%d, html element %q, Content-Language %q, want %s %s", r.status, found, r.header.Get("Content-Language"), tag, dir)
	}
	var here []string
	for _, link := range languageLink.FindAllStringSubmatch(r.body, -1) {
		if link[3] != "" {
			here = append(here, link[1])
		}
	}
	if !slices.Equal(here, []string{tag}) {
		r.t.Errorf("the footer says that this is %v, want %s", here, tag)
	}
}

func TestThePageOffersEveryLanguageOfTheCatalogueByItsOwnName(t *testing.T) {
	r := newHouse(t).send(http.MethodGet, "/device", "")
	got := map[string]string{}
	for _, link := range languageLink.FindAllStringSubmatch(r.body, -1) {
		got[link[1]] = link[4]
		if link[1] != link[2] {
			t.Errorf("the name of %s is marked as %s", link[1], link[2])
		}
	}
	want := map[string]string{"en": "English", "de": "Deutsch", "es": "Español", "ja": "日本語", "ar": "العربية"}
	if !maps.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	if files := sorted(messages(t)); !slices.Equal(files, sorted(want)) {
		t.Errorf("the catalogue has %v", files)
	}
}

func TestThePageSpeaksTheLanguageThatTheBrowserPrefers(t *testing.T) {
	h := newHouse(t)
	for accept, want := range map[string]string{
		"": "en", "*": "en", "fr": "en", "en-GB,en;q=0.5": "en", "de-AT,de;q=0.9": "de", "de-CH": "de", "es-MX,es;q=0.8,en;q=0.5": "es",
		"ja": "ja", "ja-JP": "ja", "ar": "ar", "ar-EG,en;q=0.1": "ar", "fr,ja;q=0.5": "ja", "en;q=0.1, ar;q=0.9": "ar", "de;q=0, es": "es",
	} {
		r := h.send(http.MethodGet, "/device", "", "Accept-Language", accept)
		t.Run(accept, func(t *testing.T) {
			r.t = t
			r.wantLanguage(want)
			r.wantPage(200, messages(t)[want]["enter.warning"]["other"])
			if set := r.languageSet(); set != "" {
				t.Errorf("a preference is no choice: %s", set)
			}
		})
	}
}

func TestALanguageThatWasChosenIsRemembered(t *testing.T) {
	h := newHouse(t)
	chosen := h.send(http.MethodGet, "/device?lang=ja", "", "Accept-Language", "de")
	chosen.wantLanguage("ja")
	set := chosen.languageSet()
	for _, part := range []string{languageCookie + "=ja;", "Path=/", "HttpOnly", "SameSite=Lax", "Max-Age=31536000"} {
		if !strings.Contains(set, part) {
			t.Errorf("%q lacks %q", set, part)
		}
	}
	if !slices.Contains(strings.Split(chosen.header.Get("Vary"), ", "), "Cookie") {
		t.Errorf("Vary: %q", chosen.header.Get("Vary"))
	}
	cookie, _, _ := strings.Cut(set, ";")
	h.send(http.MethodGet, "/device", "", "Accept-Language", "de", "Cookie", cookie).wantLanguage("ja")
	h.page("/device", cookie, url.Values{"code": {"x"}}).wantLanguage("ja")                        // an answer to a form too
	h.send(http.MethodGet, "/device/done/x", "", "Cookie", cookie).wantLanguage("ja")              // and an error
	h.send(http.MethodGet, "/device?lang=ar", "", "Cookie", cookie).wantLanguage("ar")             // until another is chosen
	h.send(http.MethodGet, "/device", "", "Cookie", languageCookie+"=nonsense").wantLanguage("en") // which must be one
	if set := newHouse(t, secureIssuer).send(http.MethodGet, "/device?lang=de", "").languageSet(); !strings.Contains(set, "Secure") {
		t.Errorf("on https: %q", set)
	}
}

// languageSet is the cookie by which an answer remembers a language, or empty.
func (r reply) languageSet() string {
	for _, set := range r.header.Values("Set-Cookie") {
		if strings.HasPrefix(strings.TrimPrefix(set, "__Host-"), languageCookie+"=") {
			return set
		}
	}
	return ""
}

func secureIssuer(s *authz.Settings) { s.Issuer = "https://id.example" }

func TestNonsenseForALanguageIsHarmless(t *testing.T) {
	h := newHouse(t)
	for _, nonsense := range []string{
		"klingon", "-", ",,,;;;", "de;q=", "de;q=9", "en\x00de", "\xff\xfe", "../../etc/passwd", "<script>", `"; drop`, "x-y-z", "i-default", "und", "de es ja", "🏴",
		strings.Repeat("de,", 100_000), strings.Repeat("a-", 100_000), strings.Repeat("q", 100_000), strings.Repeat("zh-Hant-", 400), strings.Repeat("fr-u-co-phonebk,", 20_000),
	} {
		for name, r := range map[string]reply{
			"header": h.send(http.MethodGet, "/device", "", "Accept-Language", nonsense),
			"cookie": h.send(http.MethodGet, "/device", "", "Cookie", languageCookie+"="+nonsense),
			"query":  h.send(http.MethodGet, "/device?lang="+url.QueryEscape(nonsense), ""),
			"error":  h.send(http.MethodGet, "/device/done/x?lang="+url.QueryEscape(nonsense), "", "Accept-Language", nonsense),
		} {
			switch {
			case name == "query" && !receipt.IsText(nonsense):
				r.wantPage(400) // no text at all
			case name != "error":
				r.wantPage(200)
			}
			if found := htmlElement.FindStringSubmatch(r.body); found == nil || messages(t)[found[1]] == nil {
				t.Errorf("%s %.40q: %d %q", name, nonsense, r.status, found)
			}
			if set := r.languageSet(); set != "" {
				t.Errorf("%s %.40q is remembered: %.100s", name, nonsense, set)
			}
		}
	}
}

// A list of languages longer than any browser's costs no more than a short one.
func TestAVeryLongListOfLanguagesIsNotRead(t *testing.T) {
	h := newHouse(t)
	longest := strings.Repeat("de,", 339) + "de-1901" // 1024 bytes
	h.send(http.MethodGet, "/device", "", "Accept-Language", longest).wantLanguage("de")
	h.send(http.MethodGet, "/device", "", "Accept-Language", " "+longest).wantLanguage("en")
	long := strings.Repeat("de,", 1000)
	h.send(http.MethodGet, "/device", "", "Accept-Language", long).wantLanguage("en")
	h.send(http.MethodGet, "/device", "", "Accept-Language", "ja", "Cookie", languageCookie+"="+strings.Repeat("d", 1000)).wantLanguage("ja")
	h.send(http.MethodGet, "/device?lang="+url.QueryEscape(long), "", "Accept-Language", "ar").wantLanguage("ar")
}

// wantSpoken fails unless a page is in a language, with a message of it and no
// English sentence.
func (r reply) wantSpoken(tag, id string) {
	r.t.Helper()
	all := messages(r.t)
	r.wantLanguage(tag)
	r.wantPage(r.status, all[tag][id]["other"])
	shown := html.UnescapeString(r.body)
	for id, source := range all["en"] {
		english := source["other"]
		const sentence = 12 // shorter ones may be a word of both languages
		if tag == "en" || len(english) < sentence || strings.Contains(english, "{") || english == all[tag][id]["other"] {
			continue
		}
		if strings.Contains(shown, english) {
			r.t.Errorf("English on a page in %s: %s %q", tag, id, english)
		}
	}
	for _, sign := range []string{"no value", "{{", "%!"} {
		if strings.Contains(r.body, sign) {
			r.t.Errorf("the page shows %q:\n%s", sign, r.body)
		}
	}
}

func inEveryLanguage(t *testing.T, change func(*authz.Settings), walk func(h *house, tag, cookie string)) {
	t.Helper()
	for _, tag := range sorted(messages(t)) {
		t.Run(tag, func(t *testing.T) {
			h := newHouse(t, change)
			name := languageCookie
			if strings.HasPrefix(h.settings.Issuer, "https:") {
				name = "__Host-" + languageCookie
			}
			walk(h, tag, name+"="+tag)
		})
	}
}

func TestEveryPageBeforeTheDecisionIsSaidInEveryLanguage(t *testing.T) {
	inEveryLanguage(t, secureIssuer, func(h *house, tag, cookie string) {
		get := func(target, cookie string) reply {
			return h.send(http.MethodGet, target, "", "Cookie", cookie, "Accept", "text/html")
		}
		post := func(code, cookie string) reply {
			return h.postForm("/device", url.Values{"code": {code}}, "Cookie", cookie, "Sec-Fetch-Site", "same-origin")
		}
		d := h.ask("pub-a", "openid")
		get("/", cookie).wantSpoken(tag, "home.what")
		get("/account", cookie).wantSpoken(tag, "signin.noscript-account")
		get("/device", cookie).wantSpoken(tag, "enter.warning")
		get("/device?code=AEIO", cookie).wantSpoken(tag, "enter.not-a-code")
		get("/device?code=BBBB-BBBB&user_code=CCCC-CCCC", cookie).wantSpoken(tag, "enter.two-codes")
		get("/device?code="+d.userCode, cookie).wantSpoken(tag, "signin.phone-what") // over https there is a QR code
		both := h.signIn("alice") + "; " + cookie
		get("/", both).wantSpoken(tag, "nav.account")
		get("/device?code="+d.userCode, both).wantSpoken(tag, "enter.yourself")
		post("BBBB-BBBB", both).wantSpoken(tag, "enter.no-use")
		for range 30 {
			if r := post("BBBB-BBBB", both); r.status == http.StatusTooManyRequests {
				r.wantSpoken(tag, "enter.too-many")
				return
			}
		}
		h.t.Error("never too many codes")
	})
}

func TestEveryReviewAndOutcomeIsSaidInEveryLanguage(t *testing.T) {
	change := func(s *authz.Settings) { s.RefreshLifetime = 100 * 24 * time.Hour }
	inEveryLanguage(t, change, func(h *house, tag, cookie string) {
		both := h.signIn("alice") + "; " + cookie
		asked := func(form url.Values, header ...string) string {
			return h.postForm(codePath, form, header...).wantOK().text("user_code")
		}
		says := url.Values{"client_id": {"pub-a"}, "scope": {"openid profile email offline_access"}, "device_name": {"TV"}, "device_platform": {"tvOS"}}
		registered, letters := asked(says, "User-Agent", "Program/1", "Origin", "https://app.example"), asked(url.Values{"client_id": {"some-app"}})
		numbers := asked(url.Values{"client_id": {"some-app"}, "number_match": {"true"}})
		signedOnly := asked(url.Values{"client_id": {"pub-a"}, "scope": {"openid"}, "approval": {authz.ApprovalSigned}})
		h.advance(40 * time.Second)

		review, transaction := h.review(both, registered)
		for _, id := range []string{"review.undo", "review.registered-what", "review.says", "scope.offline_access.text", "weight.acts", "network.same", "review.by-session"} {
			review.wantSpoken(tag, id)
		}
		page, _ := h.review(both, letters)
		page.wantSpoken(tag, "review.letters")
		page.wantSpoken(tag, "review.unverified-what")
		page, wrong := h.review(both, numbers)
		page.wantSpoken(tag, "review.number")
		page, _ = h.review(both, signedOnly)
		page.wantSpoken(tag, "review.signed-only")

		outcome := func(form url.Values) (string, reply) {
			h.t.Helper()
			decided := h.page("/device/decide", both, form)
			if decided.status != http.StatusSeeOther {
				h.t.Fatalf("%d %s", decided.status, decided.body)
			}
			at := decided.header.Get("Location")
			return at, h.send(http.MethodGet, at, "", "Cookie", both)
		}
		_, denied := outcome(url.Values{"transaction": {wrong}, "decision": {"deny"}})
		denied.wantSpoken(tag, "done.denied")
		at, allowed := outcome(url.Values{"transaction": {transaction}, "decision": {"approve"}, "scope": {"openid"}, "match": {registered[5:]}})
		for _, id := range []string{"done.allowed", "done.until", "account.grant-report", "proved.session"} {
			allowed.wantSpoken(tag, id)
		}
		h.page(at+"/undo", both, url.Values{"form": {h.formToken(both)}})
		h.send(http.MethodGet, at, "", "Cookie", both).wantSpoken(tag, "done.revoked")

		signed := h.approveSigned("alice", signedOnly)
		h.send(http.MethodGet, "/device/done/"+signed, "", "Cookie", both).wantSpoken(tag, "proved.signature")
		account := h.send(http.MethodGet, "/account", "", "Cookie", both)
		for _, id := range []string{"account.link-what", "account.grants", "account.grant-used", "how.signature", "account.keys-what", "signed-in.key"} {
			account.wantSpoken(tag, id)
		}
		h.advance(3 * time.Hour) // past the code and the one access token
		h.send(http.MethodGet, "/device/done/"+signed, "", "Cookie", both).wantSpoken(tag, "done.over")
	})
}

func TestEveryProblemIsSaidInEveryLanguage(t *testing.T) {
	h := newHouse(t)
	front, err := server.New(h.options)
	if err != nil {
		t.Fatal(err)
	}
	for _, tag := range sorted(messages(t)) {
		for _, code := range server.ProblemCodes() {
			r := httptest.NewRequest(http.MethodGet, "/device/request/x", http.NoBody)
			r.Header.Set("Accept-Language", tag)
			w := httptest.NewRecorder()
			front.Refusing(code).ServeHTTP(w, r)
			page := reply{t, w.Code, w.Header(), w.Body.String()}
			page.wantSpoken(tag, "problem.title")
			if code == authz.ServerError {
				page.wantSpoken(tag, "problem.what-ours")
				page.wantPage(http.StatusInternalServerError, "the-id")
			}
			if page.status < http.StatusBadRequest || strings.Contains(page.body, "for the developer") != (code == authz.BadLink) {
				t.Errorf("%s in %s: %d %s", code, tag, page.status, page.body)
			}
		}
	}
}

func TestArabicCountsInItsOwnForms(t *testing.T) {
	for n, want := range map[int][]string{
		1: {"ثانية واحدة", "يومًا واحدًا"}, 2: {"ثانيتين", "قبل ثانيتين", "يومين"}, 3: {"3 ثوانٍ", "قبل 3 ثوانٍ", "3 أيام"},
		11: {"11 ثانيةً", "قبل 11 ثانيةً", "11 يومًا"}, 100: {"قبل 100 ثانية<", "100 يوم."},
	} {
		h := newHouse(t, func(s *authz.Settings) {
			s.AccessTokenLifetime, s.RefreshLifetime = time.Duration(n)*time.Second, time.Duration(n)*24*time.Hour
		})
		once, renewed := h.ask("pub-a", "openid").userCode, h.ask("pub-a", "openid offline_access").userCode
		h.advance(time.Duration(n) * time.Second)
		cookie := h.signIn("alice") + "; " + languageCookie + "=ar"
		first, _ := h.review(cookie, once)
		second, _ := h.review(cookie, renewed)
		both := reply{t, second.status, second.header, first.body + second.body}
		both.wantPage(200, want...)
	}
}

func FuzzLanguages(f *testing.F) {
	h := newHouse(f)
	all := messages(f)
	f.Add("de-AT,de;q=0.9", "", "")
	f.Add("fr", "ja", "")
	f.Add("ar", "de", "es")
	f.Add("a-a-a-a,*;q=0.1,;;=", "\x00", "-u-x-")
	f.Fuzz(func(t *testing.T, accept, cookie, lang string) {
		h.t = t
		r := h.send(http.MethodGet, "/device?lang="+url.QueryEscape(lang), "", "Accept-Language", accept, "Cookie", languageCookie+"="+cookie)
		found := htmlElement.FindStringSubmatch(r.body)
		if r.status != answered(lang) || found == nil || all[found[1]] == nil {
			t.Fatalf("%d %q", r.status, found)
		}
		r.wantLanguage(found[1])
		if set := r.languageSet(); (set != "") != (lang == found[1]) || (all[lang] != nil && found[1] != lang) {
			t.Errorf("lang=%q answered in %s and set %q", lang, found[1], set)
		}
	})
}
