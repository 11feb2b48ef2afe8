package proxy_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/shared/decision"
	"github.com/sentryagent/agentidp/sidecar/internal/proxy"
)

// There is no tunnel unless the upstream takes the handshake up to the letter.
func TestNoTunnelWithoutASwitch(t *testing.T) {
	good := func(request *http.Request) string { return accepting(request) }
	asked := []string{"Sec-WebSocket-Protocol: mcp", "Sec-WebSocket-Extensions: permessage-deflate"}
	for name, answer := range map[string]func(*http.Request) string{
		"wrong accept": func(r *http.Request) string { r.Header.Set("Sec-WebSocket-Key", "other"); return accepting(r) },
		"no accept": func(*http.Request) string {
			return "HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
		},
		"no upgrade":          func(r *http.Request) string { return strings.Replace(good(r), "Upgrade: websocket\r\n", "", 1) },
		"other upgrade":       func(r *http.Request) string { return strings.Replace(good(r), "websocket", "h2c", 1) },
		"no connection":       func(r *http.Request) string { return strings.Replace(good(r), "Connection: Upgrade\r\n", "", 1) },
		"unoffered protocol":  func(r *http.Request) string { return accepting(r, "Sec-WebSocket-Protocol: graphql") },
		"unoffered extension": func(r *http.Request) string { return accepting(r, "Sec-WebSocket-Extensions: mux") },
		"a body":              func(r *http.Request) string { return accepting(r, "Content-Length: 2") },
		"HTTP/1.0":            func(r *http.Request) string { return strings.Replace(good(r), "1.1", "1.0", 1) },
	} {
		t.Run(name, func(t *testing.T) {
			heard := make(chan string, 1)
			w := newWorld(t, rawAPI(t, func(request *http.Request, conn net.Conn, r *bufio.Reader) {
				_, _ = io.WriteString(conn, answer(request)+"\x81\x02hi")
				heard <- rest(r)
			}), withSockets)
			conn := w.dial()
			_, err := io.WriteString(conn, request("GET", "/ws", tokens(t).good(t), append(asked, handshake...)...)+frame("\x81", "secret", true))
			require.NoError(t, err)
			reader := bufio.NewReader(conn)
			w.refuses(read(t, reader, "GET"), 502, "upstream_upgrade")
			closed(t, reader)
			require.Empty(t, <-heard)
		})
	}
}

// Any other answer is one like any other, and the last one of its connection.
func TestOrdinaryAnswersToHandshakes(t *testing.T) {
	for status, answer := range map[int]string{
		200: "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Own: 1\r\n\r\nok",
		403: "HTTP/1.1 403 No\r\nTransfer-Encoding: chunked\r\nX-Own: 1\r\n\r\n2\r\nok\r\n0\r\n\r\n",
		426: "HTTP/1.1 426 Old\r\nContent-Length: 2\r\nSec-WebSocket-Version: 13\r\nUpgrade: websocket\r\nX-Own: 1\r\n\r\nok",
	} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			heard := make(chan string, 1)
			w := newWorld(t, rawAPI(t, func(_ *http.Request, conn net.Conn, r *bufio.Reader) {
				_, _ = io.WriteString(conn, answer)
				_ = conn.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
				heard <- rest(r)
			}), withSockets)
			conn := w.dial()
			_, err := io.WriteString(conn, request("GET", "/ws", tokens(t).good(t), handshake...)+request("GET", "/ws", tokens(t).good(t)))
			require.NoError(t, err)
			reader := bufio.NewReader(conn)
			r := read(t, reader, "GET")
			require.Equal(t, status, r.StatusCode)
			require.Equal(t, "ok", r.body)
			require.Equal(t, "1", r.Header.Get("X-Own"))
			require.Empty(t, r.reason())
			require.Empty(t, r.Header.Get("Upgrade"))
			if status == 426 {
				require.Equal(t, "13", r.Header.Get("Sec-WebSocket-Version"))
			}
			closed(t, reader)
			require.Empty(t, <-heard, "what came behind the handshake")
			require.Equal(t, "capability", w.ended().Reason)
			require.Equal(t, status, w.ended().Status)
		})
	}
}

// Frames may come right behind the handshake, and right behind its answer.
func TestEarlyFrames(t *testing.T) {
	heard := make(chan string, 1)
	w := newWorld(t, rawAPI(t, func(request *http.Request, conn net.Conn, r *bufio.Reader) {
		_ = conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
		if _, err := r.Peek(1); err == nil {
			heard <- "a frame before the answer"
			return
		}
		_ = conn.SetReadDeadline(time.Now().Add(time.Minute))
		_, _ = io.WriteString(conn, accepting(request)+"\x81\x05early\x88\x02\x03\xe8")
		heard <- rest(r)
	}), withSockets)
	conn := w.dial()
	// The frame's payload looks like a request.
	early := frame("\x82", request("GET", "/plain", ""), true)
	_, err := io.WriteString(conn, request("GET", "/ws", tokens(t).good(t), handshake...)+early)
	require.NoError(t, err)
	reader := bufio.NewReader(conn)
	response, err := http.ReadResponse(reader, nil)
	require.NoError(t, err)
	require.Equal(t, 101, response.StatusCode)
	answer := make([]byte, 11)
	_, err = io.ReadFull(reader, answer)
	require.NoError(t, err)
	require.Equal(t, "\x81\x05early\x88\x02\x03\xe8", string(answer))
	goodbye := frame("\x88", "\x03\xe8", true)
	_, err = io.WriteString(conn, goodbye)
	require.NoError(t, err)
	require.NoError(t, conn.(*net.TCPConn).CloseWrite())
	closed(t, reader)
	require.Equal(t, early+goodbye, <-heard)
	r := w.ended()
	require.Equal(t, int64(len(early+goodbye)), r.BytesIn)
	require.Equal(t, int64(11), r.BytesOut)
	require.Equal(t, "capability", r.Reason)
}

// What is no proper frame does not pass, and ends the tunnel.
func TestFramesKeepToTheProtocol(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, client, upstream string // what each sends
		toClient, toUpstream   string // codes that they get
		outcome                decision.Outcome
		reason                 string
	}{
		{"unmasked", "\x81\x02hi", "", "\x03\xea", goingAway, decision.Denied, "websocket_protocol"},
		{"a request", "GET /plain HTTP/1.1\r\n", "", "\x03\xea", goingAway, decision.Denied, "websocket_protocol"},
		{"reserved bits", frame("\xc1", "hi", true), "", "\x03\xea", goingAway, decision.Denied, "websocket_protocol"},
		{"large", "\x82\xfe\x04\x01\x00\x00\x00\x00", "", "\x03\xf1", goingAway, decision.Denied, "body_too_large"},
		{"masked", "", frame("\x81", "hi", true), "\x03\xf3", "\x03\xea", decision.Error, "upstream_invalid"},
		{"no frame", "", "HTTP/1.1 200 OK\r\n\r\n", "\x03\xf3", "\x03\xea", decision.Error, "upstream_invalid"},
	} {
		t.Run(c.name, func(t *testing.T) {
			heard := make(chan string, 1)
			w := newWorld(t, rawAPI(t, func(request *http.Request, conn net.Conn, r *bufio.Reader) {
				_, _ = io.WriteString(conn, accepting(request)+c.upstream)
				heard <- rest(r)
			}), withSockets, func(o *proxy.Options) { o.MaxBody = 1024 })
			conn, reader := w.handshake("/ws", tokens(t).good(t))
			good := frame("\x81", "good", true)
			if c.client != "" {
				_, err := io.WriteString(conn, good+c.client)
				require.NoError(t, err)
			} else {
				good = ""
			}
			text := rest(reader)
			require.GreaterOrEqual(t, len(text), 4)
			require.Equal(t, "\x88", text[:1])
			require.Equal(t, c.toClient+c.reason, text[2:])
			got := <-heard
			require.Equal(t, good, got[:len(good)], "nothing of the bad frame")
			first, code := unmask(t, got[len(good):])
			require.Equal(t, "\x88", first)
			require.Equal(t, c.toUpstream, code)
			r := w.ended()
			require.Equal(t, c.outcome, r.Outcome)
			require.Equal(t, c.reason, r.Reason)
			w.metric(fmt.Sprintf("sidecar_streams_terminated_total{reason=%q} 1", c.reason))
		})
	}
}

// A cut waits for the rest of a frame, but not for long.
func TestWebSocketCutInsideAFrame(t *testing.T) {
	t.Parallel()
	for name, comes := range map[string]bool{"rest comes": true, "rest does not come": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			stalled := make(chan struct{})
			w := newWorld(t, rawAPI(t, func(request *http.Request, conn net.Conn, r *bufio.Reader) {
				_, _ = io.WriteString(conn, accepting(request)+"\x81\x0abegin")
				for comes {
					if _, err := r.Peek(1); err != nil || r.Buffered() > 0 {
						break // the cut has come: our client's goodbye is here
					}
				}
				if comes {
					_, _ = io.WriteString(conn, " end!\x81\x04more")
				}
				<-stalled
			}), withSockets)
			defer close(stalled)
			_, reader := w.handshake("/ws", tokens(t).good(t, map[string]any{"jti": "live"}))
			_, err := io.ReadFull(reader, make([]byte, 7))
			require.NoError(t, err)
			w.revoked.set(func(r *revocations) { r.jti["live"] = true })
			text := rest(reader)
			if comes {
				require.Equal(t, " end!\x88\x0f\x03\xf0token_revoked", text)
			} else {
				require.Empty(t, text)
			}
			require.Equal(t, "token_revoked", w.ended().Reason)
		})
	}
}

// A frame that is under way when the proxy stops has the time that requests have.
func TestWebSocketFrameOutlastsTheStop(t *testing.T) {
	t.Parallel()
	w := newWorld(t, rawAPI(t, func(request *http.Request, conn net.Conn, r *bufio.Reader) {
		_, _ = io.WriteString(conn, accepting(request)+"\x81\x0abegin")
		_, _ = r.Peek(1)                      // our client's goodbye
		<-time.After(1500 * time.Millisecond) // more than a tunnel gets that is not allowed any more
		_, _ = io.WriteString(conn, " end!\x81\x04more")
		_ = rest(r)
	}), withSockets)
	_, reader := w.handshake("/ws", tokens(t).good(t))
	_, err := io.ReadFull(reader, make([]byte, 7))
	require.NoError(t, err)
	stopped := make(chan struct{})
	go func() { defer close(stopped); w.stop() }()
	require.Equal(t, " end!\x88\x0a\x03\xe9shutdown", rest(reader))
	<-stopped
	require.Equal(t, "shutdown", w.ended().Reason)
}

// Nothing may follow a Close frame, not even another.
func TestWebSocketCutBehindAGoodbye(t *testing.T) {
	t.Parallel()
	w := newWorld(t, rawAPI(t, func(request *http.Request, conn net.Conn, r *bufio.Reader) {
		_, _ = io.WriteString(conn, accepting(request)+"\x88\x02\x03\xe8")
		_ = rest(r)
	}), withSockets)
	_, reader := w.handshake("/ws", tokens(t).good(t, map[string]any{"jti": "live"}))
	_, err := io.ReadFull(reader, make([]byte, 4))
	require.NoError(t, err)
	w.revoked.set(func(r *revocations) { r.jti["live"] = true })
	require.Empty(t, rest(reader))
	require.Equal(t, "token_revoked", w.ended().Reason)
}

// A client that takes nothing must not keep what it may not have.
func TestWebSocketOfAClientThatDoesNotReadEnds(t *testing.T) {
	t.Parallel()
	flood := "\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x00" + strings.Repeat("x", 1<<16)
	w := newWorld(t, rawAPI(t, func(request *http.Request, conn net.Conn, _ *bufio.Reader) {
		_, err := io.WriteString(conn, accepting(request))
		for err == nil {
			_, err = io.WriteString(conn, flood)
		}
	}), withSockets, func(o *proxy.Options) { o.WriteTimeout = time.Minute })
	w.handshake("/ws", tokens(t).good(t, map[string]any{"jti": "live"}))
	waitFor(t, "it is a stream", func() bool { return len(w.records.started()) == 1 })
	w.revoked.set(func(r *revocations) { r.jti["live"] = true })
	require.Equal(t, "token_revoked", w.ended().Reason)
}
