package faults

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func (p *process) dial() net.Conn {
	p.T.Helper()
	conn, err := net.DialTimeout("tcp", p.addr, patience)
	require.NoError(p.T, err)
	return conn
}

// rss is the process's resident memory in KiB.
func (p *process) rss() (kib int) {
	p.T.Helper()
	status, err := os.ReadFile("/proc/" + itoa(p.PID()) + "/status")
	require.NoError(p.T, err)
	_, rest, found := strings.Cut(string(status), "VmRSS:")
	require.True(p.T, found)
	_, err = fmt.Sscan(rest, &kib)
	require.NoError(p.T, err)
	return kib
}

// sockets is how many connections the process has accepted and not let go.
func (p *process) sockets() (n int) {
	p.T.Helper()
	dir := "/proc/" + itoa(p.PID()) + "/fd"
	entries, err := os.ReadDir(dir)
	require.NoError(p.T, err)
	for _, entry := range entries {
		if target, err := os.Readlink(dir + "/" + entry.Name()); err == nil && strings.HasPrefix(target, "socket:") {
			n++
		}
	}
	return n
}

// p99 of what the deeds after the first n took, those answered.
func (l *ledger) p99(from int) time.Duration {
	var took []time.Duration
	for _, d := range l.all()[from:] {
		if d.told != unknown {
			took = append(took, d.done.Sub(d.sent))
		}
	}
	if took == nil {
		return 0
	}
	slices.Sort(took)
	return took[len(took)*99/100]
}

// nuisances are clients that mean no harm and do it.
var nuisances = map[string]func(conn net.Conn, gone <-chan struct{}){
	"never reads": func(conn net.Conn, gone <-chan struct{}) {
		_ = conn.(*net.TCPConn).SetReadBuffer(4 << 10)
		for range 200 {
			_ = conn.SetWriteDeadline(time.Now().Add(time.Second))
			if _, err := io.WriteString(conn, "GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
				break
			}
		}
		<-gone
	},
	"a byte a second": func(conn net.Conn, gone <-chan struct{}) {
		for _, b := range []byte("POST /api/v1/token HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n") {
			if _, err := conn.Write([]byte{b}); err != nil {
				return
			}
			select {
			case <-time.After(time.Second):
			case <-gone:
				return
			}
		}
	},
	"half a body": func(conn net.Conn, gone <-chan struct{}) {
		_, _ = io.WriteString(conn, "POST /api/v1/token HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 100\r\n\r\ngrant_type=")
		<-gone
	},
	"vanishes": func(conn net.Conn, _ <-chan struct{}) {
		_, _ = io.WriteString(conn, "POST /api/v1/token HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\ngrant")
		_ = conn.(*net.TCPConn).SetLinger(0) // a reset
	},
}

// F16: clients that never read, send a byte a second, stop half-way or vanish.
// The others are served as before, and the full form waits until all are cut off.
func TestF16Nuisances(t *testing.T) {
	tr := newTrial(t, plain, onSQLite(t))
	tr.process.Start()
	load := tr.load()
	tr.flowing(20)
	tr.flowing(40)
	quiet, usual := tr.process.sockets(), tr.ledger.p99(0)
	from := len(tr.ledger.all())
	gone := make(chan struct{})
	var nasty sync.WaitGroup
	for _, behave := range nuisances {
		for range pick(50, 250) {
			conn := tr.process.dial()
			nasty.Go(func() {
				defer conn.Close()
				behave(conn, gone)
			})
			tr.figures.runs++
		}
	}
	for range pick(3, 30) {
		tr.flowing(20)
	}
	left := -1
	if full() {
		for end := time.Now().Add(60 * time.Second); time.Now().Before(end) && tr.process.sockets() > quiet; {
			time.Sleep(100 * time.Millisecond)
		}
		left = max(0, tr.process.sockets()-quiet)
	}
	p99 := tr.ledger.p99(from)
	load.stop()
	close(gone)
	nasty.Wait()
	require.Empty(t, tr.wrong())
	figures := tr.close()
	figures.extra = fmt.Sprintf("p99_ms=%d usual_p99_ms=%d", p99.Milliseconds(), usual.Milliseconds())
	if left >= 0 {
		figures.extra += " open_after_60s=" + itoa(left)
	}
	report(t, "F16", figures)
	within(t, max(2*time.Second, 3*usual), p99) // a machine may be slow by itself
	require.LessOrEqual(t, left, 0)
}

// F17: thousands of connections that do nothing after one request.
func TestF17IdleConnections(t *testing.T) {
	wanted := pick(2000, 10000)
	var limit syscall.Rlimit
	require.NoError(t, syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit))
	limit.Cur = max(limit.Cur, min(limit.Max, uint64(wanted)+1000))
	require.NoError(t, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit)) // inherited by the IdP
	tr := newTrial(t, plain, onSQLite(t))
	tr.process.Start()
	load := tr.load()
	tr.flowing(20)
	load.stop()
	before := tr.process.rss()
	idle := make([]net.Conn, wanted)
	for i := range idle {
		idle[i] = tr.process.dial()
		defer idle[i].Close()
		_, err := io.WriteString(idle[i], "GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n")
		require.NoError(t, err)
		response, err := http.ReadResponse(bufio.NewReader(idle[i]), nil)
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, response.StatusCode)
	}
	each := float64(tr.process.rss()-before) / float64(wanted)
	require.GreaterOrEqual(t, tr.process.sockets(), wanted)
	tr.figures.runs = wanted
	load = tr.load()
	tr.flowing(20)
	load.stop()
	for _, conn := range idle {
		conn.Close()
	}
	require.Empty(t, tr.wrong())
	figures := tr.close()
	figures.extra = fmt.Sprintf("kib_per_connection=%.1f", each)
	report(t, "F17", figures)
	require.Less(t, each, 16.0)
}
