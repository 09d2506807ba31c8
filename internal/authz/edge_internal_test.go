package authz

import (
	"context"
	"crypto/rand"
	"errors"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestTheLettersAreTwentySixTwice(t *testing.T) {
	n := 0
	for r := range rune(0x100) {
		if isLetter(r) != strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ", r) {
			t.Errorf("%q", r)
		}
		if isLetter(r) {
			n++
		}
	}
	if n != 52 {
		t.Errorf("%d letters", n)
	}
}

// What is one character to a reader has sixteen bytes at most.
func TestB07_ACharacterHasSixteenBytesAtMost(t *testing.T) {
	sixteen := strings.Repeat("ᄀ", 4) + "\U0001e8d0" // with a mark of four bytes
	if got := CleanText(sixteen, 5); got != sixteen || len(got) != 16 {
		t.Errorf("%d bytes: %q", len(got), got)
	}
	hangul := strings.Repeat("ᄀ", 5) + "a" // jamo that lead, three bytes each, are one
	if got := CleanText(hangul, 5); got != hangul {
		t.Errorf("%d bytes: %q", len(hangul)-1, got)
	}
	if got := CleanText("é"+strings.Repeat("ᄀ", 6)+"a", 5); got != "éa" {
		t.Errorf("eighteen bytes: %q", got)
	}
}

func TestSeparatorsAreWhatIsNoLetterAndNoDigitOfASCII(t *testing.T) {
	for r := range rune(0x100) {
		digit := r >= '0' && r <= '9'
		if isSeparator(r) != (r < 0x80 && !isLetter(r) && !digit) {
			t.Errorf("%q", r)
		}
	}
	for id, poses := range map[string]bool{"c0untersign": true, "countersi9n": true, "my countersign": true, "my_admin": true, "my:countersign": true, "my-adm1n.tool": true, "0admin": false, "admin9": false, "countersigner": true, "countersig": false} {
		if posesAsServer(id) != poses {
			t.Errorf("%s", id)
		}
	}
}

// Of what is drawn, that is passed over which would make some likelier than others.
func TestNumbersAndCodesAreDrawnWithoutBias(t *testing.T) {
	for drawn, want := range map[string]int{"\x00": 10, "\xb3": 99, "\xb4\x01": 11, "\xff\xb4\x02": 12} {
		if n, err := newMatchNumber(strings.NewReader(drawn)); n != want || err != nil {
			t.Errorf("%q: %d, %v", drawn, n, err)
		}
	}
	if n, err := newMatchNumber(strings.NewReader("\xff")); err == nil {
		t.Errorf("%d of nothing", n)
	}
	const drawn = "\xf0\xff\x00\x13\x14\xef\x01\x02\x03\x04\xf0\xf0\xf0\xf0\xf0\xf0"
	if code, err := newUserCode(strings.NewReader(drawn), 8); code != "BZBZ-CDFG" || err != nil {
		t.Errorf("%q, %v", code, err)
	}
}

func TestK08_ThreeNumbersAreOfferedOneOfThemRight(t *testing.T) {
	secrets, err := deriveSecrets(make([]byte, SecretLength), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	first := map[string]bool{}
	for i := range 500 {
		r := DeviceRequest{ID: strconv.Itoa(i), MatchNumber: leastMatchNumber + i%matchNumbers}
		choose := func() []string { return matchChoices(r.MatchNumber, secrets.numberMatch(r.ID)) }
		choices := choose()
		right := strconv.Itoa(r.MatchNumber)
		unlike := map[string]bool{}
		for _, n := range choices {
			unlike[n] = true
		}
		if len(choices) != offeredNumbers || len(unlike) != offeredNumbers || !unlike[right] || !slices.Equal(choices, choose()) {
			t.Fatalf("%v of %s", choices, right)
		}
		first[strconv.Itoa(slices.Index(choices, right))] = true
	}
	if len(first) != offeredNumbers {
		t.Errorf("the right one is only ever at %v", first)
	}
}

func TestK08_WhatOneSlipIs(t *testing.T) {
	for typed, is := range map[string]bool{
		"BCDF": true, "BXDF": true, "XCDF": true, "BCDX": true, "BDF": true, "CDF": true, "BCD": true, "BCXDF": true, "XBCDF": true, "BCDFX": true, "CBDF": true, "BDCF": true, "BCFD": true,
		"XXDF": false, "BXXF": false, "DCBF": false, "BCXXDF": false, "BF": false, "": false, "FDCB": false, "CXDF": false, "XBDF": false, "DBCF": false,
	} {
		if oneSlip(typed, "BCDF") != is {
			t.Errorf("%q for BCDF: %v", typed, !is)
		}
	}
	for _, pair := range [][2]string{{"XB", "BXY"}, {"XBY", "BX"}, {"", "BC"}, {"BC", ""}} {
		if oneSlip(pair[0], pair[1]) {
			t.Errorf("%q for %q", pair[0], pair[1])
		}
	}
	if !oneSlip("", "B") || !oneSlip("B", "") || !oneSlip("", "") {
		t.Error("one letter, or none")
	}
}

func TestB01_AMatchIsAskedForUnlessAllIsKnown(t *testing.T) {
	for name, c := range map[string]struct {
		proved, registered bool
		scope              string
		network            NetworkDistance
		reports, number    int
		want               MatchKind
	}{
		"all":               {true, true, "openid profile", NetworkSame, 0, 0, MatchNone},
		"not who asks":      {false, true, "openid profile", NetworkSame, 0, 0, MatchLetters},
		"not the client":    {true, false, "openid profile", NetworkSame, 0, 0, MatchLetters},
		"more than basic":   {true, true, "openid repo", NetworkSame, 0, 0, MatchLetters},
		"elsewhere":         {true, true, "openid", NetworkOther, 0, 0, MatchLetters},
		"who knows where":   {true, true, "openid", NetworkUnknown, 0, 0, MatchLetters},
		"reported":          {true, true, "openid", NetworkSame, warnedReports, 0, MatchLetters},
		"all, and a number": {true, true, "openid", NetworkSame, 0, 42, MatchNone},
		"with a number":     {false, true, "openid", NetworkSame, 0, 42, MatchNumber},
	} {
		r := DeviceRequest{ClientProved: c.proved, MatchNumber: c.number}
		if got := matchKind(r, Client{Registered: c.registered}, c.scope, c.network, Reports{Network: c.reports}); got != c.want {
			t.Errorf("%s: %s", name, got)
		}
	}
}

func TestK08_WhatIsTypedForTheLastLetters(t *testing.T) {
	for code, answers := range map[string]map[string]fit{
		"BCDF-GHJK": {
			"GHJK": matched, "BCDFGHJK": matched, "GHKJ": mistyped, "GHJ": mistyped, "BCDFGHJ": mistyped, "AEIO": mistyped, "": mistyped, "XX": mistyped, "XXXXXX": mistyped,
			"XXXX": another, "BCDF": another, "XXXXXXXX": another, "XXXXXXXA": mistyped,
		},
		"BCDF-GHJKL": {"HJKL": matched, "GHJKL": matched, "BCDFGHJKL": matched, "XXXX": another, "XXXXX": another, "XXXXXXXXX": another, "XXXXXX": mistyped, "XXXXXXXX": mistyped, "GHJLK": mistyped},
	} {
		for answer, want := range answers {
			if got := matchesLetters(answer, code); got != want {
				t.Errorf("%q for %s: %d, want %d", answer, code, got, want)
			}
		}
	}
}

func TestANetworkIsCoarse(t *testing.T) {
	for address, want := range map[string]string{
		"203.0.113.7": "203.0.113.0/24", "::ffff:203.0.113.7": "203.0.113.0/24", "2001:db8:1:2::3": "2001:db8:1::/48", "::1": LoopbackNetwork, "127.8.8.8": LoopbackNetwork,
	} {
		if got := CoarseNetwork(netip.MustParseAddr(address)); got != want {
			t.Errorf("%s is in %q", address, got)
		}
	}
	if got := CoarseNetwork(netip.Addr{}); got != "" {
		t.Errorf("no address is in %q", got)
	}
}

func TestWithoutAScopeOfItsOwnAClientMayHaveWhatItsGrantsMean(t *testing.T) {
	for want, c := range map[string]Client{
		"openid profile":                {Registered: true, GrantTypes: []string{GrantDevice}},
		"openid profile offline_access": {Registered: true, GrantTypes: []string{GrantDevice, GrantRefresh}},
		"openid admin":                  {Registered: true, GrantTypes: []string{GrantDevice}, Scope: "openid admin"},
	} {
		if got := c.mayHave("openid profile offline_access admin"); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestAScopeIsAsLongAsItMayBe(t *testing.T) {
	longest := strings.TrimSpace(strings.Repeat("openid ", maxScope/7)) + strings.Repeat(" ", maxScope%7+1)
	if len(longest) != maxScope {
		t.Fatalf("%d bytes", len(longest))
	}
	if got, err := requestedScope(Client{}, longest); got != "openid" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	if got, err := requestedScope(Client{}, longest+" "); err == nil {
		t.Errorf("%q", got)
	}
	if got, err := requestedScope(Client{Registered: true}, ""); got != defaultScope || err != nil {
		t.Errorf("who is registered without a scope and asks for none gets %q, %v", got, err)
	}
}

func TestWhatIsTickedIsGrantedAndWhatCannotBeUnticked(t *testing.T) {
	for _, c := range []struct{ requested, chosen, want string }{
		{"openid profile email", "profile", "openid profile"},
		{"openid profile email", "email openid", "openid email"},
		{"openid profile", "", "openid"},
		{"profile email", "email", "email"},
	} {
		if got, err := chosenScope(c.requested, c.chosen); got != c.want || err != nil {
			t.Errorf("%q of %q: %q, %v", c.chosen, c.requested, got, err)
		}
	}
	if _, err := chosenScope("profile", " "); err == nil || !strings.Contains(err.Error(), "nothing is left") {
		t.Errorf("nothing of profile: %v", err)
	}
	if _, err := chosenScope("openid", "openid profile"); err == nil || !strings.Contains(err.Error(), "more was chosen") {
		t.Errorf("more: %v", err)
	}
}

// A token of before tokens named their grant is known by its row alone, which the
// token after the next one removes where it is named.
func TestATokenThatSaysNothingOfItselfIsNamedByNoSuccessor(t *testing.T) {
	s, err := deriveSecrets(make([]byte, SecretLength), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ours := s.refreshToken(Hash{1}, "grant")
	for token, named := range map[Secret]bool{ours: true, "csr_" + Secret(strings.Repeat("A", 43)): false} {
		replaces, grant, ok := s.refreshParts(s.successor(token, "grant"))
		if !ok || grant != "grant" || (replaces == token.Hash()) != named {
			t.Errorf("named: %v, want %v", replaces == token.Hash(), named)
		}
	}
}

func TestWhatIsTypedIsNoLongerThanItMayBe(t *testing.T) {
	for typed, want := range map[string]string{
		"BCDFGHJK" + strings.Repeat(" ", maxTypedCode-8):         "BCDF-GHJK",
		"BCDFGHJK" + strings.Repeat(" ", maxTypedCode-7):         "",
		"https://id.example.org/device?code=BCDF-GHJK&a=b#c":     "BCDF-GHJK",
		"https://id.example.org/device?code=BCDF-GHJK&a=%zz":     "",
		"https://id.example.org/device?code=BCDF-GHJK;user_code": "",
		"https://id.example.org/device?":                         "",
		"":                                                       "",
	} {
		if got, ok := ParseUserCode(typed); got != want || ok != (want != "") {
			t.Errorf("%.60q: %q, %v", typed, got, ok)
		}
	}
}

func TestWhatWasDecidedStaysSoAtTheEnd(t *testing.T) {
	end := time.Unix(1_800_000_000, 0)
	for state, after := range map[State]State{Pending: Expired, Approved: Expired, Denied: Denied, Redeemed: Redeemed} {
		r := DeviceRequest{State: state, ExpiresAt: end}
		if got := r.StateAt(end); got != after {
			t.Errorf("%s is %s then", state, got)
		}
		if got := r.StateAt(end.Add(-1)); got != state {
			t.Errorf("%s was %s before", state, got)
		}
	}
}

// Who goes away while others wait for their turn gives them none.
func TestWhoLeavesTheQueueGivesNobodyATurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns, names := newTurns(), []string{"a name"}
		done, err := turns.take(t.Context(), names)
		if err != nil {
			t.Fatal(err)
		}
		impatient, leave := context.WithCancel(t.Context())
		gone, second := make(chan error), make(chan func())
		go func() {
			_, err := turns.take(impatient, names)
			gone <- err
		}()
		synctest.Wait()
		leave()
		if err := <-gone; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		go func() {
			done, _ := turns.take(t.Context(), names)
			second <- done
		}()
		synctest.Wait()
		select {
		case <-second:
			t.Error("two have their turn")
		default:
		}
		done()
		(<-second)()
	})
}
