package authz

import (
	"net/netip"
)

// Source is where a request came from, as far as the server can tell.
type Source struct {
	// Address is not valid when nothing is known.
	Address netip.Addr
	// Forwarded: a proxy that the operator lists told the address (attack B-22).
	// Without that, a loopback or private address may be anybody's: whoever comes
	// through a proxy that is not listed has the proxy's.
	Forwarded bool
	// Page: the page of another site had its visitor's browser send it. Whoever sends
	// it decides on that, so it lifts no limit: it has one of its own.
	Page bool
}

// Own reports whether the address is somebody's own, so that what they do may be
// held against it. A lock on a proxy's address would be everybody's.
func (f Source) Own() bool {
	addr := f.Address.Unmap()
	return addr.IsValid() && (f.Forwarded || (!addr.IsLoopback() && !addr.IsPrivate() && !addr.IsLinkLocalUnicast()))
}

// Blocks are the two address blocks that a source is counted in. The narrow one
// is what a household or host has: an IPv4 address, an IPv6 /64. The wide one is
// what one customer of a provider may hold: a /24, a /48.
func (f Source) Blocks() (narrow, wide netip.Prefix) {
	addr := f.Address.Unmap()
	if addr.Is4() {
		return netip.PrefixFrom(addr, 32), netip.PrefixFrom(addr, 24).Masked()
	}
	return netip.PrefixFrom(addr, 64).Masked(), netip.PrefixFrom(addr, 48).Masked()
}

// LoopbackNetwork stands for all addresses of this machine.
const LoopbackNetwork = "loopback"

// CoarseNetwork is the network of an address, /24 or /48, fit to be kept and
// compared; all loopback addresses are one network. Empty for no address.
func CoarseNetwork(addr netip.Addr) string {
	addr = addr.Unmap()
	if !addr.IsValid() {
		return ""
	}
	if addr.IsLoopback() {
		return LoopbackNetwork
	}
	bits := 24
	if addr.Is6() {
		bits = 48
	}
	return netip.PrefixFrom(addr, bits).Masked().String()
}

// Seen is what the server saw of a request: of the device when it asked, of the
// owner's browser or tool when it did something.
type Seen struct {
	// Network is coarse: the /24 or /48 of the address. Nothing that the sender
	// writes changes it.
	Network string
	// UserAgent is what the sender calls itself: kept to be recognised by, and no
	// rule may lean on it.
	UserAgent string
}

// How much is kept of what a stranger says, in characters as a reader counts them.
const (
	maxUserAgent  = 200
	maxOrigin     = 200
	maxDeviceText = 60
	maxNetwork    = 64
)

// Clean makes what a stranger's request said of itself fit to be kept and shown.
func (s Seen) Clean() Seen {
	return Seen{
		Network:   CleanText(s.Network, maxNetwork),
		UserAgent: CleanText(s.UserAgent, maxUserAgent),
	}
}
