// Package trace is the W3C Trace Context that both programs take part in: it
// reads what a caller sent, gives each request a span of its own, and passes
// that on in the calls that the request causes.
package trace

import (
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
)

// The header fields.
const (
	HeaderParent = "Traceparent"
	HeaderState  = "Tracestate"
)

// Flags of a span that are known; others are not passed on (W3C Trace Context
// section 3.2.2.5).
const (
	Sampled byte = 1 << iota // somebody keeps the trace
	Random                   // the trace id is random (level 2)
)

const parentLength = 55 // of a traceparent of version 00

// Context names a span. The zero value is none.
type Context struct {
	Trace [16]byte
	Span  [8]byte
	Flags byte
	State string // the callers' own members, at most 512 bytes; passed on as they came
}

// Valid reports whether both ids are there: zero is no id.
func (c Context) Valid() bool { return c.Trace != [16]byte{} && c.Span != [8]byte{} }

// Sampled reports whether the trace is kept.
func (c Context) Sampled() bool { return c.Flags&Sampled != 0 }

// New starts a trace: random ids, not sampled.
func New() Context {
	c := Context{Span: newSpan()}
	for c.Trace == [16]byte{} {
		binary.NativeEndian.PutUint64(c.Trace[:8], rand.Uint64()) //nolint:gosec // ids are to be unique, not secret
		binary.NativeEndian.PutUint64(c.Trace[8:], rand.Uint64()) //nolint:gosec // likewise
	}
	return c
}

// Child is a new span of the same trace.
func (c Context) Child() Context {
	c.Span = newSpan()
	return c
}

func newSpan() (id [8]byte) {
	for id == [8]byte{} {
		binary.NativeEndian.PutUint64(id[:], rand.Uint64()) //nolint:gosec // ids are to be unique, not secret
	}
	return id
}

// Parse reads a traceparent strictly: version 00, 55 bytes, lower-case hex, no
// zero id. A caller that sent anything else starts no trace of ours.
func Parse(parent []byte) (c Context, ok bool) {
	if len(parent) != parentLength || string(parent[:3]) != "00-" || parent[35] != '-' || parent[52] != '-' {
		return Context{}, false
	}
	var flags [1]byte
	if !unhex(c.Trace[:], parent[3:35]) || !unhex(c.Span[:], parent[36:52]) || !unhex(flags[:], parent[53:]) || !c.Valid() {
		return Context{}, false
	}
	c.Flags = flags[0] & (Sampled | Random)
	return c, true
}

// unhex decodes lower-case hex.
func unhex(dst, src []byte) bool {
	for _, b := range src {
		if b >= 'A' && b <= 'F' {
			return false
		}
	}
	_, err := hex.Decode(dst, src)
	return err == nil
}

// AppendParent appends the traceparent that names c.
func (c Context) AppendParent(b []byte) []byte {
	b = hex.AppendEncode(append(b, "00-"...), c.Trace[:])
	b = hex.AppendEncode(append(b, '-'), c.Span[:])
	return hex.AppendEncode(append(b, '-'), []byte{c.Flags})
}

// AppendNext appends the traceparent of a new span: of the caller's trace when
// parent is valid, which known reports, else of a new one. It allocates nothing
// beyond b. Only with a known caller may its tracestate be passed on.
func AppendNext(b, parent []byte) (_ []byte, known bool) {
	c, known := Parse(parent)
	if !known {
		return New().AppendParent(b), false
	}
	return c.Child().AppendParent(b), true
}

// IDs gives trace and span id in hex, as logs show them.
func (c Context) IDs() (trace, span string) {
	var b [48]byte
	hex.Encode(b[:32], c.Trace[:])
	hex.Encode(b[32:], c.Span[:])
	text := string(b[:])
	return text[:32], text[32:]
}
