package usercode

import (
	"bytes"
	"crypto/rand"
	"math"
	"strings"
	"testing"
)

func TestB02_CodesGrowWithTheNumberThatArePending(t *testing.T) {
	for pending, want := range map[int]int{0: 8, 99_999: 8, 100_000: 9, 1_999_999: 9, 2_000_000: 10, math.MaxInt: 10} {
		letters := Lengths[LengthFor(pending)].Letters
		code, err := New(rand.Reader, letters)
		if err != nil || letters != want || len(code) != want+1 {
			t.Errorf("%d pending: %q %v", pending, code, err)
		}
		if again, ok := Parse(code); !ok || again != code {
			t.Errorf("%q reads as %q", code, again)
		}
		last := code[len(code)-4:]
		if strings.Contains(last, "-") || MatchLetters(last, code) != Matched {
			t.Errorf("%q: its last four letters do not match", code)
		}
	}
	if _, err := New(bytes.NewReader(nil), 8); err == nil {
		t.Error("a code without randomness")
	}
}
