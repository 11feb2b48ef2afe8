package guard

// Bytes of a path that stand for themselves: pchar of RFC 3986 without ";"
// (path parameters) and "%", and "/".
var pathBytes = table("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~!$&'()*+,=:@/")

// Bytes whose escaped form is a second spelling with a meaning of its own, or
// a control: an escaped unreserved byte (RFC 3986 section 6.2.2.2), "/", "\",
// ";" and "%" itself. Never accepted escaped.
var neverEscaped = table("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~/\\;%\x7f")

func table(members string) *[256]bool {
	var t [256]bool
	for i := range len(members) {
		t[members[i]] = true
	}
	return &t
}

// path accepts only what has one reading: no empty segment but a last one, no
// dot segment in any spelling, no parameter, no escape of a byte that routers
// and servers decode at different times.
func path(p []byte) *Refusal {
	dots := true // the segment so far is only dots and escaped spaces
	size := 0    // bytes of the segment so far
	for i := 0; i < len(p); i++ {
		c := p[i]
		switch {
		case c == '/':
			if why := segment(i, size, dots); why != nil {
				return why
			}
			dots, size = true, 0
			continue
		case c == '%':
			space, why := escape(p[i:])
			if why != nil {
				return why
			}
			dots = dots && space
			i += 2
		case !pathBytes[c]:
			return badByte(c)
		case c != '.':
			dots = false
		}
		size++
	}
	if size > 0 && dots {
		return errPathDotSegment
	}
	return nil
}

// segment judges the one that a "/" at index i ends.
func segment(i, size int, dots bool) *Refusal {
	if i > 0 && size == 0 {
		return errPathEmptySegment
	}
	if size > 0 && dots {
		return errPathDotSegment
	}
	return nil
}

// escape judges the triplet that p starts with and reports whether it is a space.
func escape(p []byte) (space bool, why *Refusal) {
	if len(p) < 3 {
		return false, errPathEscape
	}
	high, low := Unhex(p[1]), Unhex(p[2])
	if high < 0 || low < 0 {
		return false, errPathEscape
	}
	c := byte(high<<4 | low)
	switch {
	case c >= 0x80:
		return false, errPathNonASCII
	case c < ' ' || neverEscaped[c]:
		return false, errPathEscape
	}
	return c == ' ', nil
}

// Unhex is the value of a hexadecimal digit, -1 of anything else.
func Unhex(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

func badByte(c byte) *Refusal {
	switch {
	case c == '\\':
		return errPathBackslash
	case c == ';':
		return errPathParameter
	case c == '#':
		return errTargetFragment
	case c >= 0x80:
		return errPathNonASCII
	}
	return errTargetByte
}

// query accepts visible ASCII. Routes never look at it.
func query(q []byte) *Refusal {
	for _, c := range q {
		if c == '#' {
			return errTargetFragment
		}
		if c <= ' ' || c >= 0x7f {
			return errTargetByte
		}
	}
	return nil
}
