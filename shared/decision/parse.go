package decision

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"unicode/utf8"
)

// ErrRecord is wrapped by every error of Parse.
var ErrRecord = errors.New("decision record")

// Parse reads one line strictly: known members only, by their exact names and
// once each, never null, each rule checked. No two readers of a line that it
// accepts can understand it differently. The record keeps nothing of line.
func Parse(line []byte) (Record, error) {
	var r Record
	if len(line) > MaxLine {
		return r, fmt.Errorf("%w: longer than %d bytes", ErrRecord, MaxLine)
	}
	p := parser{text: string(line)} // one copy, of which the strings are parts
	if err := p.object(&r); err != nil {
		return Record{}, fmt.Errorf("%w: %w", ErrRecord, err)
	}
	return r, r.validate()
}

// parser reads the flat JSON object that a line is.
type parser struct {
	text string
	at   int
}

func (p *parser) object(r *Record) error {
	if !p.next('{') {
		return p.unexpected("an object")
	}
	var seen uint32
	for {
		name, err := p.name()
		if err != nil {
			return err
		}
		bit := memberBit(name)
		switch {
		case bit == 0:
			return fmt.Errorf("unknown member %.64q", name)
		case seen&bit != 0:
			return fmt.Errorf("member %s stands there twice", name)
		}
		seen |= bit
		if !p.next(':') {
			return p.unexpected("a colon")
		}
		if err := p.member(r, name); err != nil {
			return fmt.Errorf("member %s: %w", name, err)
		}
		if !p.next(',') {
			break
		}
	}
	if !p.next('}') {
		return p.unexpected("a comma or the end of the object")
	}
	if p.space(); p.at < len(p.text) {
		return p.unexpected("the end of the line")
	}
	if seen&memberBit("sequence") == 0 {
		return errors.New("sequence is missing")
	}
	return nil
}

func (p *parser) unexpected(wanted string) error {
	return fmt.Errorf("%s must stand at byte %d", wanted, p.at)
}

func (p *parser) space() {
	for p.at < len(p.text) {
		switch p.text[p.at] {
		case ' ', '\t', '\r', '\n':
			p.at++
		default:
			return
		}
	}
}

// next takes the byte if it comes next.
func (p *parser) next(want byte) bool {
	p.space()
	if p.at < len(p.text) && p.text[p.at] == want {
		p.at++
		return true
	}
	return false
}

// name takes a member's name in the bytes that stand there: no name of a
// member needs an escape.
func (p *parser) name() (string, error) {
	if !p.next('"') {
		return "", p.unexpected("a member")
	}
	start := p.at
	for ; p.at < len(p.text); p.at++ {
		switch c := p.text[p.at]; {
		case c == '"':
			p.at++
			return p.text[start : p.at-1], nil
		case c == '\\' || c < 0x20:
			return "", p.unexpected("a plain name")
		}
	}
	return "", p.unexpected("the end of a name")
}

func memberBit(name string) uint32 {
	for i := range members {
		if members[i] == name {
			return 1 << i
		}
	}
	return 0
}

// members are the names, in the order in which records have them.
var members = [...]string{
	"sequence", "prevHash", "decisionId", "time", "agentId", "organizationId", "clientId", "jti", "method", "host", "path", "routeId", "capability",
	"outcome", "reason", "status", "policyRevision", "requestId", "peer", "bytesIn", "bytesOut", "durationMs", "count", "firstSequence",
}

func (p *parser) member(r *Record, name string) (err error) {
	if field := r.text(name); field != nil {
		*field, err = p.string()
		return err
	}
	switch name {
	case "outcome":
		var s string
		s, err = p.string()
		r.Outcome = Outcome(s)
	case "sequence":
		r.Sequence, err = p.integer()
	case "firstSequence":
		r.FirstSequence = new(int64)
		*r.FirstSequence, err = p.integer()
	case "status":
		var n int64
		n, err = p.integer()
		r.Status = int(n)
		if int64(r.Status) != n {
			err = errors.New("must be an integer")
		}
	case "bytesIn":
		r.BytesIn, err = p.integer()
	case "bytesOut":
		r.BytesOut, err = p.integer()
	case "count":
		r.Count, err = p.integer()
	case "durationMs":
		r.DurationMs, err = p.float()
	}
	return err
}

// text is the string member of that name, nil when that is no string.
func (r *Record) text(name string) *string {
	switch name {
	case "prevHash":
		return &r.PrevHash
	case "decisionId":
		return &r.DecisionID
	case "time":
		return &r.Time
	case "agentId":
		return &r.AgentID
	case "organizationId":
		return &r.OrganizationID
	case "clientId":
		return &r.ClientID
	case "jti":
		return &r.JTI
	case "method":
		return &r.Method
	case "host":
		return &r.Host
	case "path":
		return &r.Path
	case "routeId":
		return &r.RouteID
	case "capability":
		return &r.Capability
	case "reason":
		return &r.Reason
	case "policyRevision":
		return &r.PolicyRevision
	case "requestId":
		return &r.RequestID
	case "peer":
		return &r.Peer
	default:
		return nil
	}
}

// string takes a string. One of plain ASCII is a part of the text; what has
// escapes or other bytes is encoding/json's, which knows surrogates.
func (p *parser) string() (string, error) {
	if !p.next('"') {
		return "", p.unexpected("a string")
	}
	start, plain := p.at, true
	for ; p.at < len(p.text); p.at++ {
		switch c := p.text[p.at]; {
		case c == '"':
			p.at++
			if plain {
				return p.text[start : p.at-1], nil
			}
			var s string
			err := json.Unmarshal([]byte(p.text[start-1:p.at]), &s)
			return s, err
		case c < 0x20:
			return "", p.unexpected("no control character")
		case c == '\\':
			plain = false
			p.at++ // whatever it is, it ends no string
		case c >= utf8.RuneSelf:
			plain = false
		}
	}
	return "", p.unexpected("the end of a string")
}

// number takes the text of a number as RFC 8259 section 6 has it.
func (p *parser) number() (text string, whole bool, err error) {
	p.space()
	start := p.at
	p.skip('-')
	if first := p.at; p.digits() == 0 || p.text[first] == '0' && p.at > first+1 {
		return "", false, p.unexpected("a number")
	}
	whole = true
	if p.skip('.') {
		if whole = false; p.digits() == 0 {
			return "", false, p.unexpected("a digit")
		}
	}
	if p.skip('e') || p.skip('E') {
		whole = false
		if !p.skip('+') {
			p.skip('-')
		}
		if p.digits() == 0 {
			return "", false, p.unexpected("a digit")
		}
	}
	return p.text[start:p.at], whole, nil
}

func (p *parser) skip(c byte) bool {
	if p.at < len(p.text) && p.text[p.at] == c {
		p.at++
		return true
	}
	return false
}

func (p *parser) digits() (n int) {
	for p.at < len(p.text) && p.text[p.at] >= '0' && p.text[p.at] <= '9' {
		p.at++
		n++
	}
	return n
}

func (p *parser) integer() (int64, error) {
	text, whole, err := p.number()
	if err != nil {
		return 0, err
	}
	if !whole {
		return 0, errors.New("must be an integer")
	}
	return strconv.ParseInt(text, 10, 64)
}

func (p *parser) float() (float64, error) {
	text, _, err := p.number()
	if err != nil {
		return 0, err
	}
	f, err := strconv.ParseFloat(text, 64)
	if err == nil && math.IsInf(f, 0) {
		err = strconv.ErrRange
	}
	return f, err
}

// isTime reports RFC 3339 in UTC with three decimals, as TimeLayout has it.
func isTime(s string) bool {
	const form = "dddd-dd-ddTdd:dd:dd.dddZ"
	if len(s) != len(form) {
		return false
	}
	for i := range len(form) {
		if digit := s[i] >= '0' && s[i] <= '9'; form[i] == 'd' && !digit || form[i] != 'd' && form[i] != s[i] {
			return false
		}
	}
	two := func(at int) int { return int(s[at]-'0')*10 + int(s[at+1]-'0') }
	year, month, day := two(0)*100+two(2), two(5), two(8)
	return month >= 1 && month <= 12 && day >= 1 && day <= daysIn(year, month) && two(11) < 24 && two(14) < 60 && two(17) < 60
}

func daysIn(year, month int) int {
	switch month {
	case 4, 6, 9, 11:
		return 30
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	default:
		return 31
	}
}

// isHash reports 64 lower-case hexadecimal digits.
func isHash(s string) bool {
	if len(s) != hashDigits {
		return false
	}
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}
