package httpx

import (
	"bufio"
	"bytes"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/valyala/fasthttp"
)

// FuzzFraming: a head that fasthttp reads and framing lets pass, net/http reads
// as the same request.
func FuzzFraming(f *testing.F) {
	for _, seed := range []string{
		"GET / HTTP/1.1\r\nHost: h\r\n\r\n", "POST /a?b=c HTTP/1.1\r\nHost: [::1]:80\r\nContent-Length: 3\r\n\r\nabc",
		"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\nX: a\r\n\r\n0\r\n\r\n", "GET / HTTP/1.1\nHost: h\n\n", "GET /#a HTTP/1.1\r\nHost:h\r\nA: b\r\n c\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: Chunked\r\nExpect: 100-continue\r\nCookie: x\r\nAuthorization: y\r\n\r\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		var header fasthttp.RequestHeader
		if header.Read(bufio.NewReaderSize(bytes.NewReader(raw), 16<<10)) != nil || framing(&header) != nil {
			return
		}
		request := bytes.TrimLeft(raw, "\r\n") // both may ignore empty lines before it (RFC 9112 section 2.2)
		theirs, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(request)))
		require.NoError(t, err)
		require.Equal(t, theirs.Method, string(header.Method()))
		require.Equal(t, theirs.RequestURI, string(header.RequestURI()))
		require.Equal(t, theirs.Host, string(header.Host()))
		require.Equal(t, theirs.Header.Get("Authorization"), string(header.Peek("Authorization")))
		chunked := len(theirs.TransferEncoding) > 0
		require.Equal(t, chunked, header.ContentLength() == -1)
		if !chunked && header.ContentLength() >= 0 {
			require.EqualValues(t, theirs.ContentLength, header.ContentLength())
		}
	})
}
