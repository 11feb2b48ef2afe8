package faults

import (
	"bufio"
	"bytes"
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"
)

// forgedCost is what a million forged requests may cost in the spool.
const forgedCost = 1 << 20

// A flood of forged requests, of every cheap kind, with the IdP away so that all
// of it stays in the spool. It costs next to nothing there, and no good request.
func TestFlood(t *testing.T) {
	t.Parallel()
	p, a, l := newIdP(t), newAPI(t), &ledger{}
	token := p.reader()
	s := newSidecar(t, p, a.URL)
	s.Start()
	p.Stop()
	good := start(l, 2, 5*time.Millisecond, at(s), mix(token))
	flowing(t, l, 50)
	from := l.size()
	total := pick(20_000, 1_000_000)
	tokens := forgeries(t, token)
	begun := time.Now()
	var flooders sync.WaitGroup
	const lines = 4
	errs := make(chan error, lines)
	for range lines {
		flooders.Go(func() { errs <- flood(l, s.addr, tokens, total/lines) })
	}
	flooders.Wait()
	took := time.Since(begun)
	for range lines {
		require.NoError(t, <-errs)
	}
	good.stop()
	deeds := l.since(from)
	failed := having(deeds, func(d *deed) bool { return d.path != forgedPath && (d.told != answers || d.status >= 500) })
	p99 := percentile(deeds, 0.99, func(d *deed) bool { return strings.HasPrefix(d.path, "/notes/") && served(d) })
	passed := having(deeds, func(d *deed) bool { return d.path == forgedPath && !d.anonymous() })
	folded := await(t, "the last counts are records", func() bool { return counted(spooled(t, s.dir)) >= int64(total) })
	cost := int64(0)
	for _, r := range spooled(t, s.dir) {
		if r.AgentID == "" {
			cost += r.size
		}
	}
	p.Start()
	f, _ := verdict(p, l, a, s)
	f.runs = 1
	report(t, "flood", f, "forged=%d passed=%d failed_good=%d spool_bytes=%d rps=%.0f good_p99_ms=%s folded=%d last_window_s=%.1f",
		total, len(passed), len(failed), cost, float64(total)/took.Seconds(), p99, f.folded, folded.Seconds())
	require.Empty(t, some(failed))
	require.Empty(t, some(passed))
	require.LessOrEqual(t, cost, int64(forgedCost))
}

const forgedPath = "/notes/forged"

// flood sends forged requests in bursts over one connection.
func flood(l *ledger, addr string, tokens []string, requests int) error {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	reader := bufio.NewReaderSize(conn, 64<<10)
	const burst = 50
	var many []byte
	for n := range burst {
		many = append(many, request(forgedPath, tokens[n%len(tokens)])...)
	}
	for sent := 0; sent < requests; sent += burst {
		if err := conn.SetDeadline(time.Now().Add(answerTime)); err != nil {
			return err
		}
		if _, err := conn.Write(many); err != nil {
			return err
		}
		for range burst {
			d := deed{told: answers, path: forgedPath, sent: time.Now()}
			if _, err := read(reader, &d); err != nil {
				return err
			}
			l.add(&d)
		}
	}
	return nil
}

// kept is a record in a spool.
type kept struct {
	AgentID string
	Outcome string
	Count   int64
	size    int64 // of its line
}

// spooled reads what lies in the spool of the data folder, packed or not: lines
// of JSON, framed.
func spooled(t *testing.T, dir string) (found []kept) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "spool", "*"))
	require.NoError(t, err)
	for _, file := range files {
		content, err := os.ReadFile(file)
		if os.IsNotExist(err) {
			continue // packed or shipped meanwhile
		}
		require.NoError(t, err)
		if strings.HasSuffix(file, ".zst") {
			reader, err := zstd.NewReader(nil)
			require.NoError(t, err)
			content, err = reader.DecodeAll(content, nil)
			reader.Close()
			require.NoError(t, err)
		}
		for {
			at := bytes.Index(content, []byte(`{"sequence":`))
			if at < 0 {
				break
			}
			decoder := json.NewDecoder(bytes.NewReader(content[at:]))
			var r kept
			if decoder.Decode(&r) != nil {
				break // being written
			}
			r.size = decoder.InputOffset()
			found = append(found, r)
			content = content[at+int(r.size):]
		}
	}
	return found
}

// counted is how many anonymous decisions the records stand for.
func counted(records []kept) (sum int64) {
	for _, r := range records {
		if r.AgentID == "" && r.Outcome != "gap" {
			sum += max(r.Count, 1)
		}
	}
	return sum
}
