package jwksfetch

import (
	"errors"
	"fmt"
	"net/netip"
	"syscall"
)

// errAddress says that a name led to where the IdP does not go for strangers.
var errAddress = errors.New("the address is not a public one")

// What of IPv4 is not the public internet (RFC 6890 and the IANA registry of
// special-purpose addresses, with multicast and what is reserved).
var special4 = prefixes(
	"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24",
	"192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24", "192.168.0.0/16", "192.175.48.0/24", "198.18.0.0/15", "198.51.100.0/24",
	"203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
)

// Of IPv6 only what is handed out as global unicast is public. Outside it lie
// loopback, link-local, unique local, multicast and the forms that carry an
// IPv4 address (mapped, compatible, NAT64); inside it 6to4 and Teredo do, too.
var (
	global6  = netip.MustParsePrefix("2000::/3")
	special6 = prefixes("2001::/23", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3ffe::/16", "3fff::/20")
)

func prefixes(texts ...string) []netip.Prefix {
	list := make([]netip.Prefix, len(texts))
	for i, text := range texts {
		list[i] = netip.MustParsePrefix(text)
	}
	return list
}

// guard judges addresses when they are dialled: after the name was resolved, so
// that no second answer of a name server can differ from the first.
type guard struct{ allow []netip.Prefix }

// control is for net.Dialer.
func (g guard) control(_, address string, _ syscall.RawConn) error {
	target, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("%w: %w", errAddress, err)
	}
	if !g.allows(target.Addr()) {
		return errAddress
	}
	return nil
}

func (g guard) allows(address netip.Addr) bool {
	if address.Zone() != "" {
		return false
	}
	address = address.Unmap()
	return within(g.allow, address) || public(address)
}

func public(address netip.Addr) bool {
	if address.Is4() {
		return !within(special4, address)
	}
	return global6.Contains(address) && !within(special6, address)
}

func within(list []netip.Prefix, address netip.Addr) bool {
	for _, prefix := range list {
		if prefix.Contains(address) {
			return true
		}
	}
	return false
}
