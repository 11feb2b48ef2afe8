package proxy_test

import (
	"bytes"
	"crypto/tls"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// framed is a connection on which a test writes HTTP/2 frame by frame.
type framed struct {
	t      *testing.T
	conn   *tls.Conn
	framer *http2.Framer
	block  bytes.Buffer
	hpack  *hpack.Encoder
	next   uint32
}

func (w *world) frames(t *testing.T) *framed {
	t.Helper()
	config := w.trust.Clone()
	config.NextProtos = []string{"h2"}
	conn, err := tls.Dial("tcp", w.addr, config)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	require.Equal(t, "h2", conn.ConnectionState().NegotiatedProtocol)
	require.NoError(t, conn.SetDeadline(time.Now().Add(time.Minute)))
	_, err = io.WriteString(conn, http2.ClientPreface)
	require.NoError(t, err)
	f := &framed{t: t, conn: conn, framer: http2.NewFramer(conn, conn), next: 1}
	f.hpack = hpack.NewEncoder(&f.block)
	f.framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	require.NoError(t, f.framer.WriteSettings())
	return f
}

// head is that of a GET on /notes, changed: name, value, …; a name that is there
// is replaced, one with "+" before it added.
func head(token string, change ...string) [][2]string {
	fields := [][2]string{{":method", "GET"}, {":scheme", "https"}, {":authority", "api.example"}, {":path", "/notes"}, {"authorization", "Bearer " + token}}
next:
	for i := 0; i < len(change); i += 2 {
		name, added := strings.CutPrefix(change[i], "+")
		for j := range fields {
			if fields[j][0] == name && !added {
				fields[j][1] = change[i+1]
				continue next
			}
		}
		fields = append(fields, [2]string{name, change[i+1]})
	}
	return fields
}

// open sends a head, and ends the request unless body follows.
func (f *framed) open(fields [][2]string, body bool) uint32 {
	f.t.Helper()
	f.block.Reset()
	for _, field := range fields {
		if field[1] == "-" {
			continue
		}
		require.NoError(f.t, f.hpack.WriteField(hpack.HeaderField{Name: field[0], Value: field[1]}))
	}
	id := f.next
	f.next += 2
	first, rest := f.block.Bytes(), []byte(nil)
	if len(first) > 16<<10 {
		first, rest = first[:16<<10], first[16<<10:]
	}
	require.NoError(f.t, f.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: first, EndStream: !body, EndHeaders: len(rest) == 0}))
	for len(rest) > 0 {
		part := rest[:min(len(rest), 16<<10)]
		rest = rest[len(part):]
		require.NoError(f.t, f.framer.WriteContinuation(id, len(rest) == 0, part))
	}
	return id
}

// reset reads until any stream is reset, and gives the code.
func (f *framed) reset() http2.ErrCode {
	f.t.Helper()
	for {
		frame, err := f.framer.ReadFrame()
		require.NoError(f.t, err)
		if reset, is := frame.(*http2.RSTStreamFrame); is {
			return reset.ErrCode
		}
	}
}

// answer reads until the stream ends: its fields, or the code of the reset.
func (f *framed) answer(id uint32) (fields http.Header, reset http2.ErrCode) {
	f.t.Helper()
	fields = http.Header{}
	for {
		frame, err := f.framer.ReadFrame()
		require.NoError(f.t, err)
		if goaway, is := frame.(*http2.GoAwayFrame); is {
			require.Fail(f.t, "the connection ends", "%v %v %s", id, goaway.ErrCode, goaway.DebugData())
		}
		if frame.Header().StreamID != id {
			continue
		}
		switch frame := frame.(type) {
		case *http2.MetaHeadersFrame:
			for _, field := range frame.Fields {
				fields.Add(field.Name, field.Value)
			}
		case *http2.RSTStreamFrame:
			return fields, frame.ErrCode
		}
		if frame.Header().Flags.Has(http2.FlagDataEndStream) {
			return fields, 0
		}
	}
}
