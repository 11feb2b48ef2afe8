package trace

import "strings"

// Bounds of a tracestate: what every party must pass on at least (section
// 3.3.1.5) is here the most as well.
const (
	maxState   = 512 // bytes
	maxMembers = 32
)

// ValidState reports whether a tracestate may be passed on: at most 512 bytes
// and 32 members, each key=value of the specification's characters, no key
// twice. Of one that is not, nothing is.
func ValidState(state string) bool {
	if state == "" || len(state) > maxState {
		return false
	}
	var keys [maxMembers]string
	count := 0
	for member := range strings.SplitSeq(state, ",") {
		member = strings.Trim(member, " \t")
		if member == "" {
			continue // an empty member is allowed
		}
		key, value, found := strings.Cut(member, "=")
		if !found || count == maxMembers || !validKey(key) || !validValue(value) {
			return false
		}
		for _, other := range keys[:count] {
			if other == key {
				return false
			}
		}
		keys[count] = key
		count++
	}
	return count > 0
}

// validKey: lower-case letters, digits and _-*/, with one "@" in multi-tenant keys.
func validKey(key string) bool {
	tenant, system, multi := strings.Cut(key, "@")
	if multi {
		return len(tenant) <= 241 && len(system) <= 14 && keyPart(tenant, true) && keyPart(system, false)
	}
	return keyPart(key, false)
}

// keyPart reports whether the part is made of key characters and begins with a letter, or digit.
func keyPart(part string, digit bool) bool {
	for i := range len(part) {
		letter, number := part[i] >= 'a' && part[i] <= 'z', part[i] >= '0' && part[i] <= '9'
		switch {
		case letter, number && (i > 0 || digit):
		case i == 0 || !number && strings.IndexByte("_-*/", part[i]) < 0:
			return false
		}
	}
	return part != "" && len(part) <= 256
}

// validValue: printable ASCII without "," and "=".
func validValue(value string) bool {
	for i := range len(value) {
		if value[i] < ' ' || value[i] > '~' || value[i] == '=' || value[i] == ',' {
			return false
		}
	}
	return value != "" && len(value) <= 256
}
