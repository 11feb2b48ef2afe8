package proxy

import "unsafe"

// borrowed is b as a string for a callee that keeps nothing of it, and for as
// long as b stays as it is.
func borrowed(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) } //nolint:gosec // nobody writes to b meanwhile

// path is that of the request, whole: the record's, which may be cut, when it is
// the same.
func (x *exchange) path() string {
	if len(x.record.Path) == len(x.head.Path) {
		return x.record.Path
	}
	return string(x.head.Path)
}

// methodName is the method as records have it.
func methodName(method []byte) string {
	for _, known := range [...]string{"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"} {
		if string(method) == known {
			return known
		}
	}
	return clip(method, 20)
}

// host is the text of a Host: that of the connection's request before, if it is the same.
func (c *watched) host(value []byte) string {
	if c == nil {
		return string(value)
	}
	if c.hostText != string(value) {
		c.hostText = string(value)
	}
	return c.hostText
}
