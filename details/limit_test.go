package details_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"countersign.dev/details"
)

func TestLimitsAreTriedInOneOrderAndCountedInWindowsOfUTC(t *testing.T) {
	list := parse(t, `[{"type":"spend","currency":"JPY","payments":3,"total":"900","per_month":"500","per_week":"200","per_day":"100","per_transaction":"50","once":true},`+
		`{"type":"call","resource":"https://api.example","actions":["x"],"per_day":7,"once":true},{"type":"call","resource":"https://api.example","actions":["y"]}]`)
	// It is Thursday in Tokyo, and a day, a week, a month and a year earlier in UTC.
	at := time.Date(2026, 1, 1, 8, 59, 59, 0, time.FixedZone("JST", 9*3600))
	for i, want := range [][]details.Limit{
		{
			{Name: "per_transaction", Max: 50, Money: true},
			{Name: "per_day", Window: "2025-12-31", Max: 100, Money: true},
			{Name: "per_week", Window: "2026-W01", Max: 200, Money: true},
			{Name: "per_month", Window: "2025-12", Max: 500, Money: true},
			{Name: "total", Window: details.Life, Max: 900, Money: true},
			{Name: "payments", Window: details.Life, Max: 3},
			{Name: "once", Window: details.Life, Max: 1},
		},
		{{Name: "per_day", Window: "2025-12-31", Max: 7}, {Name: "once", Window: details.Life, Max: 1}},
		nil,
	} {
		if diff := cmp.Diff(want, list[i].LimitsAt(at)); diff != "" {
			t.Errorf("element %d: %s", i, diff)
		}
	}
	for instant, want := range map[string]string{
		"2025-12-31T23:59:59Z":      "2025-12-31 2026-W01 2025-12 life",
		"2026-01-01T00:00:00Z":      "2026-01-01 2026-W01 2026-01 life",
		"2026-01-04T23:59:59Z":      "2026-01-04 2026-W01 2026-01 life",
		"2026-01-05T00:00:00Z":      "2026-01-05 2026-W02 2026-01 life",
		"2027-01-01T00:00:00+14:00": "2026-12-31 2026-W53 2026-12 life",
		"2027-01-03T12:00:00Z":      "2027-01-03 2026-W53 2027-01 life",
	} {
		when, err := time.Parse(time.RFC3339, instant)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(details.Windows(when), " "); got != want {
			t.Errorf("%s: %s, want %s", instant, got, want)
		}
	}
}

func TestAmountsAreReadWithoutFloats(t *testing.T) {
	for text, want := range map[string]struct {
		currency, all string
		minor         int64
	}{
		"3.5":                 {"USD", "3.50", 350},
		"0":                   {"USD", "0.00", 0},
		"0.07":                {"EUR", "0.07", 7},
		"90071992547409.91":   {"USD", "90071992547409.91", 1<<53 - 1},
		"1200":                {"JPY", "1200", 1200},
		"1.234":               {"KWD", "1.234", 1234},
		"2.5":                 {"CLF", "2.5000", 25000},
		"20999999.9769":       {"BSV", "20999999.97690000", 2099999997690000},
		"0.00000001":          {"BSV", "0.00000001", 1},
		"0.10":                {"GBP", "0.10", 10},
		"9007199254740991":    {"KRW", "9007199254740991", 1<<53 - 1},
		"1000000000000.00001": {"BSV", "", 0},
	} {
		minor, err := details.ParseAmount(text, want.currency)
		if want.all == "" {
			if err == nil {
				t.Errorf("%s %s is %d", text, want.currency, minor)
			}
			continue
		}
		if err != nil || minor != want.minor || details.FormatAmount(minor, want.currency) != want.all {
			t.Errorf("%s %s is %d (%s), %v", text, want.currency, minor, details.FormatAmount(minor, want.currency), err)
		}
	}
	for _, text := range []string{
		"", ".", "1.", ".5", "1.234", "-1", "+1", " 1", "1 ", "1e2", "1E2", "01", "00", "00.50", "1,5", "1_000", "0x1", "1.2.3", "1.-2", "1.+2", "١", "NaN", "90071992547409.92", "99999999999999999999999999", "1\n",
	} {
		if minor, err := details.ParseAmount(text, "USD"); err == nil {
			t.Errorf("%q is %d", text, minor)
		}
	}
	for _, text := range []string{"1.0", "1.", "9007199254740992"} {
		if minor, err := details.ParseAmount(text, "JPY"); err == nil {
			t.Errorf("%q is %d", text, minor)
		}
	}
	if minor, err := details.ParseAmount("1", "XXX"); err == nil {
		t.Errorf("1 XXX is %d", minor)
	}
	for currency, want := range map[string]string{"USD": "-0.05", "JPY": "-5", "": "-5", "XXX": "-5", "BHD": "-0.005"} {
		if got := details.FormatAmount(-5, currency); got != want {
			t.Errorf("-5 of %s is %s", currency, got)
		}
	}
}

func TestCurrenciesAreThoseOfISO4217(t *testing.T) {
	for currency, want := range map[string]int{"USD": 2, "EUR": 2, "JPY": 0, "KRW": 0, "BHD": 3, "TND": 3, "CLF": 4, "UYW": 4, "BSV": 8, "HUF": 2, "ISK": 0, "IQD": 3, "XOF": 0, "ZWG": 2} {
		if digits, ok := details.MinorUnits(currency); !ok || digits != want {
			t.Errorf("%s has %d digits, %v", currency, digits, ok)
		}
	}
	for _, currency := range []string{"", "usd", "US", "USDT", "BTC", "XAU", "XXX", "XTS", "HRK", "ZWL", "US D"} {
		if digits, ok := details.MinorUnits(currency); ok {
			t.Errorf("%q has %d digits", currency, digits)
		}
	}
}

func TestTheTypesAreNamed(t *testing.T) {
	if got := strings.Join(details.Types(), " "); got != "call skill spend" {
		t.Error(got)
	}
}
