package bitcoinauth_test

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	ec "github.com/bsv-blockchain/go-sdk/primitives/ec"

	"countersign.dev/bitcoinauth"
)

type vector struct {
	Name         string  `json:"name"`
	Token        string  `json:"token"`
	WIF          string  `json:"wif"`
	Scheme       string  `json:"scheme"`
	RequestPath  string  `json:"requestPath"`
	Body         *string `json:"body"`
	BodyEncoding string  `json:"bodyEncoding"`
	Valid        bool    `json:"valid"`
	ServerTime   string  `json:"serverTime"`
}

func (v vector) body(tb testing.TB) []byte {
	tb.Helper()
	if v.Body == nil {
		return nil
	}
	var b []byte
	var err error
	switch v.BodyEncoding {
	case "hex":
		b, err = hex.DecodeString(*v.Body)
	case "base64":
		b, err = base64.StdEncoding.DecodeString(*v.Body)
	default:
		b = []byte(*v.Body)
	}
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

func vectors(tb testing.TB) []vector {
	tb.Helper()
	raw, err := os.ReadFile("testdata/bitcoin-auth.json")
	if err != nil {
		tb.Fatal(err)
	}
	var file struct{ Cases []vector }
	if err := json.Unmarshal(raw, &file); err != nil {
		tb.Fatal(err)
	}
	if len(file.Cases) == 0 {
		tb.Fatal("no cases")
	}
	return file.Cases
}

func at(tb testing.TB, text string) time.Time {
	tb.Helper()
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		tb.Fatal(err)
	}
	return t
}

func TestVectorsOfOtherImplementationsAreJudgedRight(t *testing.T) {
	for _, v := range vectors(t) {
		t.Run(v.Name, func(t *testing.T) {
			got, err := bitcoinauth.Verify(v.Token, bitcoinauth.Check{Path: v.RequestPath, Body: v.body(t), Now: at(t, v.ServerTime)})
			if (err == nil) != v.Valid {
				t.Fatalf("Verify: %v, want valid %v", err, v.Valid)
			}
			if err != nil {
				var refused *bitcoinauth.Error
				if !errors.As(err, &refused) || refused.Error() == "" {
					t.Errorf("refused without a reason: %#v", err)
				}
				return
			}
			if want := strings.SplitN(v.Token, "|", 2)[0]; got.PublicKey != want {
				t.Errorf("PublicKey = %s, want %s", got.PublicKey, want)
			}
		})
	}
}

func TestOurTokensAreTheSameAsTheirs(t *testing.T) {
	for _, v := range vectors(t) {
		if !v.Valid {
			continue
		}
		key, err := ec.PrivateKeyFromWif(v.WIF)
		if err != nil {
			t.Fatal(err)
		}
		now := at(t, v.ServerTime)
		ours, err := bitcoinauth.Sign(key, bitcoinauth.Signing{Path: v.RequestPath, Body: v.body(t), Time: now, Scheme: bitcoinauth.Scheme(v.Scheme)})
		if err != nil {
			t.Fatal(err)
		}
		if v.Scheme == "bsm" && ours != v.Token { // deterministic; BRC-77 draws a key id
			t.Errorf("%s: our token differs from theirs", v.Name)
		}
		if _, err := bitcoinauth.Verify(ours, bitcoinauth.Check{Path: v.RequestPath, Body: v.body(t), Now: now}); err != nil {
			t.Errorf("%s: our own token is refused: %v", v.Name, err)
		}
	}
}

const path = "/api/auth/sign-in/sigma"

func now() time.Time { return time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC) }

func key() *ec.PrivateKey {
	k, _ := ec.PrivateKeyFromBytes([]byte{31: 7})
	return k
}

func sign(tb testing.TB, s bitcoinauth.Signing) string {
	tb.Helper()
	token, err := bitcoinauth.Sign(key(), s)
	if err != nil {
		tb.Fatal(err)
	}
	return token
}

func reason(err error) bitcoinauth.Reason {
	var refused *bitcoinauth.Error
	if errors.As(err, &refused) {
		return refused.Reason
	}
	return ""
}

func TestN02_TheWindowIsFiveMinutesOnBothSides(t *testing.T) {
	token := sign(t, bitcoinauth.Signing{Path: path, Time: now()})
	for offset, want := range map[time.Duration]bitcoinauth.Reason{
		5 * time.Minute: "", -5 * time.Minute: "", 5*time.Minute + time.Millisecond: bitcoinauth.TooOld,
		-5*time.Minute - time.Millisecond: bitcoinauth.TooNew, 6 * 365 * 24 * time.Hour: bitcoinauth.TooOld,
	} {
		_, err := bitcoinauth.Verify(token, bitcoinauth.Check{Path: path, Now: now().Add(offset)})
		if reason(err) != want {
			t.Errorf("offset %v: %v, want %q", offset, err, want)
		}
	}
}

func TestN02_ATimeThatCannotBeReadIsRefused(t *testing.T) {
	token := sign(t, bitcoinauth.Signing{Path: path, Time: now()})
	part := strings.Split(token, "|")
	for _, text := range []string{"not-a-date", "2026-13-01T00:00:00.000Z", "1763888400000", "2026-11-23T09:00:00Z", "2026-11-23T09:00:00.000+00:00", "2026-11-23T09:00:00.0000Z", ""} {
		part[2] = text
		if _, err := bitcoinauth.Verify(strings.Join(part, "|"), bitcoinauth.Check{Path: path, Now: now()}); reason(err) != bitcoinauth.BadTime {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// TestN03_NoReencodingOfATokenPasses re-encodes a good token in every way known;
// each must be refused, so that a used token cannot come back as a new one.
func TestN03_NoReencodingOfATokenPasses(t *testing.T) {
	check := bitcoinauth.Check{Path: path, Now: now()}
	for _, scheme := range []bitcoinauth.Scheme{bitcoinauth.BRC77, bitcoinauth.BSM} {
		token := sign(t, bitcoinauth.Signing{Path: path, Time: now(), Scheme: scheme})
		if _, err := bitcoinauth.Verify(token, check); err != nil {
			t.Fatal(err)
		}
		part := strings.Split(token, "|")
		raw, err := base64.StdEncoding.DecodeString(part[4])
		if err != nil {
			t.Fatal(err)
		}
		with := func(i int, text string) string {
			changed := slices.Clone(part)
			changed[i] = text
			return strings.Join(changed, "|")
		}
		encode := base64.StdEncoding.EncodeToString
		changed := map[string]string{
			"upper-case key":   with(0, strings.ToUpper(part[0])),
			"uncompressed key": with(0, hex.EncodeToString(key().PubKey().Uncompressed())),
			"trailing byte":    with(4, encode(append(append([]byte(nil), raw...), 0))),
			"other padding":    with(4, part[4]+"="),
			"url-safe base64":  with(4, strings.NewReplacer("+", "-", "/", "_").Replace(part[4])+"-"),
			"line break":       with(4, part[4][:8]+"\n"+part[4][8:]),
			"high s":           with(4, encode(highS(t, scheme, raw))),
			"upper-case word":  with(1, strings.ToUpper(part[1])),
		}
		for name, token := range changed {
			if _, err := bitcoinauth.Verify(token, check); err == nil {
				t.Errorf("%s, %s: accepted", scheme, name)
			}
		}
	}
}

// highS replaces s by n - s, which verifies as well as s does.
func highS(tb testing.TB, scheme bitcoinauth.Scheme, raw []byte) []byte {
	tb.Helper()
	n := ec.S256().N
	if scheme == bitcoinauth.BSM {
		s := new(big.Int).Sub(n, new(big.Int).SetBytes(raw[33:]))
		out := append([]byte(nil), raw[:33]...)
		out[0] = 31 + (out[0] - 31) ^ 1
		return append(out, s.FillBytes(make([]byte, 32))...)
	}
	const derAt = 4 + 33 + 1 + 32
	sig, err := ec.FromDER(raw[derAt:])
	if err != nil {
		tb.Fatal(err)
	}
	r, s := sig.R.Bytes(), new(big.Int).Sub(n, sig.S).Bytes()
	number := func(b []byte) []byte {
		if b[0]&0x80 != 0 {
			b = append([]byte{0}, b...)
		}
		return append([]byte{2, byte(len(b))}, b...)
	}
	body := append(number(r), number(s)...)
	return append(append(append([]byte(nil), raw[:derAt]...), 0x30, byte(len(body))), body...)
}

func TestN05_EnvelopesOfEveryLengthAreAnOrdinaryRefusal(t *testing.T) {
	for _, scheme := range []bitcoinauth.Scheme{bitcoinauth.BRC77, bitcoinauth.BSM} {
		token := sign(t, bitcoinauth.Signing{Path: path, Time: now(), Scheme: scheme})
		head, encoded := token[:strings.LastIndex(token, "|")+1], token[strings.LastIndex(token, "|")+1:]
		raw, err := base64.StdEncoding.DecodeString(encoded)
		if err != nil {
			t.Fatal(err)
		}
		padded := append(append([]byte(nil), raw...), make([]byte, 200)...)
		for length := range 201 {
			cut := head + base64.StdEncoding.EncodeToString(padded[:length])
			_, err := bitcoinauth.Verify(cut, bitcoinauth.Check{Path: path, Now: now()})
			if (err == nil) != (length == len(raw)) {
				t.Errorf("%s, %d bytes: %v", scheme, length, err)
			}
		}
	}
}

func TestN08_BSMCanBeRefused(t *testing.T) {
	token := sign(t, bitcoinauth.Signing{Path: path, Time: now(), Scheme: bitcoinauth.BSM})
	if _, err := bitcoinauth.Verify(token, bitcoinauth.Check{Path: path, Now: now(), RefuseBSM: true}); reason(err) != bitcoinauth.UnknownScheme {
		t.Error(err)
	}
}

func TestReplayKeyNamesWhatWasSignedAndByWhom(t *testing.T) {
	verify := func(token, path string, body []byte) [32]byte {
		v, err := bitcoinauth.Verify(token, bitcoinauth.Check{Path: path, Body: body, Now: now()})
		if err != nil {
			t.Fatal(err)
		}
		return v.ReplayKey
	}
	base := verify(sign(t, bitcoinauth.Signing{Path: path, Time: now()}), path, nil)
	if again := verify(sign(t, bitcoinauth.Signing{Path: path, Time: now(), Scheme: bitcoinauth.BSM}), path, nil); again != base {
		t.Error("another signature over the same text has another replay key")
	}
	if other := verify(sign(t, bitcoinauth.Signing{Path: path, Time: now(), Body: []byte("{}")}), path, []byte("{}")); other == base {
		t.Error("another body has the same replay key")
	}
	if other := verify(sign(t, bitcoinauth.Signing{Path: path, Time: now().Add(time.Millisecond)}), path, nil); other == base {
		t.Error("another time has the same replay key")
	}
}

func TestSignRefusesWhatNoVerifierCouldRead(t *testing.T) {
	for _, bad := range []string{"", "no-slash", "/a|b", "/a b", "/a\nb"} {
		if _, err := bitcoinauth.Sign(key(), bitcoinauth.Signing{Path: bad, Time: now()}); reason(err) != bitcoinauth.BadPath {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if _, err := bitcoinauth.Sign(key(), bitcoinauth.Signing{Path: "/", Time: now(), Scheme: "x"}); reason(err) != bitcoinauth.UnknownScheme {
		t.Error(err)
	}
}

func FuzzVerify(f *testing.F) {
	for _, v := range vectors(f) {
		f.Add(v.Token, v.RequestPath, v.body(f))
	}
	f.Fuzz(func(t *testing.T, token, path string, body []byte) {
		v, err := bitcoinauth.Verify(token, bitcoinauth.Check{Path: path, Body: body, Now: now()})
		if err != nil {
			if reason(err) == "" || err.Error() == "" {
				t.Errorf("refused without a reason: %v", err)
			}
			return
		}
		if !strings.HasPrefix(token, v.PublicKey+"|") {
			t.Error("the verified key is not the one named")
		}
	})
}

func ExampleSign() {
	owner, _ := ec.PrivateKeyFromWif("KxGR5L2rNbeo42ED9X19rqWbEtMApsmoQQkgKPW26JjHzU1YJPnk")
	body := []byte(`{"bapId":"itpJCFzZv9WWMcCkvoGQCtBDgQU"}`)
	moment := time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)
	token, err := bitcoinauth.Sign(owner, bitcoinauth.Signing{Path: "/api/auth/sign-in/sigma", Body: body, Time: moment})
	if err != nil {
		fmt.Println(err)
		return
	}
	v, err := bitcoinauth.Verify(token, bitcoinauth.Check{Path: "/api/auth/sign-in/sigma", Body: body, Now: moment})
	fmt.Println(v.PublicKey, v.Scheme, err)
	// Output: 03cb4a29614b86a7316801b28b9075681e8bb42de18c7ad8672d647cbf4cac6a2f brc77 <nil>
}

func BenchmarkVerify(b *testing.B) {
	for _, scheme := range []bitcoinauth.Scheme{bitcoinauth.BRC77, bitcoinauth.BSM} {
		token := sign(b, bitcoinauth.Signing{Path: path, Time: now(), Scheme: scheme})
		b.Run(string(scheme), func(b *testing.B) {
			for b.Loop() {
				if _, err := bitcoinauth.Verify(token, bitcoinauth.Check{Path: path, Now: now()}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
