package syncer

import (
	"context"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/shared/decision"
	"github.com/sentryagent/agentidp/sidecar/internal/spool"
)

// shipping makes a shipper that only the test drives.
func shipping(t *testing.T, p *peer, change ...func(*Options)) *shipper {
	t.Helper()
	s, err := New(t.Context(), p.options(t, change...))
	require.NoError(t, err)
	t.Cleanup(func() { s.keys.close(); s.client.close() })
	return s.shipper
}

// all ships until there is nothing more.
func (s *shipper) all(t *testing.T) {
	t.Helper()
	for {
		behind, err := s.ship(t.Context())
		require.NoError(t, err)
		if behind == 0 {
			return
		}
	}
}

func TestDecisionsArriveOnceInOrder(t *testing.T) {
	t.Parallel()
	p := newPeer(t)
	s, stop := run(t, p.options(t, func(o *Options) { o.Name = "notes-edge-1" }))
	const n = 12_000
	record(t, s.opts.Spool, n)
	eventually(t, "all", func() bool { return p.ingested() == n })
	eventually(t, "acknowledged", func() bool { return s.opts.Spool.Status().Acked == n })
	request := p.request(decisionsPath)
	require.Equal(t, "application/x-ndjson", request.Header.Get("Content-Type"))
	require.Equal(t, "gzip", request.Header.Get("Content-Encoding"))
	require.Equal(t, s.ID(), request.Header.Get("X-Sidecar-Id"))
	require.Equal(t, "notes-edge-1", request.Header.Get("X-Sidecar-Name"))
	require.GreaterOrEqual(t, p.count(decisionsPath), 3, "some thousand a batch")
	eventually(t, "no lag", func() bool { return s.Status().DecisionLag == 0 })
	record(t, s.opts.Spool, 7)
	stop()
	require.Equal(t, n+7, p.ingested(), "the end ships what is left")
}

// Decisions that come while a batch is under way need no further one to be shipped.
func TestNoDecisionWaitsForAnother(t *testing.T) {
	p := newPeer(t)
	s, _ := run(t, p.options(t))
	eventually(t, "ready", func() bool { return s.Status().Ready() })
	arrived, on := make(chan struct{}), make(chan struct{})
	var once atomic.Bool
	p.hook(decisionsPath, func(http.ResponseWriter, *http.Request) bool {
		if once.CompareAndSwap(false, true) {
			close(arrived)
			<-on
		}
		return false
	})
	record(t, s.opts.Spool, 1)
	<-arrived
	record(t, s.opts.Spool, 1)
	close(on)
	eventually(t, "both", func() bool { return p.ingested() == 2 })
}

// Whatever breaks on the way, before or after the IdP took the batch: each
// decision is there once, in order.
func TestDecisionsThroughEveryFault(t *testing.T) {
	t.Parallel()
	p := newPeer(t)
	var faults atomic.Int32
	p.hook(decisionsPath, func(w http.ResponseWriter, r *http.Request) bool {
		switch rand.IntN(6) {
		case 0:
			refuse(w, 503, `{"code":"AUDIT_UNAVAILABLE"}`)
		case 1: // taken, and the answer lost
			p.ingest(newDiscard(), r)
			panic(http.ErrAbortHandler)
		case 2: // taken, and the answer is somebody else's
			p.ingest(newDiscard(), r)
			refuse(w, 502, "<html>")
		case 3:
			panic(http.ErrAbortHandler)
		default:
			return false
		}
		faults.Add(1)
		return true
	})
	s := shipping(t, p, func(o *Options) {
		sp, err := spool.Open(t.TempDir(), spool.Options{MaxBytes: 8 << 20})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, sp.Close()) })
		o.Spool = sp
	})
	s.records = 50
	const n = 3000
	for sent := 0; s.spool.Status().Acked < n; {
		if sent < n {
			record(t, s.spool, 100)
			sent += 100
		}
		if _, err := s.ship(t.Context()); err != nil {
			s.records = 50
		}
		s.records = min(s.records, 50)
	}
	require.Positive(t, faults.Load())
	require.Equal(t, n, p.ingested())
}

type discard struct{ header http.Header }

func newDiscard() *discard                     { return &discard{http.Header{}} }
func (d *discard) Header() http.Header         { return d.header }
func (d *discard) Write(b []byte) (int, error) { return len(b), nil }
func (d *discard) WriteHeader(int)             {}

func TestTheIdPForgot(t *testing.T) {
	t.Parallel()
	p := newPeer(t)
	s := shipping(t, p, func(o *Options) {
		sp, err := spool.Open(t.TempDir(), spool.Options{MaxBytes: 1 << 20})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, sp.Close()) })
		o.Spool = sp
	})
	for range 5 {
		record(t, s.spool, 800)
		s.all(t)
	}
	p.mu.Lock()
	p.next, p.anchor, p.lines = 0, "", nil // restored from before
	p.mu.Unlock()
	record(t, s.spool, 10)
	s.all(t)
	p.mu.Lock()
	defer p.mu.Unlock()
	require.Equal(t, int64(4_010), p.next)
	first, err := decision.Parse(p.lines[0])
	require.NoError(t, err)
	require.Equal(t, decision.GapNotRetained, first.Reason)
	require.Equal(t, int64(0), *first.FirstSequence)
	require.Len(t, p.lines, int(4_010-first.Sequence), "the rest is still here and was sent again")
}

// An old copy of the folder runs: found out before anything is appended.
func TestTheFirstContactAsksWhereTheStreamStands(t *testing.T) {
	p := newPeer(t)
	p.next = 500
	s := shipping(t, p)
	s.all(t)
	require.Equal(t, 1, p.ingested())
	sequence, err := s.spool.Append(&decision.Record{Outcome: decision.Denied})
	require.NoError(t, err)
	require.Equal(t, int64(501), sequence, "500 is the gap that says so")
	s.all(t)
	require.Equal(t, 2, p.ingested())
}

func TestTheIdPIsAhead(t *testing.T) {
	p := newPeer(t)
	s := shipping(t, p)
	record(t, s.spool, 10)
	p.answers(decisionsPath, 200, `{"nextSequence":500}`)
	_, err := s.ship(t.Context())
	require.NoError(t, err)
	p.hook(decisionsPath, nil)
	p.mu.Lock()
	p.next, p.anchor = 500, strings.Repeat("0", 64)
	p.mu.Unlock()
	s.all(t)
	p.mu.Lock()
	defer p.mu.Unlock()
	require.Len(t, p.lines, 1)
	gap, err := decision.Parse(p.lines[0])
	require.NoError(t, err)
	require.Equal(t, decision.GapSequenceConflict, gap.Reason)
	require.Equal(t, int64(10), gap.Count)
}

func TestRefusalsLoseNothing(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]struct {
		status int
		body   string
	}{
		"400":            {400, `{"code":"VALIDATION_FAILED","message":"records[0]"}`},
		"403":            {403, `{"code":"FORBIDDEN"}`},
		"404":            {404, ""},
		"429":            {429, ""},
		"500":            {500, ""},
		"redirect":       {307, ""},
		"no sequence":    {200, `{}`},
		"negative":       {200, `{"nextSequence":-1}`},
		"no json":        {200, `ok`},
		"no progress":    {200, `{"nextSequence":0}`},
		"409 without":    {409, `{"code":"SEQUENCE_GAP"}`},
		"409 for itself": {409, `{"code":"SEQUENCE_GAP","details":{"nextSequence":0}}`},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPeer(t)
			s := shipping(t, p)
			record(t, s.spool, 3)
			p.answers(decisionsPath, answer.status, answer.body)
			for range 3 {
				_, err := s.ship(t.Context())
				require.Error(t, err)
			}
			require.Zero(t, s.spool.Status().Acked)
			require.Positive(t, s.lag())
			p.hook(decisionsPath, nil)
			s.all(t)
			require.Equal(t, 3, p.ingested())
			require.Zero(t, s.lag())
		})
	}
}

// Something between us and the IdP takes only small requests.
func TestBatchesShrink(t *testing.T) {
	t.Parallel()
	p := newPeer(t)
	p.hook(decisionsPath, func(w http.ResponseWriter, r *http.Request) bool {
		if r.ContentLength > 2000 {
			refuse(w, 413, "")
			return true
		}
		return false
	})
	s := shipping(t, p)
	record(t, s.spool, 4000)
	for s.spool.Status().Acked < 4000 {
		_, err := s.ship(t.Context())
		if err != nil {
			require.ErrorContains(t, err, "smaller")
		}
	}
	require.Equal(t, 4000, p.ingested())
}

func TestShippingStartsAgainByItself(t *testing.T) {
	p := newPeer(t)
	p.answers(decisionsPath, 503, "")
	s, _ := run(t, p.options(t))
	record(t, s.opts.Spool, 5)
	eventually(t, "said", func() bool { return strings.Contains(s.Status().DecisionsFailed, "503") })
	p.hook(decisionsPath, nil)
	eventually(t, "shipped", func() bool { return p.ingested() == 5 })
	eventually(t, "said", func() bool { return s.Status().DecisionsFailed == "" })
}

// The end does not wait for an IdP that does not answer.
func TestFlushIsBounded(t *testing.T) {
	t.Parallel()
	p := newPeer(t)
	hang := make(chan struct{})
	defer close(hang)
	s, stop := run(t, p.options(t))
	eventually(t, "ready", func() bool { return s.Status().Ready() })
	p.hook(decisionsPath, func(_ http.ResponseWriter, r *http.Request) bool {
		select {
		case <-hang:
		case <-r.Context().Done():
		}
		return true
	})
	record(t, s.opts.Spool, 5)
	began := time.Now()
	stop() // which does not wait for the peer
	t.Logf("stopped after %s", time.Since(began))
	require.Zero(t, s.opts.Spool.Status().Acked)
	require.Equal(t, int64(5), s.opts.Spool.Status().Next, "they stay")
}

func TestNoTokenNoShipping(t *testing.T) {
	p := newPeer(t)
	s := shipping(t, p, func(o *Options) { o.ClientSecret = "wrong" })
	record(t, s.spool, 1)
	_, err := s.ship(t.Context())
	require.ErrorContains(t, err, "own token")
	require.Zero(t, p.count(decisionsPath))
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = s.ship(ended)
	require.Error(t, err)
}

func TestLocalTalksOnlyAboutKeys(t *testing.T) {
	p := newPeer(t)
	s, stop := run(t, p.options(t, local))
	eventually(t, "keys", func() bool { return s.Status().Ready() })
	stop()
	for _, path := range []string{tokenPath, feedPath, decisionsPath} {
		require.Zero(t, p.count(path))
	}
	c := claims()
	_, revoked := s.Revocations().Revoked(&c)
	require.False(t, revoked)
}

func TestTimeOf(t *testing.T) {
	for _, line := range []string{"", `{"sequence":0,"time":"`, `{"sequence":0,"time":"nonsense nonsense nonse"`} {
		require.Nil(t, timeOf([]byte(line)))
	}
}
