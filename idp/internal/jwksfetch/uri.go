// Package jwksfetch fetches the key sets that agents publish (RFC 7517) behind
// a guard: the address is an agent's word, and must not become a way to make
// the IdP talk to what only the IdP can reach.
package jwksfetch

import (
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"github.com/sentryagent/agentidp/idp"
)

const maxURI = 1024 // bytes

// CheckURI demands an address that can be fetched: https without user, fragment
// or credentials, on port 443 or one that no system service has (1024 and up).
// allowHTTP admits http to the loopback interface, for development. What the
// name resolves to is judged when it is dialled.
func CheckURI(uri string, allowHTTP bool) []idp.Rule {
	if _, wrong := parse(uri, allowHTTP); wrong != "" {
		return []idp.Rule{{Field: "jwksUri", Text: wrong}}
	}
	return nil
}

// parse reads uri, or says what is wrong with it.
func parse(uri string, allowHTTP bool) (*url.URL, string) {
	const form = "must be an absolute https URI of at most 1024 bytes"
	if len(uri) > maxURI || strings.ContainsFunc(uri, func(r rune) bool { return r <= ' ' || r > '~' || r == '\\' }) {
		return nil, form
	}
	u, err := url.Parse(uri)
	if err != nil || u.Opaque != "" || u.Hostname() == "" {
		return nil, form
	}
	if u.User != nil || strings.Contains(uri, "#") {
		return nil, "must have no user and no fragment"
	}
	host := u.Hostname()
	if !isHost(host) {
		return nil, "must name a host by its DNS name or its canonical IP address"
	}
	if u.Scheme != "https" && (u.Scheme != "http" || !allowHTTP || !isLoopback(host)) {
		return nil, form
	}
	if !isPort(u.Port(), u.Scheme) || strings.HasSuffix(u.Host, ":") {
		return nil, "must be on the port of its scheme or one of 1024 to 65535"
	}
	return u, ""
}

// isHost accepts DNS names and IP addresses in their one spelling. A name whose
// last label is a number is an IPv4 address to some readers: 127.1, 0x7f.1,
// 2130706433.
func isHost(host string) bool {
	if address, err := netip.ParseAddr(host); err == nil {
		return address.Zone() == "" && address.String() == host
	}
	if len(host) > 253 {
		return false
	}
	labels := strings.Split(host, ".")
	for _, label := range labels {
		if !isLabel(label) {
			return false
		}
	}
	last := labels[len(labels)-1]
	return last[0] < '0' || last[0] > '9'
}

func isLabel(label string) bool {
	if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
		return false
	}
	return !strings.ContainsFunc(label, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-'
	})
}

func isLoopback(host string) bool {
	address, err := netip.ParseAddr(host)
	return strings.EqualFold(host, "localhost") || err == nil && address.IsLoopback()
}

func isPort(port, scheme string) bool {
	if port == "" {
		return true
	}
	n, err := strconv.Atoi(port)
	if err != nil || strconv.Itoa(n) != port {
		return false
	}
	return n >= 1024 && n <= 65535 || n == 443 && scheme == "https" || n == 80 && scheme == "http"
}
