package usercode

import (
	"crypto/rand"
	"slices"
	"strconv"
	"strings"
	"testing"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/secret"
)

// Of what is drawn, that is passed over which would make some likelier than others.
func TestNumbersAndCodesAreDrawnWithoutBias(t *testing.T) {
	for drawn, want := range map[string]int{"\x00": 10, "\xb3": 99, "\xb4\x01": 11, "\xff\xb4\x02": 12} {
		if n, err := NewNumber(strings.NewReader(drawn)); n != want || err != nil {
			t.Errorf("%q: %d, %v", drawn, n, err)
		}
	}
	if n, err := NewNumber(strings.NewReader("\xff")); err == nil {
		t.Errorf("%d of nothing", n)
	}
	const drawn = "\xf0\xff\x00\x13\x14\xef\x01\x02\x03\x04\xf0\xf0\xf0\xf0\xf0\xf0"
	if code, err := New(strings.NewReader(drawn), 8); code != "BZBZ-CDFG" || err != nil {
		t.Errorf("%q, %v", code, err)
	}
}

func TestK08_ThreeNumbersAreOfferedOneOfThemRight(t *testing.T) {
	secrets, err := secret.Derive(make([]byte, authz.SecretLength), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	first := map[string]bool{}
	for i := range 500 {
		r := authz.DeviceRequest{ID: strconv.Itoa(i), MatchNumber: leastMatchNumber + i%matchNumbers}
		choose := func() []string { return Numbers(r.MatchNumber, secrets.NumberMatch(r.ID)) }
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

func TestK08_WhatIsTypedForTheLastLetters(t *testing.T) {
	for code, answers := range map[string]map[string]Fit{
		"BCDF-GHJK": {
			"GHJK": Matched, "BCDFGHJK": Matched, "GHKJ": Mistyped, "GHJ": Mistyped, "BCDFGHJ": Mistyped, "AEIO": Mistyped, "": Mistyped, "XX": Mistyped, "XXXXXX": Mistyped,
			"XXXX": Another, "BCDF": Another, "XXXXXXXX": Another, "XXXXXXXA": Mistyped,
		},
		"BCDF-GHJKL": {"HJKL": Matched, "GHJKL": Matched, "BCDFGHJKL": Matched, "XXXX": Another, "XXXXX": Another, "XXXXXXXXX": Another, "XXXXXX": Mistyped, "XXXXXXXX": Mistyped, "GHJLK": Mistyped},
	} {
		for answer, want := range answers {
			if got := MatchLetters(answer, code); got != want {
				t.Errorf("%q for %s: %d, want %d", answer, code, got, want)
			}
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
		if got, ok := Parse(typed); got != want || ok != (want != "") {
			t.Errorf("%.60q: %q, %v", typed, got, ok)
		}
	}
}
