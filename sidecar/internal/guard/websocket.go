package guard

import (
	"bytes"

	"github.com/sentryagent/agentidp/sidecar/internal/websocket"
)

// upgrading is the option that a handshake and its answer have in Connection.
var upgrading = fold([]byte("upgrade"))

// webSocketFamily are the fields of a handshake: the proxy makes its own with
// both sides.
var webSocketFamily = []byte("sec-websocket-")

const (
	webSocketProtocol   = "sec-websocket-protocol"
	webSocketExtensions = "sec-websocket-extensions"
	deflate             = "permessage-deflate"
)

// upgrade lets offers pass that the proxy may ignore (they are stripped). That
// of WebSocket stands alone or is refused: its sender can do nothing with a
// plain answer.
func (s *scan) upgrade(value []byte) *Refusal {
	if equal(value, "websocket") {
		s.head.WebSocket = true
		return s.once(sawUpgrade)
	}
	for rest := value; len(rest) > 0; {
		var protocol []byte
		protocol, rest = element(rest)
		if equal(protocol, "websocket") {
			return errUpgrade
		}
	}
	return s.once(sawUpgrade)
}

// handshake holds an opening handshake to RFC 6455 section 4.2.1, to the letter.
func (s *scan) handshake(method []byte) *Refusal {
	h := s.head
	switch {
	case s.h2c:
		return errUpgrade
	case string(method) != "GET", s.length, s.encoding, h.Expect, h.Closes(), !h.connection.names(&upgrading), s.version == nil:
		return errHandshake
	case string(s.version) != websocket.Version:
		return errHandshakeVersion
	case !websocket.ValidKey(h.key):
		return errHandshake
	}
	proper := true
	list(h.Fields, webSocketProtocol, func(protocol []byte) { proper = proper && token(protocol) })
	if !proper {
		return errHandshake
	}
	return nil
}

// list calls each for the members of a field's values. The block was accepted before.
func list(block []byte, field string, each func(member []byte)) {
	for {
		name, value, rest, why := Next(block)
		if why != nil || name == nil {
			return
		}
		if f := fold(name); f.exact && string(f.bytes()) == field {
			for more := value; len(more) > 0; {
				var member []byte
				member, more = element(more)
				each(member)
			}
		}
		block = rest
	}
}

// AppendHandshake writes the fields of a handshake of ours with the client's
// key, subprotocols and, of the extensions, the one that leaves frames as they
// are: permessage-deflate changes payloads only, which nobody reads here.
func (h *Head) AppendHandshake(b []byte) []byte {
	b = append(b, "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: "+websocket.Version+"\r\nSec-WebSocket-Key: "...)
	b = append(append(b, h.key...), "\r\n"...)
	b = appendList(b, "Sec-WebSocket-Protocol", h.Fields, webSocketProtocol, func([]byte) bool { return true })
	return appendList(b, "Sec-WebSocket-Extensions", h.Fields, webSocketExtensions, compression)
}

// appendList writes the members that keep wants as one field; none without any.
func appendList(b []byte, name string, block []byte, field string, keep func(member []byte) bool) []byte {
	first := true
	list(block, field, func(member []byte) {
		if !keep(member) {
			return
		}
		if first {
			b = append(append(b, name...), ": "...)
		} else {
			b = append(b, ", "...)
		}
		first = false
		b = append(b, member...)
	})
	if first {
		return b
	}
	return append(b, "\r\n"...)
}

// compression reports whether the member of Sec-WebSocket-Extensions is
// permessage-deflate, with parameters that need no quotes.
func compression(member []byte) bool {
	name, parameters, _ := bytes.Cut(member, []byte{';'})
	for _, c := range parameters {
		if !tokenBytes[c] && c != '=' && c != ';' && c != ' ' && c != '\t' {
			return false
		}
	}
	return string(trim(name)) == deflate
}

// Switch is what both sides of a WebSocket agreed on. Slices are views into the answer.
type Switch struct {
	Accept    string // Sec-WebSocket-Accept
	Protocol  []byte // nil: none
	Extension []byte // permessage-deflate with its parameters, or nil
}

// Switches reports whether the answer takes the handshake up (RFC 6455 section
// 4.1): everything as demanded, nothing that was not offered.
func (h *Head) Switches(a *Answer) (s Switch, ok bool) {
	if a.Status != 101 || a.Close || a.Length != UntilClose || !a.connection.names(&upgrading) {
		return s, false
	}
	s.Accept = websocket.Accept(h.key)
	var met [4]int
	for block := a.Fields; ; {
		name, value, rest, why := Next(block)
		if why != nil {
			return s, false
		}
		if name == nil {
			break
		}
		block = rest
		f := fold(name)
		if !f.exact {
			continue
		}
		proper := true
		switch string(f.bytes()) {
		case "upgrade":
			met[0]++
			proper = equal(value, "websocket")
		case "sec-websocket-accept":
			met[1]++
			proper = string(value) == s.Accept
		case webSocketProtocol:
			met[2]++
			s.Protocol = value
			proper = h.offers(webSocketProtocol, func(offer []byte) bool { return bytes.Equal(offer, value) })
		case webSocketExtensions:
			met[3]++
			s.Extension = value
			proper = compression(value) && h.offers(webSocketExtensions, compression)
		}
		if !proper {
			return s, false
		}
	}
	return s, met[0] == 1 && met[1] == 1 && met[2] <= 1 && met[3] <= 1
}

func (h *Head) offers(field string, like func(offer []byte) bool) (found bool) {
	list(h.Fields, field, func(offer []byte) { found = found || like(offer) })
	return found
}
