package guard

import "net/netip"

// neighbourBits is how much of an IPv6 address says whose it is: whoever has one has the whole /64, and could come from another address each time (RFC 6177).
const neighbourBits = 64

// Neighbours is who has a share of what is shared by address, given a peer's IP address: an IPv4 address itself, the /64 of an IPv6 address. What is no address is returned as it is.
func Neighbours(address string) string {
	a, err := netip.ParseAddr(address)
	if err != nil {
		return address
	}
	if a = a.Unmap(); a.Is4() {
		return a.String()
	}
	p, err := a.WithZone("").Prefix(neighbourBits)
	if err != nil {
		return address
	}
	return p.String()
}
