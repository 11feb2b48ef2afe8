package httpx_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/valyala/fasthttp"

	"github.com/sentryagent/agentidp/shared/apierr"
	"github.com/sentryagent/agentidp/shared/httpx"
)

const marker = "s3cret-m4rker"

// What the server refuses before the handler, each as raw bytes. Every refusal
// is JSON, ends the connection, and leaves nothing of the request in the log.
func TestRefusedRequests(t *testing.T) {
	var handled atomic.Int64
	r := start(t, httpx.Options{
		Handler: func(ctx *fasthttp.RequestCtx) { handled.Add(1); httpx.WriteJSON(ctx, 200, len(ctx.PostBody())) },
		MaxBody: 1000, MaxHead: 8 << 10,
		Limit: func(h *fasthttp.RequestHeader) int {
			if string(h.RequestURI()) == "/large" {
				return 3000
			}
			return 0
		},
	}, httpx.ListenOptions{})
	next := "GET /second HTTP/1.1\r\nHost: h\r\n\r\n"
	long := strings.Repeat(marker, 1000)
	refused := func(name, request string, status int, code, message string) {
		t.Run(name, func(t *testing.T) {
			a := r.raw(t, request)
			require.Equal(t, status, a.status)
			require.JSONEq(t, fmt.Sprintf(`{"code":%q,"message":%q,"details":{}}`, code, message), a.body)
			require.Equal(t, "application/json", a.header.Get("Content-Type"))
			require.Equal(t, "nosniff", a.header.Get("X-Content-Type-Options"))
			require.Empty(t, a.header.Get("Server"))
			require.True(t, a.closed, "the connection stays open")
			require.Empty(t, a.rest, "nothing behind it is answered")
		})
	}
	badly := func(name, request string) {
		refused(name, request+next, 400, "VALIDATION_FAILED", "the request is malformed")
	}
	badly("no request", marker+"\r\n\r\n")
	badly("no host", "GET / HTTP/1.1\r\nX: "+marker+"\r\n\r\n")
	badly("two hosts", "GET / HTTP/1.1\r\nHost: h\r\nHost: "+marker+"\r\n\r\n")
	badly("host with user", "GET / HTTP/1.1\r\nHost: user@"+marker+"\r\n\r\n")
	badly("host byte", "GET / HTTP/1.1\r\nHost: h\xa0\r\n\r\n")
	badly("version 2.0", "GET / HTTP/2.0\r\nHost: h\r\n\r\n")
	badly("version 1.2", "GET / HTTP/1.2\r\nHost: h\r\n\r\n")
	badly("version 0.9", "GET /\r\n\r\n")
	badly("HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
	badly("absolute target", "GET http://h/ HTTP/1.1\r\nHost: h\r\n\r\n")
	badly("asterisk target", "OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n")
	badly("authority target", "CONNECT h:443 HTTP/1.1\r\nHost: h\r\n\r\n")
	badly("fragment", "GET /a#b HTTP/1.1\r\nHost: h\r\n\r\n")
	badly("bad escape in target", "GET /a%zz HTTP/1.1\r\nHost: h\r\n\r\n")
	badly("escape cut short", "GET /a%4 HTTP/1.1\r\nHost: h\r\n\r\n")
	badly("raw UTF-8 in target", "GET /\u00e9 HTTP/1.1\r\nHost: h\r\n\r\n")
	badly("control in target", "GET /a\x01 HTTP/1.1\r\nHost: h\r\n\r\n")
	badly("bare LF between fields", "GET / HTTP/1.1\r\nHost: h\nX: y\r\n\r\n")
	badly("bare LF at the end", "GET / HTTP/1.1\r\nHost: h\r\nX: y\n\n")
	badly("folded line", "GET / HTTP/1.1\r\nHost: h\r\nX: y\r\n  "+marker+"\r\n\r\n")
	badly("space before colon", "GET / HTTP/1.1\r\nHost: h\r\nX : y\r\n\r\n")
	badly("space in name", "GET / HTTP/1.1\r\nHost: h\r\nX y: z\r\n\r\n")
	badly("empty name", "GET / HTTP/1.1\r\nHost: h\r\n: z\r\n\r\n")
	badly("NUL in value", "GET / HTTP/1.1\r\nHost: h\r\nX: \x00"+marker+"\r\n\r\n")
	badly("CR in value", "GET / HTTP/1.1\r\nHost: h\r\nX: a\rb\r\n\r\n")
	badly("length and coding", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
	badly("coding and length", "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n")
	badly("coding identity", "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: identity\r\nContent-Length: 0\r\n\r\n")
	badly("coding identity alone", "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: identity\r\n\r\n")
	badly("coding unknown", "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: xchunked\r\n\r\n")
	badly("coding on 1.0", "POST / HTTP/1.0\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
	badly("two lengths", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc")
	badly("length with sign", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: +3\r\n\r\nabc")
	badly("length as list", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3, 3\r\n\r\nabc")
	badly("length too large to count", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 18446744073709551616\r\n\r\nabc")
	badly("bad chunk", "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0x1\r\na\r\n0\r\n\r\n")
	badly("two authorizations", "GET / HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer "+marker+"\r\nauthorization: Basic x\r\n\r\n")
	badly("two content types", "POST / HTTP/1.1\r\nHost: h\r\nContent-Type: a/b\r\nContent-Type: c/d\r\nContent-Length: 0\r\n\r\n")
	refused("expectation", "GET / HTTP/1.1\r\nHost: h\r\nExpect: "+marker+"\r\n\r\n"+next, 417, "EXPECTATION_FAILED", "the only expectation met is 100-continue")
	refused("long target", "GET /"+long, 414, "URI_TOO_LONG", "the request target is too long")
	refused("large header", "GET / HTTP/1.1\r\nHost: h\r\nX: "+long, 431, "HEADER_TOO_LARGE", "the request header is too large")
	refused("many fields", "GET / HTTP/1.1\r\nHost: h\r\n"+strings.Repeat("a: b\r\n", 100)+"\r\n"+next, 431, "HEADER_TOO_LARGE", "the request header has more than 100 fields")
	refused("large body", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1001\r\n\r\n"+long[:1001], 413, "PAYLOAD_TOO_LARGE", "the request body is too large")
	refused("large body announced", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100000000\r\n\r\n"+long, 413, "PAYLOAD_TOO_LARGE", "the request body is too large")
	refused("large chunked body", "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3e9\r\n"+long[:1001]+"\r\n0\r\n\r\n", 413, "PAYLOAD_TOO_LARGE", "the request body is too large")
	refused("larger limit of its own", "POST /large HTTP/1.1\r\nHost: h\r\nContent-Length: 3001\r\n\r\n"+long[:3001], 413, "PAYLOAD_TOO_LARGE", "the request body is too large")
	require.Zero(t, handled.Load(), "no refused request, and none behind one, reaches the handler")

	t.Run("expectation denied", func(t *testing.T) {
		a := r.raw(t, "POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 1001\r\n\r\n")
		require.Equal(t, 413, a.status)
		require.True(t, a.closed)
	})
	accepted := func(name, request, body string) {
		t.Run(name, func(t *testing.T) {
			a := r.raw(t, request)
			require.Equal(t, 200, a.status, a.body)
			require.Equal(t, body, a.body)
			require.False(t, a.closed)
		})
	}
	accepted("plain", "GET / HTTP/1.1\r\nHost: h:80\r\n\r\n", "0")
	accepted("IPv6 host", "GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", "0")
	accepted("body at the limit", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\n"+long[:1000], "1000")
	accepted("body at a larger limit", "POST /large HTTP/1.1\r\nHost: h\r\nContent-Length: 3000\r\n\r\n"+long[:3000], "3000")
	accepted("chunked", "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", "3")

	require.NotContains(t, r.log.String(), marker[:6])
	require.NotContains(t, r.log.String(), "user@")
}

func TestContinue(t *testing.T) {
	r := start(t, httpx.Options{Handler: func(ctx *fasthttp.RequestCtx) { httpx.WriteJSON(ctx, 200, len(ctx.PostBody())) }}, httpx.ListenOptions{})
	c := r.dial(t)
	_, err := io.WriteString(c, "POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n")
	require.NoError(t, err)
	interim := make([]byte, len("HTTP/1.1 100 Continue\r\n\r\n"))
	_, err = io.ReadFull(c, interim)
	require.NoError(t, err)
	require.Equal(t, "HTTP/1.1 100 Continue\r\n\r\n", string(interim))
	_, err = io.WriteString(c, "abc")
	require.NoError(t, err)
	require.Equal(t, "3", read(t, c).body)
}

func TestSlowClientsAreClosed(t *testing.T) {
	r := start(t, httpx.Options{
		Handler:     func(ctx *fasthttp.RequestCtx) { httpx.WriteJSON(ctx, 200, "ok") },
		HeadTimeout: 300 * time.Millisecond, BodyTimeout: 600 * time.Millisecond, IdleTimeout: 300 * time.Millisecond,
	}, httpx.ListenOptions{})
	drip := func(head, rest string) (answer, time.Duration) {
		begun := time.Now()
		c := r.dial(t)
		_, err := io.WriteString(c, head)
		require.NoError(t, err)
		done := make(chan struct{})
		go func() {
			defer close(done)
			for i := range rest {
				if _, err := io.WriteString(c, rest[i:i+1]); err != nil {
					return
				}
				time.Sleep(20 * time.Millisecond)
			}
		}()
		a, _ := tryRead(c)
		took := time.Since(begun)
		c.Close()
		<-done
		return a, took
	}
	// One of whom nothing came in time gets no answer.
	persist(t, "a slow head", func() bool {
		a, _ := drip("GET / HT", strings.Repeat("x", 400))
		return a.status == 408 && strings.Contains(a.body, "REQUEST_TIMEOUT")
	})
	persist(t, "a slow body", func() bool {
		a, took := drip("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4000\r\n\r\n", strings.Repeat("x", 400))
		return a.status == 408 && took >= 600*time.Millisecond
	})

	silent := r.dial(t)
	sent, err := io.ReadAll(silent)
	require.NoError(t, err)
	require.Empty(t, sent, "a connection that says nothing is closed without a word")

	persist(t, "an idle connection is closed after its answer", func() bool {
		idle := r.dial(t)
		if _, err := io.WriteString(idle, "GET / HTTP/1.1\r\nHost: h\r\n\r\n"); err != nil {
			return false
		}
		sent, err := io.ReadAll(idle)
		return err == nil && strings.Count(string(sent), "HTTP/1.1 ") == 1 && strings.Contains(string(sent), "200 OK")
	})
}

func TestClientThatDoesNotRead(t *testing.T) {
	r := start(t, httpx.Options{Handler: func(ctx *fasthttp.RequestCtx) {
		if string(ctx.Path()) == "/huge" {
			ctx.SetBody(make([]byte, 64<<20))
		}
	}}, httpx.ListenOptions{WriteTimeout: 2 * time.Second}) // a reader that the machine starves is no stuck one
	stuck := r.dial(t)
	_, err := io.WriteString(stuck, "GET /huge HTTP/1.1\r\nHost: h\r\n\r\n")
	require.NoError(t, err)
	require.Equal(t, 200, r.raw(t, "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").status, "others are served meanwhile")
	eventually(t, func() bool { return r.ln.Open() == 0 }, "the stuck connection is let go")

	persist(t, "a client that reads gets all", func() bool {
		response, err := http.Get("http://" + r.addr + "/huge")
		if err != nil {
			return false
		}
		defer response.Body.Close()
		n, err := io.Copy(io.Discard, response.Body)
		return err == nil && n == 64<<20
	})
	http.DefaultClient.CloseIdleConnections()
}

func TestPanicIsA500(t *testing.T) {
	for _, stream := range []bool{false, true} {
		r := start(t, httpx.Options{Stream: stream, Handler: func(ctx *fasthttp.RequestCtx) {
			httpx.RequestID(ctx, nil)
			ctx.SetBodyString("half an answer")
			ctx.Response.Header.Set("X-Half", "1")
			panic("boom")
		}}, httpx.ListenOptions{})
		a := r.raw(t, "GET / HTTP/1.1\r\nHost: h\r\n\r\n")
		require.Equal(t, 500, a.status)
		require.JSONEq(t, `{"code":"INTERNAL","message":"internal error","details":{}}`, a.body)
		require.True(t, a.closed)
		require.Empty(t, a.header.Get("X-Half"))
		require.NotEmpty(t, a.header.Get("X-Request-Id"))
		require.Contains(t, r.log.String(), "panic=boom")
		require.Contains(t, r.log.String(), "server_test.go")
		require.Contains(t, r.log.String(), "request_id="+a.header.Get("X-Request-Id"))
		require.Equal(t, 500, r.raw(t, "GET / HTTP/1.1\r\nHost: h\r\n\r\n").status, "the server lives")
	}
}

func TestRefusalsCanBeRenderedElsewhere(t *testing.T) {
	r := start(t, httpx.Options{
		Handler: func(*fasthttp.RequestCtx) {},
		Refuse: func(ctx *fasthttp.RequestCtx, e *apierr.Error) {
			ctx.Response.Header.Set("X-Mark", e.Reason)
			httpx.WriteError(ctx, e)
		},
	}, httpx.ListenOptions{})
	a := r.raw(t, "GET / HTTP/9.9\r\nHost: h\r\n\r\n")
	require.Equal(t, 400, a.status)
	require.NotEmpty(t, a.header.Get("X-Mark"))
}

func TestConcurrencyLimit(t *testing.T) {
	r := start(t, httpx.Options{Handler: func(*fasthttp.RequestCtx) {}, Concurrency: 1}, httpx.ListenOptions{})
	first := r.dial(t)
	_, err := io.WriteString(first, "GET / HTTP/1.1\r\nHost: h\r\n\r\n")
	require.NoError(t, err)
	require.Equal(t, 200, read(t, first).status)
	second := r.dial(t)
	require.Equal(t, 503, read(t, second).status)
	eventually(t, func() bool { return strings.Contains(r.log.String(), "level=WARN") }, "the operator is told")
}
