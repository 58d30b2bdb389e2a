package webhook

import (
	"fmt"
	"net/netip"
)

// notPublic are the ranges within the unicast space that lead to no public host, or to another one than they name
// (IANA's registries of special-purpose addresses). Private, loopback, link-local and multicast ones netip knows.
var notPublic = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),       // this network
	netip.MustParsePrefix("100.64.0.0/10"),   // shared by a provider's customers
	netip.MustParsePrefix("192.0.0.0/24"),    // protocol assignments
	netip.MustParsePrefix("192.0.2.0/24"),    // documentation
	netip.MustParsePrefix("192.88.99.0/24"),  // relays of 6to4, deprecated
	netip.MustParsePrefix("198.18.0.0/15"),   // benchmarks
	netip.MustParsePrefix("198.51.100.0/24"), // documentation
	netip.MustParsePrefix("203.0.113.0/24"),  // documentation
	netip.MustParsePrefix("240.0.0.0/4"),     // reserved, and broadcast
	netip.MustParsePrefix("2001::/23"),       // protocol assignments, Teredo among them
	netip.MustParsePrefix("2001:db8::/32"),   // documentation
	netip.MustParsePrefix("2002::/16"),       // 6to4, which holds an IPv4 address
	netip.MustParsePrefix("3fff::/20"),       // documentation
}

var (
	globalIPv6 = netip.MustParsePrefix("2000::/3")     // all that is given out
	nat64      = netip.MustParsePrefix("64:ff9b::/96") // an IPv4 address in its last four bytes
)

// PublicOnly is a filter for [WithAddressFilter] that refuses what does not belong to the public internet: private,
// loopback, link-local and other special addresses, IPv4 ones within IPv6 included.
func PublicOnly(address netip.AddrPort) error {
	ip := address.Addr().Unmap()
	if nat64.Contains(ip) {
		bytes := ip.As16()
		ip = netip.AddrFrom4([4]byte(bytes[12:]))
	}
	public := ip.IsGlobalUnicast() && !ip.IsPrivate() && ip.Zone() == "" && (ip.Is4() || globalIPv6.Contains(ip))
	for _, prefix := range notPublic {
		public = public && !prefix.Contains(ip)
	}
	if !public {
		return fmt.Errorf("%v is no public address", address.Addr())
	}
	return nil
}
