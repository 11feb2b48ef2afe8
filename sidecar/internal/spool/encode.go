package spool

import (
	"bytes"
	"errors"
	"math"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/sentryagent/agentidp/shared/decision"
)

// Strings of a record are cut to clipAt bytes; if the line still exceeds
// decision.MaxLine (escapes count up to six bytes each), to clipHard.
const (
	clipAt   = decision.MaxPathBytes
	clipHard = 64
)

// errOutcome says that the caller passed a record that is no decision.
var errOutcome = errors.New("spool: outcome must be allowed, denied or error")

// appendTail appends everything of the line after prevHash: what does not
// depend on the place in the chain. The members stand in the order of
// decision.Record, so that the whole line is byte for byte what encoding/json
// would write without HTML escapes.
func appendTail(b []byte, r *decision.Record, now time.Time, clip int) []byte {
	b = appendString(b, `,"decisionId":`, r.DecisionID, clip)
	if plausibleTime(r.Time) {
		b = append(append(append(b, `,"time":"`...), r.Time...), '"')
	} else {
		b = append(now.UTC().AppendFormat(append(b, `,"time":"`...), decision.TimeLayout), '"')
	}
	b = appendString(b, `,"agentId":`, r.AgentID, clip)
	b = appendString(b, `,"organizationId":`, r.OrganizationID, clip)
	b = appendString(b, `,"clientId":`, r.ClientID, clip)
	b = appendString(b, `,"jti":`, r.JTI, clip)
	b = appendString(b, `,"method":`, r.Method, clip)
	b = appendString(b, `,"host":`, r.Host, clip)
	b = appendString(b, `,"path":`, r.Path, clip)
	b = appendString(b, `,"routeId":`, r.RouteID, clip)
	b = appendString(b, `,"capability":`, r.Capability, clip)
	b = append(append(append(b, `,"outcome":"`...), r.Outcome...), '"')
	b = appendString(b, `,"reason":`, r.Reason, clip)
	b = appendInt(b, `,"status":`, int64(r.Status))
	b = appendString(b, `,"policyRevision":`, r.PolicyRevision, clip)
	b = appendString(b, `,"requestId":`, r.RequestID, clip)
	b = appendString(b, `,"peer":`, r.Peer, clip)
	b = appendInt(b, `,"bytesIn":`, r.BytesIn)
	b = appendInt(b, `,"bytesOut":`, r.BytesOut)
	b = appendFloat(b, `,"durationMs":`, r.DurationMs)
	b = appendInt(b, `,"count":`, r.Count)
	if r.FirstSequence != nil {
		b = strconv.AppendInt(append(b, `,"firstSequence":`...), *r.FirstSequence, 10)
	}
	return append(b, '}')
}

// appendPrefix appends the members that place the record in the chain.
func appendPrefix(b []byte, sequence int64, prevHash []byte) []byte {
	b = strconv.AppendInt(append(b, `{"sequence":`...), sequence, 10)
	return append(append(append(b, `,"prevHash":"`...), prevHash...), '"')
}

// encodeTail is appendTail within the bounds that the IdP enforces: whatever
// the caller passes, the line it becomes is accepted.
func encodeTail(b []byte, r *decision.Record, now time.Time) ([]byte, error) {
	switch r.Outcome {
	case decision.Allowed, decision.Denied, decision.Error:
		if r.FirstSequence != nil {
			return b, errOutcome
		}
	default:
		return b, errOutcome
	}
	start := len(b)
	b = appendTail(b, r, now, clipAt)
	if len(b)-start > decision.MaxLine-prefixMax {
		b = appendTail(b[:start], r, now, clipHard)
	}
	return b, nil
}

// plausibleTime reports whether s has the form of decision.TimeLayout and its
// fields their ranges. Days are checked to 28 only up to the month's length of
// all months; a later day falls back to the clock, which is never wrong.
func plausibleTime(s string) bool {
	const form = "0000-00-00T00:00:00.000Z"
	if len(s) != len(form) {
		return false
	}
	for i := range len(form) {
		if form[i] == '0' && (s[i] < '0' || s[i] > '9') || form[i] != '0' && s[i] != form[i] {
			return false
		}
	}
	month, day := two(s[5:]), two(s[8:])
	if day > 28 {
		_, err := time.Parse(decision.TimeLayout, s)
		return err == nil
	}
	return month >= 1 && month <= 12 && day >= 1 && two(s[11:]) < 24 && two(s[14:]) < 60 && two(s[17:]) < 60
}

func two(s string) int { return int(s[0]-'0')*10 + int(s[1]-'0') }

func appendInt(b []byte, name string, v int64) []byte {
	if v <= 0 {
		return b
	}
	return strconv.AppendInt(append(b, name...), v, 10)
}

// appendFloat writes v as encoding/json does.
func appendFloat(b []byte, name string, v float64) []byte {
	if !(v > 0) || math.IsInf(v, 0) {
		return b
	}
	b = append(b, name...)
	if thousandths := int64(v*1000 + 0.5); v < 1e12 && float64(thousandths)/1000 == v {
		return appendThousandths(b, thousandths)
	}
	if v >= 1e-6 && v < 1e21 {
		return strconv.AppendFloat(b, v, 'f', -1, 64)
	}
	b = strconv.AppendFloat(b, v, 'e', -1, 64)
	if n := len(b); n >= 4 && b[n-4] == 'e' && b[n-3] == '-' && b[n-2] == '0' { // e-09 → e-9
		b[n-2] = b[n-1]
		b = b[:n-1]
	}
	return b
}

// appendThousandths writes what appendFloat does of a number with three decimals
// at most, in a third of the time: of up to 15 digits no other number's shortest form is the same.
func appendThousandths(b []byte, n int64) []byte {
	b = strconv.AppendInt(b, n/1000, 10)
	rest := n % 1000
	if rest == 0 {
		return b
	}
	b = append(b, '.', byte('0'+rest/100), byte('0'+rest/10%10), byte('0'+rest%10))
	return bytes.TrimRight(b, "0")
}

// appendString appends name and s as a JSON string, cut at a character's start
// so that who reads it gets at most clip bytes; nothing when s is empty. A byte
// that is not UTF-8 becomes the three of U+FFFD.
func appendString(b []byte, name, s string, clip int) []byte {
	if s == "" {
		return b
	}
	if len(s) > clip {
		cut := clip
		for cut > clip-utf8.UTFMax && !utf8.RuneStart(s[cut]) {
			cut--
		}
		s = s[:cut]
	}
	b = append(append(b, name...), '"')
	start, end, extra := 0, len(s), 0
	for i := plainPrefix(s); i < end; {
		if c := s[i]; c < utf8.RuneSelf {
			if plain[c] {
				i++
				continue
			}
			b = appendEscape(append(b, s[start:i]...), c)
			i++
			start = i
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && size == 1 && i+extra+len("\ufffd") > clip || i+size > end {
			end = i
			break
		}
		switch {
		case r == utf8.RuneError && size == 1:
			b = append(append(b, s[start:i]...), `\ufffd`...)
			start = i + size
			extra += len("\ufffd") - size
			end = min(end, clip-extra)
		case r == '\u2028' || r == '\u2029':
			b = append(append(b, s[start:i]...), `\u202`...)
			b = append(b, hexDigits[r&0xf])
			start = i + size
		}
		i += size
	}
	return append(append(b, s[start:max(start, end)]...), '"')
}

// plainPrefix is how much of s, in steps of eight, is certainly plain.
func plainPrefix(s string) int {
	const ones, tops = 0x0101010101010101, 0x8080808080808080
	i := 0
	for ; i+8 <= len(s); i += 8 {
		w := s[i : i+8]
		x := uint64(w[0]) | uint64(w[1])<<8 | uint64(w[2])<<16 | uint64(w[3])<<24 |
			uint64(w[4])<<32 | uint64(w[5])<<40 | uint64(w[6])<<48 | uint64(w[7])<<56
		// The top bit of a byte that is none of ASCII, below a space, a quote, a backslash.
		if (x|(x-' '*ones)|(x^'"'*ones-ones)|(x^'\\'*ones-ones))&tops != 0 {
			break
		}
	}
	return i
}

const hexDigits = "0123456789abcdef"

// plain marks the ASCII bytes that a JSON string holds as they are.
var plain = func() (t [utf8.RuneSelf]bool) {
	for c := ' '; c < utf8.RuneSelf; c++ {
		t[c] = c != '"' && c != '\\'
	}
	return t
}()

func appendEscape(b []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(b, '\\', c)
	case '\b':
		return append(b, '\\', 'b')
	case '\f':
		return append(b, '\\', 'f')
	case '\n':
		return append(b, '\\', 'n')
	case '\r':
		return append(b, '\\', 'r')
	case '\t':
		return append(b, '\\', 't')
	}
	return append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&0xf])
}
