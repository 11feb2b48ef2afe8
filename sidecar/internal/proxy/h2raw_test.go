package proxy_test

import (
	"bytes"
	"crypto/tls"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/sentryagent/agentidp/sidecar/internal/proxy"
)

// A body is what the frames say, and as long as was announced.
func TestHTTP2Bodies(t *testing.T) {
	up := stdUpstream(t)
	w, _ := newSecureWorld(t, up.URL)
	good := tokens(t).good(t)
	f := w.frames(t)
	post := func(length string) uint32 {
		return f.open(head(good, ":method", "POST", "content-length", length), true)
	}
	id := post("5")
	require.NoError(t, f.framer.WriteData(id, true, []byte("hello")))
	fields, _ := f.answer(id)
	require.Equal(t, "200", fields.Get(":status"))

	// Trailers of a request end here.
	id = post("-")
	require.NoError(t, f.framer.WriteData(id, false, []byte("hello")))
	f.block.Reset()
	require.NoError(t, f.hpack.WriteField(hpack.HeaderField{Name: "x-agent-id", Value: "forged"}))
	require.NoError(t, f.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: f.block.Bytes(), EndStream: true, EndHeaders: true}))
	fields, _ = f.answer(id)
	require.Equal(t, "200", fields.Get(":status"))
	require.Len(t, up.all(), 2)
	require.Equal(t, agentID, up.all()[1].Header.Get("X-Agent-Id"))
	require.NotContains(t, up.all()[1].text(), "forged")

	id = post("5")
	require.NoError(t, f.framer.WriteData(id, true, []byte("four")))
	fields, _ = f.answer(id)
	require.Equal(t, "body_incomplete", fields.Get("x-agentidp-error"))
	id = post("5")
	require.NoError(t, f.framer.WriteData(id, true, []byte("sixsix")))
	_, reset := f.answer(id)
	require.Equal(t, http2.ErrCodeProtocol, reset)
	id = post("-")
	require.NoError(t, f.framer.WriteData(id, false, []byte("reset")))
	require.NoError(t, f.framer.WriteRSTStream(id, http2.ErrCodeCancel))
	waitFor(t, "all are recorded", func() bool { return len(w.records.all()) == 5 })

	w, _ = newSecureWorld(t, up.URL, func(o *proxy.Options) { o.BodyWindow = 300 * time.Millisecond })
	f = w.frames(t)
	fields, _ = f.answer(post("100"))
	require.Equal(t, "body_timeout", fields.Get("x-agentidp-error"), "too slow")
	require.Len(t, w.records.all(), 1)
	require.Len(t, up.all(), 2)
}

// Streams that are opened and reset at once cost no more than others (CVE-2023-39325, CVE-2023-44487).
func TestHTTP2RapidReset(t *testing.T) {
	up := stdUpstream(t)
	w, client := newSecureWorld(t, up.URL)
	good := tokens(t).good(t)
	f := w.frames(t)
	go func() { _, _ = io.Copy(io.Discard, f.conn) }()
	var err error
	for i := 0; i < 1_000 && err == nil; i++ {
		f.block.Reset()
		for _, field := range head(good) {
			_ = f.hpack.WriteField(hpack.HeaderField{Name: field[0], Value: field[1]})
		}
		err = f.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: f.next, BlockFragment: f.block.Bytes(), EndStream: true, EndHeaders: true})
		if err == nil {
			err = f.framer.WriteRSTStream(f.next, http2.ErrCodeCancel)
		}
		f.next += 2
	}
	require.Equal(t, 200, w.ask(client, "GET", "/notes", good, nil).StatusCode, "others are served")
	require.NoError(t, f.conn.Close())
	waitFor(t, "all is over", func() bool {
		var b bytes.Buffer
		w.metrics.WritePrometheus(&b)
		return strings.Contains(b.String(), "sidecar_http2_requests 0\n")
	})
}

// Both versions are spoken on one port; who says nothing gets HTTP/1.1.
func TestALPN(t *testing.T) {
	w, _ := newSecureWorld(t, stdUpstream(t).URL)
	for offered, agreed := range map[string]string{"h2,http/1.1": "h2", "http/1.1": "http/1.1", "": ""} {
		config := w.trust.Clone()
		if offered != "" {
			config.NextProtos = strings.Split(offered, ",")
		}
		conn, err := tls.Dial("tcp", w.addr, config)
		require.NoError(t, err)
		require.Equal(t, agreed, conn.ConnectionState().NegotiatedProtocol)
		if agreed != "h2" {
			_, err = io.WriteString(conn, request("GET", "/open", "", "Connection: close"))
			require.NoError(t, err)
			answer, err := io.ReadAll(conn)
			require.NoError(t, err)
			require.Contains(t, string(answer), "HTTP/1.1 200 OK")
		}
		require.NoError(t, conn.Close())
	}
	// Prior knowledge is none on a plain listener.
	plain := newWorld(t, stdUpstream(t).URL)
	require.Equal(t, 505, plain.raw(http2.ClientPreface).StatusCode)
}
