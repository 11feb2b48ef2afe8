package idp

import (
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Bounds of the members that people type.
const (
	MaxEmailBytes   = 254 // RFC 5321 section 4.5.3.1.3, without the angle brackets
	maxLocalBytes   = 64  // RFC 5321 section 4.5.3.1.1
	MaxVersionBytes = 64
	MaxOwnerLength  = 128 // characters
	MaxSearchLength = 254 // characters
	MaxNameLength   = 128 // characters
	MaxReasonLength = 256 // characters
)

// NormalizeEmail lower-cases an address and says what is wrong with it: ASCII
// dot-atoms on both sides of one @ (RFC 5322 section 3.4.1 without quoted
// strings and address literals). A single-label domain such as localhost is fine.
func NormalizeEmail(email string) (string, []Rule) {
	local, domain, found := strings.Cut(email, "@")
	if !found || len(email) > MaxEmailBytes || len(local) > maxLocalBytes || !localPart.MatchString(local) || !domainName.MatchString(domain) {
		return "", broken("email", "must be an address such as name@example.com, ASCII, at most 254 bytes")
	}
	return strings.ToLower(email), nil
}

var (
	localPart  = regexp.MustCompile(`^[A-Za-z0-9!#$%&'*+/=?^_{|}~\x60-]+(\.[A-Za-z0-9!#$%&'*+/=?^_{|}~\x60-]+)*$`)
	domainName = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*$`)
	// The expression that semver.org 2.0.0 suggests.
	semver = regexp.MustCompile(`^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)` +
		`(-(0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*)(\.(0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*))*)?` +
		`(\+[0-9a-zA-Z-]+(\.[0-9a-zA-Z-]+)*)?$`)
	organizationID = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`)
)

// CheckVersion demands a semantic version (semver.org 2.0.0).
func CheckVersion(version string) []Rule {
	if len(version) > MaxVersionBytes || !semver.MatchString(version) {
		return broken("version", "must be a semantic version such as 1.4.0, at most 64 bytes")
	}
	return nil
}

// CheckOwner demands a short printable text.
func CheckOwner(owner string) []Rule {
	if !printable(owner, MaxOwnerLength) {
		return broken("owner", "must be 1 to 128 printable characters without a space at either end")
	}
	return nil
}

// CheckSearch demands a short printable text.
func CheckSearch(text string) []Rule {
	if !printable(text, MaxSearchLength) {
		return broken("q", "must be 1 to 254 printable characters without a space at either end")
	}
	return nil
}

// CheckOneOf demands a member of values.
func CheckOneOf(field, value string, values []string) []Rule { return oneOf(field, value, values) }

// CheckOrganizationID demands a slug.
func CheckOrganizationID(field, id string) []Rule {
	if !organizationID.MatchString(id) {
		return broken(field, "must be 1 to 63 of a-z, 0-9 and -, not beginning with -")
	}
	return nil
}

// CheckOrganizationName demands a short printable text.
func CheckOrganizationName(name string) []Rule {
	if !printable(name, MaxNameLength) {
		return broken("name", "must be 1 to 128 printable characters without a space at either end")
	}
	return nil
}

// CheckReason demands what may stand in a feed, a header or a terminal: a short
// text of printable ASCII, or none.
func CheckReason(reason string) []Rule {
	if len(reason) > MaxReasonLength || strings.ContainsFunc(reason, func(r rune) bool { return r < ' ' || r > '~' }) {
		return broken("reason", "must be at most 256 printable ASCII characters")
	}
	return nil
}

// printable accepts 1 to limit characters that a person can see, spaces only inside.
func printable(s string, limit int) bool {
	if s == "" || !utf8.ValidString(s) || utf8.RuneCountInString(s) > limit || strings.TrimSpace(s) != s {
		return false
	}
	return !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}

func broken(field, text string) []Rule { return []Rule{{Field: field, Text: text}} }

// oneOf demands a member of values.
func oneOf[T ~string](field string, value T, values []T) []Rule {
	names := make([]string, len(values))
	for i, v := range values {
		if v == value {
			return nil
		}
		names[i] = string(v)
	}
	return broken(field, "must be one of "+strings.Join(names, ", "))
}

// RuleUUID is what IsUUID demands.
const RuleUUID = "must be a UUID in lower case such as 3f2b8c1e-6f0a-4d0e-9a53-0d8b8a7c1f11"

// IsUUID accepts the canonical form alone: an id has one spelling.
func IsUUID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		dash := i == 8 || i == 13 || i == 18 || i == 23
		hex := c >= '0' && c <= '9' || c >= 'a' && c <= 'f'
		if dash && c != '-' || !dash && !hex {
			return false
		}
	}
	return true
}
