package details

import (
	"errors"
	"strconv"
	"strings"
)

// maxInteger bounds amounts in minor units, counts and the integers of constraints: every
// reader of JSON has the integers below 2^53 (RFC 8785).
const maxInteger = 1<<53 - 1

// minorUnits are the codes of ISO 4217 by how many digits their amounts have behind the
// point. Metals, funds without units and codes for tests are not in it. BSV is counted in
// satoshis.
var minorUnits = digitsOf(map[int]string{
	0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
	2: "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF CHE CHF CHW CNY COP COU CRC CUP CVE CZK DKK DOP DZD " +
		"EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD " +
		"MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD " +
		"SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD USN UYU UZS VED VES WST XAD XCD XCG YER ZAR ZMW ZWG",
	3: "BHD IQD JOD KWD LYD OMR TND",
	4: "CLF UYW",
	8: "BSV",
})

func digitsOf(codes map[int]string) map[string]int {
	digits := map[string]int{}
	for n, list := range codes {
		for code := range strings.FieldsSeq(list) {
			digits[code] = n
		}
	}
	return digits
}

// MinorUnits is how many digits amounts of a currency have behind the point, and whether
// there is such a currency.
func MinorUnits(currency string) (int, bool) {
	n, ok := minorUnits[currency]
	return n, ok
}

var (
	errCurrency = errors.New("is no code of ISO 4217 with minor units, in capital letters, and not BSV")
	errAmount   = errors.New("must be an amount as a text: digits, and behind a point no more of them than the currency has; no sign, exponent or leading zero")
	errTooMuch  = errors.New("must be less than 2^53 minor units of the currency")
)

// ParseAmount reads an amount, like 3.50, into minor units of its currency. Fewer digits
// than the currency has will do, more will not. There are no floats on the way.
func ParseAmount(text, currency string) (int64, error) {
	digits, ok := minorUnits[currency]
	if !ok {
		return 0, errCurrency
	}
	whole, part, point := strings.Cut(text, ".")
	switch {
	case whole == "" || (len(whole) > 1 && whole[0] == '0') || !onlyDigits(whole):
		return 0, errAmount
	case point && (part == "" || len(part) > digits || !onlyDigits(part)):
		return 0, errAmount
	}
	// Of what has too many digits the largest number is returned, beside the error.
	minor, _ := strconv.ParseInt(whole+part+strings.Repeat("0", digits-len(part)), 10, 64)
	if minor > maxInteger {
		return 0, errTooMuch
	}
	return minor, nil
}

func onlyDigits(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return r < '0' || r > '9' })
}

// FormatAmount writes minor units of a currency with all its digits: 350 of USD is 3.50. Of
// a currency that there is not it writes minor units.
func FormatAmount(minor int64, currency string) string {
	digits := minorUnits[currency]
	text, sign := strconv.FormatInt(minor, 10), ""
	if minor < 0 {
		text, sign = text[1:], "-"
	}
	if digits == 0 {
		return sign + text
	}
	text = strings.Repeat("0", max(0, digits+1-len(text))) + text
	return sign + text[:len(text)-digits] + "." + text[len(text)-digits:]
}
