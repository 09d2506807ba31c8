package wire

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"countersign.dev/internal/authz"
)

// behind is a server that trusts one proxy on its own machine, a network of them
// and one address.
func behind() *Door {
	return &Door{Log: slog.New(slog.DiscardHandler), trustedProxies: []netip.Prefix{
		netip.MustParsePrefix("127.0.0.1/32"), netip.MustParsePrefix("10.0.7.0/24"), netip.MustParsePrefix("2001:db8:ffff::1/128"),
	}}
}

// heard is the source of a request from a peer with headers.
func (d *Door) heard(peer string, header http.Header) authz.Source {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.RemoteAddr, r.Header = peer, header
	return d.Source(r)
}

func TestB22_ForwardedHeadersCountOnlyFromListedProxies(t *testing.T) {
	const unknown = ""
	for _, c := range []struct {
		peer      string
		xff       []string
		forwarded []string
		want      string
		told      bool
	}{
		{peer: "198.51.100.7:1", want: "198.51.100.7"},
		{peer: "198.51.100.7:1", xff: []string{"203.0.113.9"}, forwarded: []string{"for=203.0.113.9"}, want: "198.51.100.7"},
		{peer: "10.0.8.1:1", xff: []string{"203.0.113.9"}, want: "10.0.8.1"},
		{peer: "127.0.0.1:1", want: unknown},
		{peer: "127.0.0.1:1", xff: []string{"203.0.113.9"}, want: "203.0.113.9", told: true},
		{peer: "[::ffff:127.0.0.1]:1", xff: []string{"203.0.113.9"}, want: "203.0.113.9", told: true},
		{peer: "[2001:db8:ffff::1]:1", xff: []string{"2001:db8::5"}, want: "2001:db8::5", told: true},
		{peer: "127.0.0.1:1", xff: []string{"192.168.1.5"}, want: "192.168.1.5", told: true},
		// The rightmost hop that is no listed proxy; what it claims is its own affair.
		{peer: "127.0.0.1:1", xff: []string{"8.8.8.8, 203.0.113.9, 10.0.7.3"}, want: "203.0.113.9", told: true},
		{peer: "127.0.0.1:1", xff: []string{"8.8.8.8", "203.0.113.9", "10.0.7.3"}, want: "203.0.113.9", told: true},
		{peer: "127.0.0.1:1", xff: []string{"10.0.7.4,10.0.7.3"}, want: unknown},
		// What cannot be read ends the walk where it was.
		{peer: "127.0.0.1:1", xff: []string{"203.0.113.9, unknown"}, want: unknown},
		{peer: "127.0.0.1:1", xff: []string{"203.0.113.9,,10.0.7.3"}, want: unknown},
		{peer: "127.0.0.1:1", xff: []string{""}, want: unknown},
		{peer: "127.0.0.1:1", xff: []string{",203.0.113.9"}, want: "203.0.113.9", told: true},
		{peer: "127.0.0.1:1", xff: []string{"203.0.113.9", ",10.0.7.3"}, want: unknown},
		{peer: "127.0.0.1:1", xff: []string{"203.0.113.9]"}, want: unknown},
		{peer: "127.0.0.1:1", xff: []string{"evil\x00, 203.0.113.9"}, want: "203.0.113.9", told: true},
		{peer: "127.0.0.1:1", xff: []string{"203.0.113.9:4711"}, want: "203.0.113.9", told: true},
		{peer: "127.0.0.1:1", xff: []string{"[2001:db8::5]:4711"}, want: "2001:db8::5", told: true},
		{peer: "127.0.0.1:1", xff: []string{"[2001:db8::5]"}, want: "2001:db8::5", told: true},
		{peer: "127.0.0.1:1", xff: []string{"::ffff:203.0.113.9"}, want: "203.0.113.9", told: true},
		{peer: "127.0.0.1:1", xff: []string{"fe80::1%eth0"}, want: "fe80::1", told: true},
		// RFC 7239, where there is nothing else.
		{peer: "127.0.0.1:1", forwarded: []string{"for=203.0.113.9"}, want: "203.0.113.9", told: true},
		{peer: "127.0.0.1:1", forwarded: []string{`For="[2001:db8::5]:4711";proto=https;by=10.0.7.3`}, want: "2001:db8::5", told: true},
		{peer: "127.0.0.1:1", forwarded: []string{"for=8.8.8.8, for=203.0.113.9;host=evil.example, for=10.0.7.3"}, want: "203.0.113.9", told: true},
		{peer: "127.0.0.1:1", forwarded: []string{`for=8.8.8.8, for="10.0.7.4"`, "for=10.0.7.3"}, want: "8.8.8.8", told: true},
		{peer: "127.0.0.1:1", forwarded: []string{`for="8.8.8.8, for=203.0.113.9`}, want: "203.0.113.9", told: true},
		{peer: "127.0.0.1:1", forwarded: []string{`for="8.8.8.8, for="203.0.113.9"`}, want: "203.0.113.9", told: true},
		{peer: "127.0.0.1:1", forwarded: []string{`proto="a,b";for=203.0.113.9`}, want: "203.0.113.9", told: true},
		{peer: "127.0.0.1:1", forwarded: []string{`for=203.0.113.9;ext="a,b"`}, want: "203.0.113.9", told: true},
		{peer: "127.0.0.1:1", forwarded: []string{"for=203.0.113.9, for=_hidden"}, want: unknown},
		{peer: "127.0.0.1:1", forwarded: []string{"for=unknown"}, want: unknown},
		{peer: "127.0.0.1:1", forwarded: []string{"for=203.0.113.9;for=8.8.8.8"}, want: unknown},
		{peer: "127.0.0.1:1", forwarded: []string{"for=_hidden;for=8.8.8.8"}, want: unknown},
		{peer: "127.0.0.1:1", forwarded: []string{"proto=https"}, want: unknown},
		{peer: "127.0.0.1:1", forwarded: []string{`for="`}, want: unknown},
		{peer: "127.0.0.1:1", forwarded: []string{`for=""`}, want: unknown},
		{peer: "127.0.0.1:1", forwarded: []string{`for=x203.0.113.9"`}, want: unknown},
		{peer: "127.0.0.1:1", forwarded: []string{`for="203.0.113.9x`}, want: unknown},
		{peer: "127.0.0.1:1", xff: []string{"203.0.113.9"}, forwarded: []string{"for=8.8.8.8"}, want: "203.0.113.9", told: true},
		{peer: "127.0.0.1:1", xff: []string{"nonsense"}, forwarded: []string{"for=8.8.8.8"}, want: unknown},
		{peer: "@", xff: []string{"203.0.113.9"}, want: unknown}, // a peer without an address
	} {
		header := http.Header{}
		for _, v := range c.xff {
			header.Add("X-Forwarded-For", v)
		}
		for _, v := range c.forwarded {
			header.Add("Forwarded", v)
		}
		got := behind().heard(c.peer, header)
		text := unknown
		if got.Address.IsValid() {
			text = got.Address.String()
		}
		if text != c.want || got.Forwarded != c.told {
			t.Errorf("%s with %q %q: %q %v, want %q %v", c.peer, c.xff, c.forwarded, text, got.Forwarded, c.want, c.told)
		}
	}
}

// Any stranger can send a forwarded header. A peer without an address is no proxy that
// could be listed.
func TestWhatIsKeptOfForwardingNetworksIsBounded(t *testing.T) {
	var log bytes.Buffer
	d := behind()
	d.Log = slog.New(slog.NewTextHandler(&log, nil))
	headers := []http.Header{{"X-Forwarded-For": {"203.0.113.9"}}, {"Forwarded": {"for=203.0.113.9"}}}
	if d.heard("@", headers[0]); log.Len() > 0 {
		t.Errorf("%s", log.String())
	}
	for i := range 2 * maxUnlisted {
		d.heard(fmt.Sprintf("198.18.%d.1:1", i), headers[i%2])
	}
	for _, network := range []string{"198.18.0.0", "198.18.1.0"} {
		if !strings.Contains(log.String(), network) {
			t.Errorf("%s is not told of", network)
		}
	}
	if n := strings.Count(log.String(), "not believed"); n != maxUnlisted || len(d.unlisted.seen) != maxUnlisted {
		t.Errorf("%d lines, and %d networks are kept", n, len(d.unlisted.seen))
	}
}

// FuzzForwarded sends whatever through a listed proxy, and as a stranger.
func FuzzForwarded(f *testing.F) {
	f.Add("8.8.8.8, 10.0.7.3", `for="[2001:db8::5]:1"`)
	f.Add("", `for="x, for=203.0.113.9`)
	f.Add("10.0.7.3,", "for=10.0.7.3;;,")
	f.Add("a\"b", `for="\", for=1.2.3.4`)
	f.Fuzz(func(t *testing.T, xff, forwarded string) {
		d := behind()
		both := http.Header{"X-Forwarded-For": {xff}, "Forwarded": {forwarded}}
		if got := d.heard("198.51.100.7:1", both); got.Address.String() != "198.51.100.7" || got.Forwarded {
			t.Errorf("a stranger's headers counted: %+v", got)
		}
		for name, value := range map[string]string{"X-Forwarded-For": xff, "Forwarded": forwarded} {
			got := d.heard("127.0.0.1:1", http.Header{name: {value}})
			if got.Forwarded != got.Address.IsValid() || (got.Forwarded && d.listed(got.Address)) {
				t.Fatalf("%s %q: %+v", name, value, got)
			}
			// A proxy writes what it saw behind whatever it was sent, on the same line
			// or on one of its own: nothing in there changes what counts.
			saw := "203.0.113.9"
			if name == "Forwarded" {
				saw = "for=203.0.113.9"
			}
			for _, lines := range [][]string{{value + ", " + saw}, {value, saw}, {value, saw + ", " + strings.Replace(saw, "203.0.113.9", "10.0.7.3", 1)}} {
				if got := d.heard("127.0.0.1:1", http.Header{name: lines}); got.Address.String() != "203.0.113.9" || !got.Forwarded {
					t.Errorf("%s %q: %+v", name, lines, got)
				}
			}
		}
	})
}
