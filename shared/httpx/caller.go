package httpx

import (
	"net"
	"net/netip"
	"strings"

	"github.com/google/uuid"
	"github.com/valyala/fasthttp"
)

const (
	headerRequestID = "X-Request-Id"
	maxRequestID    = 64
	maxHops         = 64
)

type requestIDKey struct{}

// RequestID is the request's id, the same one for all of the request: the
// client's X-Request-Id if the connection comes from trusted and it is of
// [A-Za-z0-9._-]{1,64}, else a new UUIDv4. The answer carries it.
func RequestID(ctx *fasthttp.RequestCtx, trusted []netip.Prefix) string {
	if id, known := ctx.UserValue(requestIDKey{}).(string); known {
		return id
	}
	var id string
	if sent := ctx.Request.Header.PeekAll(headerRequestID); len(sent) == 1 && validRequestID(sent[0]) && within(Peer(ctx), trusted) {
		id = string(sent[0])
	} else {
		id = uuid.NewString()
	}
	ctx.SetUserValue(requestIDKey{}, id)
	ctx.Response.Header.Set(headerRequestID, id)
	return id
}

func validRequestID(id []byte) bool {
	for _, c := range id {
		alphanumeric := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !alphanumeric && c != '.' && c != '_' && c != '-' {
			return false
		}
	}
	return len(id) > 0 && len(id) <= maxRequestID
}

// Peer is the address at the other end of the connection; invalid if it has none.
func Peer(ctx *fasthttp.RequestCtx) netip.Addr { return addressOf(ctx.RemoteAddr()) }

func addressOf(addr net.Addr) netip.Addr {
	tcp, ok := addr.(*net.TCPAddr)
	if !ok {
		return netip.Addr{}
	}
	address, _ := netip.AddrFromSlice(tcp.IP)
	return plain(address)
}

// plain makes one address of its IPv4-in-IPv6 and zoned forms.
func plain(address netip.Addr) netip.Addr { return address.Unmap().WithZone("") }

// ClientAddress is the right-most hop that is not a trusted proxy: remote itself
// unless it is one, else the last such entry of X-Forwarded-For (its values in
// the order of the header). An entry that is not an address ends the search at
// the proxy that passed it on; if every hop is trusted it is the left-most.
func ClientAddress(remote netip.Addr, forwarded []string, trusted []netip.Prefix) netip.Addr {
	client := plain(remote)
	hops := 0
	for i := len(forwarded) - 1; i >= 0; i-- {
		rest, more := forwarded[i], true
		for more {
			if !within(client, trusted) || hops == maxHops {
				return client
			}
			hops++
			entry := rest
			if comma := strings.LastIndexByte(rest, ','); comma >= 0 {
				rest, entry = rest[:comma], rest[comma+1:]
			} else {
				more = false
			}
			hop, ok := hopAddress(strings.Trim(entry, " \t"))
			if !ok {
				return client
			}
			client = hop
		}
	}
	return client
}

// hopAddress reads an address, with a port or none; some proxies add one.
func hopAddress(entry string) (netip.Addr, bool) {
	if address, err := netip.ParseAddr(entry); err == nil {
		return plain(address), true
	}
	if pair, err := netip.ParseAddrPort(entry); err == nil {
		return plain(pair.Addr()), true
	}
	return netip.Addr{}, false
}

func within(address netip.Addr, prefixes []netip.Prefix) bool {
	for _, prefix := range prefixes {
		if prefix.Contains(address) {
			return true
		}
	}
	return false
}

// AddressPrefix is the network a client is counted under: the address itself
// for IPv4 ("192.0.2.1/32"), its /64 for IPv6 ("2001:db8::/64"), "unknown" for none.
func AddressPrefix(address netip.Addr) string {
	if !address.IsValid() {
		return "unknown"
	}
	return prefixOf(address).String()
}

func prefixOf(address netip.Addr) netip.Prefix {
	address = plain(address)
	bits := 64
	if address.Is4() {
		bits = 32
	}
	return netip.PrefixFrom(address, bits).Masked()
}
