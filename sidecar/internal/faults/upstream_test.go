package faults

import (
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// badAPI is a server that does with a request what its path says.
type badAPI struct {
	net.Listener
	group sync.WaitGroup
	held  atomic.Int64 // connections of requests that get no answer, until their client gives up

	mu    sync.Mutex
	conns map[net.Conn]bool
}

func newBadAPI(t *testing.T) *badAPI {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	b := &badAPI{Listener: listener, conns: map[net.Conn]bool{}}
	b.group.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			b.keep(conn, true)
			b.group.Go(func() {
				defer b.keep(conn, false)
				defer conn.Close()
				b.misbehave(conn)
			})
		}
	})
	t.Cleanup(func() {
		listener.Close()
		b.mu.Lock()
		for conn := range b.conns {
			conn.Close()
		}
		b.mu.Unlock()
		b.group.Wait()
	})
	return b
}

func (b *badAPI) keep(conn net.Conn, open bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.conns[conn] = open; !open {
		delete(b.conns, conn)
	}
}

// misbehave answers one request: silent, slow, drip (the head comes bytewise),
// reset, hangup, half (the body ends before its end), junk.
func (b *badAPI) misbehave(conn net.Conn) {
	head := make([]byte, 4<<10)
	n, err := conn.Read(head)
	if err != nil {
		return
	}
	_, mode, _ := strings.Cut(string(head[:n]), " /bad/")
	mode, _, _ = strings.Cut(mode, " ")
	const answer = "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\nConnection: close\r\n\r\n"
	if slices.Contains([]string{"silent", "slow", "drip"}, mode) {
		b.held.Add(1)
		defer b.held.Add(-1)
	}
	switch mode {
	case "silent":
		_, _ = io.Copy(io.Discard, conn)
	case "slow":
		_ = conn.SetReadDeadline(time.Now().Add(8 * time.Second))
		if _, err := conn.Read(head); !os.IsTimeout(err) {
			return // nobody waits any more
		}
		_, _ = io.WriteString(conn, answer+strings.Repeat("x", 1000))
	case "drip":
		for i := range answer {
			if _, err := io.WriteString(conn, answer[i:i+1]); err != nil {
				return
			}
			time.Sleep(100 * time.Millisecond)
		}
	case "reset":
		_ = conn.(*net.TCPConn).SetLinger(0)
	case "half":
		_, _ = io.WriteString(conn, answer+"xxxx")
	case "junk":
		_, _ = io.WriteString(conn, "SSH-2.0-OpenSSH_9.2\r\n\r\n")
	}
}

// F9: an API that is slow, silent or resets. Its callers get 504 and 502 in
// time; other routes and the number of connections stay as they are.
func TestF9BadUpstream(t *testing.T) {
	t.Parallel()
	p, a, l, bad := newIdP(t), newAPI(t), &ledger{}, newBadAPI(t)
	token := p.reader()
	s := newSidecar(t, p, a.URL)
	const connections = 16
	require.NoError(t, os.WriteFile(s.routes, fmt.Appendf(nil, `%s  - { methods: [GET], path: "/bad/{mode}", capability: "notes:read", upstream: bad }
upstreams:
  bad: { urls: ["http://%s"], timeout: 1s, maxConnections: %d }
`, routesText, bad.Addr(), connections), 0o600))
	s.Start()
	others := start(l, 2, 2*time.Millisecond, at(s), mix(token))
	flowing(t, l, pick(200, 5000))
	quiet := l.size()
	modes := map[string][]string{ // and what their callers may be answered
		"silent": {"upstream_timeout"}, "slow": {"upstream_timeout"}, "drip": {"upstream_timeout"}, "reset": {"upstream_closed"},
		"hangup": {"upstream_closed"}, "junk": {"upstream_invalid"}, "half": {""},
	}
	var bads []*load
	for mode := range modes {
		bads = append(bads, start(l, 8, 0, at(s), func(int) (string, string) { return "/bad/" + mode, token }))
	}
	var held []int64
	for begun := time.Now(); time.Since(begun) < pick(4*time.Second, time.Minute); time.Sleep(20 * time.Millisecond) { // the fault itself
		held = append(held, bad.held.Load())
	}
	for _, load := range bads {
		load.stop()
	}
	others.stop()
	deeds := l.since(quiet)
	right := func(d *deed) bool {
		mode := strings.TrimPrefix(d.path, "/bad/")
		switch {
		case d.reason == "upstream_busy": // 56 callers of 16 connections
			return true
		case mode == "half":
			return d.told == cut && d.status == 200
		}
		return d.told == answers && d.reason == modes[mode][0]
	}
	// Any API is as slow as the machine that has no time for it, or for the sidecar.
	starved := func(d *deed) bool {
		return d.told == answers && d.reason == "upstream_timeout" && d.took > time.Second/2
	}
	ours := func(d *deed) bool { return !strings.HasPrefix(d.path, "/bad/") }
	quick := func(d *deed) bool { return strings.HasPrefix(d.path, "/notes/") }
	failed := having(deeds, func(d *deed) bool { return ours(d) && (d.told != answers || d.status >= 500) })
	wrong := having(deeds, except("/bad/", func(d *deed) bool { return right(d) || starved(d) }))
	late := having(deeds, func(d *deed) bool { return d.told != answers && d.took >= answerTime })
	before := percentile(l.since(0)[:quiet], 0.99, quick)
	// The API learns late of some that were given up, so the highest count says little.
	slices.Sort(held)
	usual := held[len(held)/2]
	f, _ := verdict(p, l, a, s)
	f.runs = len(modes)
	report(t, "F9", f, "failed_others=%d wrong=%d late=%d p99_before_ms=%s p99_during_ms=%s slowest_bad_ms=%s held=%d of %d",
		len(failed), len(wrong), len(late), before, percentile(deeds, 0.99, quick), percentile(deeds, 1, except("/bad/", func(*deed) bool { return false })), usual, connections)
	require.Empty(t, some(failed))
	require.Empty(t, some(wrong))
	require.Empty(t, some(late))
	require.LessOrEqual(t, usual, int64(connections)) // of 24 that wait
	for mode := range modes {
		require.NotEmpty(t, having(deeds, func(d *deed) bool { return d.path == "/bad/"+mode && d.reason != "upstream_busy" && right(d) }), mode)
	}
}

// flowing waits until the load gets so many more answers.
func flowing(t *testing.T, l *ledger, more int) {
	t.Helper()
	before := l.size()
	awaitFor(t, 5*time.Minute, "the load is served", func() bool { return l.size() >= before+more })
}
