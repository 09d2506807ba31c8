package wire

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"countersign.dev/internal/authz"
)

// Source is where a request came from, and whether a page of another site had it sent.
func (d *Door) Source(r *http.Request) authz.Source {
	from := d.sender(r)
	from.Page = d.Foreign(r)
	return from
}

// sender is the address that a request came from. Forwarded headers count only when a listed
// proxy sent them (attack B-22): each such proxy is asked, from the last one on,
// whom it heard, until one names somebody who is no listed proxy. Host and scheme
// are never taken from a header.
func (d *Door) sender(r *http.Request) authz.Source {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return authz.Source{}
	}
	hop := peer.Addr().Unmap()
	if !d.listed(hop) {
		d.noteUnlisted(r, hop)
		return authz.Source{Address: hop}
	}
	for before := range hopsBefore(r.Header) {
		if !before.IsValid() {
			break
		}
		if hop = before; !d.listed(hop) {
			return authz.Source{Address: hop, Forwarded: true}
		}
	}
	// Only proxies are known. A proxy's address is nobody's.
	return authz.Source{}
}

// unlisted are the networks that a proxy may stand in that the operator forgot.
type unlisted struct {
	mu   sync.Mutex
	seen map[string]bool // guarded by mu
}

// maxUnlisted bounds the networks that are told of: any stranger can send such a header.
const maxUnlisted = 32

// noteUnlisted tells the operator once of each network from which forwarded headers
// come that do not count. Private addresses are told whole: they may be a proxy's.
func (d *Door) noteUnlisted(r *http.Request, from netip.Addr) {
	if r.Header.Get("X-Forwarded-For") == "" && r.Header.Get("Forwarded") == "" {
		return
	}
	network := authz.CoarseNetwork(from)
	if from.IsLoopback() || from.IsPrivate() {
		network = from.WithZone("").String()
	}
	d.unlisted.mu.Lock()
	known := d.unlisted.seen[network] || len(d.unlisted.seen) >= maxUnlisted
	if !known {
		if d.unlisted.seen == nil {
			d.unlisted.seen = map[string]bool{}
		}
		d.unlisted.seen[network] = true
	}
	d.unlisted.mu.Unlock()
	if !known {
		d.Log.WarnContext(r.Context(), "forwarded headers are not believed: if a proxy of yours is there, name its address in trusted-proxies", "from", network)
	}
}

// listed reports whether an address is that of a proxy the operator trusts.
func (d *Door) listed(addr netip.Addr) bool {
	return slices.ContainsFunc(d.trustedProxies, func(p netip.Prefix) bool { return p.Contains(addr) })
}

// hopsBefore yields the addresses that forwarded headers name, the last one
// first. What cannot be read as an address is yielded as none. X-Forwarded-For
// wins; only where it is absent is RFC 7239's Forwarded read, so that nobody can
// play one against the other.
//
// Reading from the end matters: what stands to the left was sent by whoever is
// further away, and may be made to confuse.
func hopsBefore(h http.Header) func(yield func(netip.Addr) bool) {
	lines, element := h.Values("X-Forwarded-For"), hopAddress
	last := lastComma
	if len(lines) == 0 {
		lines, element, last = h.Values("Forwarded"), forwardedFor, lastUnquotedComma
	}
	return func(yield func(netip.Addr) bool) {
		for _, line := range slices.Backward(lines) {
			for more := true; more; {
				comma := last(line)
				more = comma >= 0
				if !yield(element(line[comma+1:])) {
					return
				}
				line = line[:max(comma, 0)]
			}
		}
	}
}

func lastComma(s string) int { return strings.LastIndexByte(s, ',') }

// lastUnquotedComma finds the comma before the last element of a list whose
// elements may have quoted commas. It reads backwards: the last element is the
// nearest proxy's and well formed, however the quotes before it stand.
func lastUnquotedComma(s string) int {
	quoted := false
	for i, c := range slices.Backward([]byte(s)) {
		switch {
		case c == '"':
			quoted = !quoted
		case c == ',' && !quoted:
			return i
		}
	}
	return -1
}

// hopAddress reads one hop: an address, with a port or brackets as some proxies
// write them.
func hopAddress(text string) netip.Addr {
	text = strings.Trim(text, " \t")
	if at, err := netip.ParseAddrPort(text); err == nil {
		return at.Addr().Unmap().WithZone("")
	}
	if inner, found := strings.CutPrefix(text, "["); found {
		text = strings.TrimSuffix(inner, "]")
	}
	addr, _ := netip.ParseAddr(text) // what is no address is the zero one
	return addr.Unmap().WithZone("")
}

// forwardedFor reads the `for` of one element of Forwarded (RFC 7239 §4). Hidden
// and unknown nodes (§6) name nobody.
func forwardedFor(element string) netip.Addr {
	found := netip.Addr{}
	for pair := range strings.SplitSeq(element, ";") {
		name, value, _ := strings.Cut(pair, "=")
		if !strings.EqualFold(strings.Trim(name, " \t"), "for") {
			continue
		}
		if found.IsValid() { // at most once (§4)
			return netip.Addr{}
		}
		value = strings.Trim(value, " \t")
		if len(value) >= 2 && value[0] == '"' && value[len(value)-1] == '"' {
			value = value[1 : len(value)-1]
		}
		if found = hopAddress(value); !found.IsValid() {
			return netip.Addr{}
		}
	}
	return found
}

// Seen is what a request shows of the device that sent it.
func (d *Door) Seen(r *http.Request) authz.Seen {
	return authz.Seen{
		Network:   d.issuer.Guard.NetworkOf(d.Source(r)),
		UserAgent: r.UserAgent(),
	}
}
