package forwardauth

import (
	"bytes"
	"net/netip"

	"github.com/valyala/fasthttp"

	"github.com/sentryagent/agentidp/shared/httpx"
	"github.com/sentryagent/agentidp/sidecar/internal/guard"
	"github.com/sentryagent/agentidp/sidecar/internal/proxy"
)

// convention is how a kind of proxy tells of the request that it holds, and
// what it makes of the answer. The asking proxy chooses it by the path it asks
// at: a header could be the client's.
type convention struct {
	fields  [parts]string // names in lower case
	foreign [2]string     // what tells the same in another convention
	answer  func(*fasthttp.Response, *proxy.Verdict)
}

// What a convention tells, each in a field of its own.
const (
	method = iota
	target
	host
	scheme
	client
	parts
)

var conventions = map[string]*convention{
	"/auth/nginx": {
		fields:  [parts]string{"x-original-method", "x-original-uri", "x-original-host", "x-forwarded-proto", "x-forwarded-for"},
		foreign: [2]string{"x-forwarded-method", "x-forwarded-uri"},
		answer:  answerNginx,
	},
	"/auth/forwarded": { // Traefik, Caddy
		fields:  [parts]string{"x-forwarded-method", "x-forwarded-uri", "x-forwarded-host", "x-forwarded-proto", "x-forwarded-for"},
		foreign: [2]string{"x-original-method", "x-original-uri"},
		answer:  answerWhole,
	},
}

// What is refused before the guard sees it: the request that it would judge
// may not be the one that the proxy holds.
var (
	errIncomplete = &guard.Refusal{Status: fasthttp.StatusBadRequest, Reason: "question_incomplete"}
	errRepeated   = &guard.Refusal{Status: fasthttp.StatusBadRequest, Reason: "question_repeated"}
	errMixed      = &guard.Refusal{Status: fasthttp.StatusBadRequest, Reason: "question_mixed"}
	errScheme     = &guard.Refusal{Status: fasthttp.StatusBadRequest, Reason: "question_scheme"}
	errBody       = &guard.Refusal{Status: fasthttp.StatusBadRequest, Reason: "question_body"}
	errDisguised  = &guard.Refusal{Status: fasthttp.StatusBadRequest, Reason: "header_disguised"}
	errReserved   = &guard.Refusal{Status: fasthttp.StatusBadRequest, Reason: "header_reserved"}
)

// question puts the held request together from the fields of the one that asks.
// peer is who asks; what it says of the client's address counts as far as it
// names peers.
func (c *convention) question(block []byte, peer netip.Addr, peers []netip.Prefix) proxy.Question {
	told, own, doubt := c.read(block)
	q := proxy.Question{Client: peer, Proto: string(told[scheme]), Doubt: doubt}
	if told[client] != nil {
		q.Client = httpx.ClientAddress(peer, []string{string(told[client])}, peers)
	}
	fields := make([]byte, 0, len("Host: \r\n\r\n")+len(told[host])+len(own))
	fields = append(append(append(fields, "Host: "...), told[host]...), "\r\n"...)
	fields = append(append(fields, own...), "\r\n"...)
	q.Request = guard.Request{Method: told[method], Target: told[target], Protocol: []byte("HTTP/1.1"), Fields: fields}
	return q
}

// read takes the block apart: what the asking proxy tells, and the lines of the
// client's own fields. The first thing wrong with it is the doubt.
func (c *convention) read(block []byte) (told [parts][]byte, own []byte, doubt *guard.Refusal) {
	wrong := func(why *guard.Refusal) {
		if doubt == nil {
			doubt = why
		}
	}
	own = make([]byte, 0, len(block))
	for {
		name, value, rest, why := guard.Next(block)
		if why != nil {
			return told, nil, why
		}
		if name == nil {
			break
		}
		line := block[:len(block)-len(rest)]
		block = rest
		switch part := c.part(name); {
		case part == parts:
			wrong(errMixed)
		case part >= 0 && told[part] != nil:
			wrong(errRepeated)
		case part >= 0:
			told[part] = value
		case named(name, "transfer-encoding"), named(name, "content-length") && string(value) != "0":
			wrong(errBody)
		case hop(name): // of the asking proxy's connection to us
		case guard.Disguised(name):
			wrong(errDisguised)
		case reserved(name):
			wrong(errReserved)
		default:
			own = append(own, line...)
		}
	}
	for _, value := range told {
		if len(value) == 0 {
			wrong(errIncomplete)
		}
	}
	if scheme := string(told[scheme]); scheme != "http" && scheme != "https" {
		wrong(errScheme)
	}
	return told, own, doubt
}

// part is what the field tells in this convention; parts if it is of another
// one, -1 if it is the client's.
func (c *convention) part(name []byte) int {
	for part, own := range c.fields {
		if named(name, own) {
			return part
		}
	}
	for _, foreign := range c.foreign {
		if named(name, foreign) {
			return parts
		}
	}
	return -1
}

// hop reports whether the field says nothing of the held request: its framing,
// its connection and an upgrade are between the client and the asking proxy.
func hop(name []byte) bool {
	return named(name, "host") || named(name, "connection") || named(name, "content-length") || named(name, "upgrade")
}

func named(name []byte, want string) bool {
	return len(name) == len(want) && bytes.EqualFold(name, []byte(want))
}
