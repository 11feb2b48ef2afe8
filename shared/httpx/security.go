package httpx

import (
	"strings"

	"github.com/valyala/fasthttp"
)

// Field is a response header, ready to be set: its name in canonical form.
type Field struct{ Name, Value []byte }

// NewField makes a Field.
func NewField(name, value string) Field { return Field{[]byte(name), []byte(value)} }

// Set replaces the field in a header. It allocates nothing once the header has
// its buffers.
func (f Field) Set(header *fasthttp.ResponseHeader) { header.SetCanonical(f.Name, f.Value) }

// securityHeaders go with every answer of an API. Strict-Transport-Security is
// not among them: only its program knows whether the world reaches it by https.
var securityHeaders = [...]Field{
	NewField("X-Content-Type-Options", "nosniff"),
	NewField("Cache-Control", "no-store"),
	NewField("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"),
	NewField("Referrer-Policy", "no-referrer"),
	NewField("Cross-Origin-Resource-Policy", "same-origin"),
	NewField("X-Frame-Options", "DENY"),
}

// SetSecurityHeaders sets the security headers that the answer does not have
// yet; a page or a cacheable document sets its own before.
func SetSecurityHeaders(header *fasthttp.ResponseHeader) {
	for i := range securityHeaders {
		if f := &securityHeaders[i]; len(header.PeekCanonical(f.Name)) == 0 {
			f.Set(header)
		}
	}
}

// securityLines are the same as lines of a message.
func securityLines() string {
	var lines strings.Builder
	for _, f := range securityHeaders {
		lines.WriteString(string(f.Name) + ": " + string(f.Value) + "\r\n")
	}
	return lines.String()
}
