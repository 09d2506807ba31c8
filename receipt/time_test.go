package receipt_test

import (
	"strings"
	"testing"
	"time"

	"countersign.dev/bitcoinauth"
	"countersign.dev/receipt"
)

// Signed when the statement was valid means: to the token's window around it.
func TestTheTimeOfSigningIsWithinTheStatements(t *testing.T) {
	s := statement(t)
	first, last := time.Unix(s.IssuedAt, 0).Add(-bitcoinauth.DefaultWindow), time.Unix(s.ExpiresAt, 0).Add(bitcoinauth.DefaultWindow)
	for at, want := range map[time.Time]receipt.Check{
		first: "", last: "", first.Add(-time.Millisecond): receipt.CheckTime, last.Add(time.Millisecond): receipt.CheckTime,
	} {
		if _, err := receipt.Verify([]byte(makeReceipt(t, s, key(7), at))); failed(err) != want {
			t.Errorf("signed %v: %v, want %q to fail", at.Sub(time.Unix(s.IssuedAt, 0)), err, want)
		}
	}
	s.ExpiresAt = s.IssuedAt - 1
	if _, err := receipt.Verify([]byte(makeReceipt(t, s, key(7), time.Unix(s.IssuedAt, 0)))); failed(err) != receipt.CheckTime {
		t.Errorf("a statement that ends before it begins: %v", err)
	}
	s.ExpiresAt = s.IssuedAt
	if _, err := receipt.Verify([]byte(makeReceipt(t, s, key(7), time.Unix(s.IssuedAt, 0)))); err != nil {
		t.Errorf("one that ends as it begins: %v", err)
	}
}

func TestABodyCarriesOneStatement(t *testing.T) {
	good := statement(t)
	other := good
	other.ClientID = "another-app"
	quote := func(s receipt.Statement) string { return `"` + strings.ReplaceAll(s.Encode(), `"`, `\"`) + `"` }
	for _, body := range []string{
		`{"statement":` + quote(good) + `,"statement":` + quote(other) + `}`,
		`{"statement":` + quote(good) + `,"statement":` + quote(good) + `}`,
		`{}`, `{"Statement":` + quote(good) + `}`, `not JSON`,
	} {
		if _, err := receipt.Verify([]byte(sign(t, key(7), signedAt, receipt.ApprovalPath, body))); failed(err) != receipt.CheckStatement {
			t.Errorf("%s: %v", body, err)
		}
	}
}
