package proxy_test

import (
	"bytes"
	"context"
	"hash/crc32"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/sidecar/internal/proxy"
)

// Events arrive as they are sent, also when neither side speaks what the other does.
func TestHTTP2Streams(t *testing.T) {
	next := make(chan struct{})
	handler := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for range 3 {
			_, _ = io.WriteString(w, "data:\n")
			_ = http.NewResponseController(w).Flush()
			select {
			case <-next:
			case <-r.Context().Done():
				return
			}
		}
	}
	plain := httptest.NewServer(http.HandlerFunc(handler))
	t.Cleanup(plain.Close)
	for _, file := range []string{routes, over(h2cUpstream(t, handler))} {
		w, h2 := newSecureWorld(t, plain.URL)
		w.replace(file)
		for _, client := range []*http.Client{h2, w.client(false)} {
			response, err := client.Do(w.request("GET", "/notes", tokens(t).good(t), nil))
			require.NoError(t, err)
			for range 3 {
				_, err = io.ReadFull(response.Body, make([]byte, 6))
				require.NoError(t, err)
				next <- struct{}{}
			}
			rest, err := io.ReadAll(response.Body)
			require.NoError(t, err)
			require.Empty(t, rest)
			require.NoError(t, response.Body.Close())
		}
	}
}

// Large bodies pass both ways, whole and in little memory.
func TestHTTP2LargeBodies(t *testing.T) {
	const size = 16 << 20
	handler := func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPut { // answers when it has all
			_, _ = io.Copy(io.Discard, r.Body)
			return
		}
		_, _ = io.Copy(w, r.Body)
		w.Header().Set(http.TrailerPrefix+"X-Digest", "of a body")
	}
	w, h2 := newSecureWorld(t, "http://127.0.0.1:1", func(o *proxy.Options) { o.MaxBody = size })
	w.replace(over(h2cUpstream(t, handler)))
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	digest, echoed := crc32.NewIEEE(), crc32.NewIEEE()
	body := io.TeeReader(io.LimitReader(endlessBytes{}, size), digest)
	response, err := h2.Do(w.request("POST", "/notes", tokens(t).good(t), body))
	require.NoError(t, err)
	n, err := io.Copy(echoed, response.Body)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.EqualValues(t, size, n)
	require.Equal(t, digest.Sum32(), echoed.Sum32(), "both ways at once")
	require.Empty(t, response.Trailer, "only gRPC has trailers")
	runtime.GC()
	runtime.ReadMemStats(&after)
	require.Less(t, int64(after.HeapInuse)-int64(before.HeapInuse), int64(8<<20))
	waitFor(t, "it is recorded", func() bool { return len(w.records.all()) == 1 })
	record := w.records.all()[0]
	require.EqualValues(t, size, record.BytesIn)
	require.EqualValues(t, size, record.BytesOut)

	strict, h2 := newSecureWorld(t, "http://127.0.0.1:1", func(o *proxy.Options) { o.MaxBody = 1 << 20 })
	strict.replace(over(h2cUpstream(t, handler)))
	for _, body := range []io.Reader{bytes.NewReader(make([]byte, 1<<20+1)), io.LimitReader(endlessBytes{}, 1<<20+1)} {
		strict.refuses(strict.ask(h2, "PUT", "/notes", tokens(t).good(t), body), 413, "body_too_large")
	}
	require.Equal(t, 200, strict.ask(h2, "PUT", "/notes", tokens(t).good(t), io.LimitReader(endlessBytes{}, 1<<20)).StatusCode)
}

// endlessBytes is a body without an end.
type endlessBytes struct{}

func (endlessBytes) Read(p []byte) (int, error) { return copy(p, pattern), nil }

var pattern = []byte(strings.Repeat("0123456789abcdef!", 1<<10))

// A client that does not read holds its own stream only, and not for ever.
func TestHTTP2SlowReader(t *testing.T) {
	t.Parallel()
	flood := func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/pub/small" {
			_, _ = io.WriteString(w, "small")
			return
		}
		for block := make([]byte, 64<<10); ; {
			if _, err := w.Write(block); err != nil {
				return
			}
		}
	}
	w, client := newSecureWorld(t, "http://127.0.0.1:1", func(o *proxy.Options) { o.WriteTimeout = 3 * time.Second }) // less than the tests wait
	w.replace(over(h2cUpstream(t, flood)))
	response, err := client.Do(w.request("GET", "/pub/flood", "", nil))
	require.NoError(t, err)
	defer response.Body.Close()
	for range 5 {
		require.Equal(t, "small", w.ask(client, "GET", "/pub/small", "", nil).body, "others are served meanwhile, on the same connections")
	}
	waitFor(t, "it ends", func() bool { return strings.Contains(w.logs.String(), `"path":"/pub/flood"`) })
	_, err = io.Copy(io.Discard, response.Body)
	require.Error(t, err)
	require.Equal(t, "small", w.ask(client, "GET", "/pub/small", "", nil).body)
	w.metric("sidecar_answers_broken_total 1\n")
	w.metric("sidecar_streams_open 0\n")
}

// A stream that is reset cancels the work for it.
func TestHTTP2ClientLeaves(t *testing.T) {
	t.Parallel()
	entered, left := make(chan struct{}, 4), make(chan struct{}, 4)
	handler := func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/pub/stream" {
			_ = http.NewResponseController(w).Flush()
		}
		_, _ = io.Copy(io.Discard, r.Body)
		entered <- struct{}{}
		<-r.Context().Done()
		left <- struct{}{}
	}
	plain := httptest.NewServer(http.HandlerFunc(handler))
	t.Cleanup(plain.Close)
	for _, file := range []string{routes, over(h2cUpstream(t, handler))} {
		w, client := newSecureWorld(t, plain.URL)
		w.replace(file)
		for _, path := range []string{"/pub/silent", "/pub/stream"} {
			ctx, leave := context.WithCancel(context.Background())
			gone := make(chan error, 1)
			go func() {
				response, err := client.Do(w.request("GET", path, "", nil).WithContext(ctx))
				if err == nil {
					_, err = io.ReadAll(response.Body)
					_ = response.Body.Close()
				}
				gone <- err
			}()
			<-entered
			leave()
			require.ErrorIs(t, <-gone, context.Canceled)
			select {
			case <-left:
			case <-time.After(30 * time.Second):
				t.Fatal("the upstream still works")
			}
			w.metric("sidecar_http2_requests 0\n")
			w.metric("sidecar_streams_open 0\n")
		}
	}
}

// Long exchanges of either protocol end with their permission.
func TestHTTP2StreamsEndWithTheirPermission(t *testing.T) {
	t.Parallel()
	api := newEndless(t, 10*time.Millisecond)
	handler := func(w http.ResponseWriter, r *http.Request) {
		for {
			if _, err := io.WriteString(w, "data:\n"); err != nil || http.NewResponseController(w).Flush() != nil || r.Context().Err() != nil {
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
	for _, file := range []string{routes, over(h2cUpstream(t, handler))} {
		w, client := newSecureWorld(t, api.url)
		w.replace(file)
		token := tokens(t).good(t, map[string]any{"jti": "live"})
		response, err := client.Do(w.request("GET", "/notes", token, nil))
		require.NoError(t, err)
		waitFor(t, "its start is recorded", func() bool { return len(w.records.started()) == 1 })
		w.revoked.set(func(r *revocations) { r.jti["live"] = true })
		began := time.Now()
		_, err = io.Copy(io.Discard, response.Body)
		require.ErrorContains(t, err, "stream error", "reset, not ended")
		t.Logf("ended after %s", time.Since(began))
		require.NoError(t, response.Body.Close())
		waitFor(t, "its end is recorded", func() bool { return len(w.records.all()) == 1 })
		end := w.records.all()[0]
		require.Equal(t, "token_revoked", end.Reason)
		require.Equal(t, w.records.started()[0].DecisionID, end.DecisionID)

		if file != routes { // that one answers at once
			continue
		}
		// What was not answered yet is refused.
		w.revoked.set(func(r *revocations) { delete(r.jti, "live") })
		reader, writer := io.Pipe()
		answer := make(chan reply, 1)
		go func() { answer <- w.ask(client, "POST", "/notes", token, reader) }()
		_, err = writer.Write([]byte("begun"))
		require.NoError(t, err)
		waitFor(t, "it is a stream", func() bool { return len(w.records.started()) == 2 })
		w.revoked.set(func(r *revocations) { r.jti["live"] = true })
		w.refuses(<-answer, 401, "token_revoked")
		_ = writer.CloseWithError(io.ErrUnexpectedEOF)
	}
}

// At the end clients are told to go elsewhere, and what they have begun is finished.
func TestHTTP2Drain(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	plain := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(entered)
		<-release
		_, _ = io.WriteString(w, "whole")
	}))
	t.Cleanup(plain.Close)
	w, client := newSecureWorld(t, plain.URL)
	answer := make(chan reply, 1)
	go func() { answer <- w.ask(client, "GET", "/notes", tokens(t).good(t), nil) }()
	<-entered
	stopped := make(chan struct{})
	go func() { w.stop(); close(stopped) }()
	waitFor(t, "nobody new comes", func() bool {
		conn, err := net.Dial("tcp", w.addr)
		if err == nil {
			_ = conn.Close()
		}
		return err != nil
	})
	select {
	case <-stopped:
		t.Fatal("it did not wait")
	default:
	}
	close(release)
	require.Equal(t, "whole", (<-answer).body)
	<-stopped
	require.Len(t, w.records.all(), 1)
}
