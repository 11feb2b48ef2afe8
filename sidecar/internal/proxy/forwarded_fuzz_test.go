package proxy_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/shared/decision"
	"github.com/sentryagent/agentidp/sidecar/internal/proxy"
	"github.com/sentryagent/agentidp/sidecar/internal/route"
)

// Nothing is public here: an anonymous decision may be only counted, an
// authenticated one always has its record.
const fuzzRoutes = `
routes:
  - {methods: [GET, POST, PUT, PATCH, DELETE, OPTIONS, QUERY], path: "/**", capability: notes:read}
  - {methods: [GET, POST], path: /admin, capability: secret:read}
  - {methods: [GET, POST], path: "/admin/**", capability: secret:read}
`

// hop is a proxy in front of one kind of upstream.
type hop struct {
	*world
	up    *upstream
	table *route.Table
	left  map[string]bool // clients that were gone before their answer
}

func newHop(t testing.TB, up *upstream) *hop {
	table, err := route.Load([]byte(fuzzRoutes))
	require.NoError(t, err)
	return &hop{up: up, table: table, left: map[string]bool{}, world: newWorld(t, up.URL, func(o *proxy.Options) {
		o.Routes, o.Log, o.Upstream.KeepAlive = table, slog.New(slog.DiscardHandler), time.Minute
	})}
}

var fuzzConnections atomic.Uint32

// exchange sends the bytes on a connection of their own, hears the proxy out and
// asserts that the upstream got exactly what was allowed, as it was allowed.
func (h *hop) exchange(t *testing.T, raw []byte) (arrived []seen) {
	n := fuzzConnections.Add(1)
	peer := fmt.Sprintf("127.%d.%d.%d", 16+n>>16&0x7f, n>>8&0xff, n&0xff) // its own: ports of one address would run out
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(peer)}, Timeout: 10 * time.Second}
	conn, err := dialer.Dial("tcp", h.addr)
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, conn.SetDeadline(time.Now().Add(30*time.Second)))
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		_, _ = conn.Write(raw) // the proxy may close first
		_ = conn.(*net.TCPConn).CloseWrite()
	}()
	_, err = io.Copy(io.Discard, conn)
	var network net.Error
	require.False(t, errors.As(err, &network) && network.Timeout(), "the proxy neither answers nor closes")
	<-sent

	arrived = slices.DeleteFunc(h.up.take(), func(s seen) bool { return h.left[s.Header.Get("X-Forwarded-For")] })
	records := h.records.take()
	h.decider.forget()
	if slices.ContainsFunc(records, func(r decision.Record) bool { return r.Reason == "client_gone" }) {
		h.left[peer] = true
		return nil // to the proxy the client left in the middle, and the upstream may have it, now or later
	}
	allowed := slices.DeleteFunc(slices.Clone(records), func(r decision.Record) bool { return r.Outcome != decision.Allowed })
	require.Len(t, arrived, len(allowed), "one request for each allowed decision: %+v", records)
	for i, got := range arrived {
		agrees(t, h.table, allowed[i], got)
		require.Equal(t, allowed[i].BytesIn, int64(len(got.Body)))
		clean := path.Clean(strings.ToLower(got.Path))
		require.False(t, clean == "/admin" || strings.HasPrefix(clean, "/admin/"), got.Path)
	}
	return arrived
}

// FuzzForwarded sends raw bytes through a real proxy: what was decided on is
// what the upstream received, whichever server reads it. {token} in the input
// stands for a good token.
func FuzzForwarded(f *testing.F) {
	files, err := filepath.Glob("testdata/corpus/*.txt")
	require.NoError(f, err)
	for _, file := range files {
		for _, fact := range parseCorpus(f, file, strings.NewReplacer()) {
			if len(fact.request) < 4<<10 {
				f.Add([]byte(fact.request))
			}
		}
	}
	f.Add([]byte("POST /a?b HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {token}\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n" +
		"QUERY /c%20d HTTP/1.1\r\nHost: [::1]:8\r\nAuthorization: Bearer {token}\r\nContent-Length: 1\r\n\r\nxGET /admin/x HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {token}\r\n\r\n"))
	good := []byte(tokens(f).good(f, map[string]any{"exp": time.Now().Unix() + 3500}))
	std, fast := newHop(f, stdUpstream(f)), newHop(f, fastUpstream(f))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if bytes.Count(raw, []byte("{token}")) > 64 {
			return
		}
		raw = bytes.ReplaceAll(raw, []byte("{token}"), good)
		one, other := std.exchange(t, raw), fast.exchange(t, raw)
		if one == nil || other == nil {
			return
		}
		require.Len(t, other, len(one))
		for i := range one {
			require.Equal(t, one[i].Target, other[i].Target)
			require.Equal(t, one[i].Body, other[i].Body)
		}
	})
}
