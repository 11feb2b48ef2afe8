package guard

import "bytes"

// What follows is for requests that another proxy holds: it tells their fields
// one by one, and forwards them itself.

// AppendField appends a field to a raw block. A name or a value that cannot
// stand in one becomes a line that Check refuses as header_name or header_value.
func AppendField(block []byte, name, value string) []byte {
	if !token([]byte(name)) {
		name = ""
	}
	if bytes.ContainsAny([]byte(value), "\r\n\x00") {
		value = "\x00"
	}
	block = append(append(block, name...), ": "...)
	return append(append(block, value...), "\r\n"...)
}

// Strips reports whether the other proxy must not forward the field: it says
// who asks, or is a second spelling of a field that is not the client's to
// spell. Authorization is not among them, nor is what frames the message or
// belongs to one connection: these are the other proxy's own.
func Strips(name string) bool {
	f := fold([]byte(name))
	if owner := f.class(); owner == endToEnd || owner == identity {
		return owner == identity
	}
	switch string(f.bytes()) {
	case "proxy", "proxy-authorization", "proxy-authenticate", "proxy-authentication-info", "http2-settings":
		return true // of one connection by their definition, but passed on by most
	}
	return !f.exact
}
