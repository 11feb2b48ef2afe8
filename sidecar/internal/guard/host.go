package guard

import (
	"bytes"
)

// ValidHost accepts a registered name, an IPv4 address or a bracketed IPv6
// address, each with an optional port.
func ValidHost(host []byte) bool {
	if len(host) == 0 || len(host) > 255 {
		return false
	}
	name, port := host, []byte(nil)
	if host[0] == '[' {
		end := bytes.IndexByte(host, ']')
		if end < 0 {
			return false
		}
		name, port = host[1:end], host[end+1:]
		for _, c := range name {
			if Unhex(c) < 0 && c != ':' && c != '.' {
				return false
			}
		}
	} else {
		if i := bytes.IndexByte(host, ':'); i >= 0 {
			name, port = host[:i], host[i:]
		}
		for _, c := range name {
			if !hostBytes[c] {
				return false
			}
		}
	}
	return len(name) > 0 && (len(port) == 0 || validPort(port))
}

var hostBytes = table("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._")

func validPort(port []byte) bool {
	if port[0] != ':' || len(port) > 6 {
		return false
	}
	for _, c := range port[1:] {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}
