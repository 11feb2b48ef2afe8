package syncer

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/klauspost/compress/gzip"

	"github.com/sentryagent/agentidp/shared/decision"
	"github.com/sentryagent/agentidp/sidecar/internal/spool"
)

const (
	decisionsPath = "/api/v1/audit/decisions"
	zipAtOnce     = 32 << 10 // bytes; a fraction of a millisecond
	// shipBytes of records are in memory at once: some thousand, so that a request
	// to the IdP takes nothing worth to speak of from each.
	shipBytes = 1 << 20
	enough    = 1_000 // decisions that wait for no further ones
)

// shipper sends what the spool holds, in order, until the IdP has it. It is one goroutine.
type shipper struct {
	caller  *caller
	spool   *spool.Spool
	opts    Options
	log     *slog.Logger
	trouble trouble
	// records and bytes bound a batch; they shrink when something on the way
	// takes less than the IdP would.
	records, bytes int
	placed         bool // the IdP told once where the stream stands
	zip            *gzip.Writer
	oldest         atomic.Pointer[time.Time] // time of the oldest record not acknowledged; nil: none

	shipped *metrics.Counter
}

func newShipper(c *caller, opts Options) *shipper {
	zip, err := gzip.NewWriterLevel(nil, gzip.BestSpeed)
	if err != nil {
		panic(err) // the level is a constant
	}
	s := &shipper{
		caller: c, spool: opts.Spool, opts: opts, log: opts.Logger, zip: zip,
		records: decision.MaxRecords, bytes: shipBytes,
		shipped: opts.Metrics.NewCounter("sidecar_audit_shipped_total"),
	}
	opts.Metrics.NewGauge("sidecar_audit_lag_seconds", func() float64 { return s.lag().Seconds() })
	opts.Metrics.NewGauge("sidecar_audit_refused", func() float64 {
		if s.trouble.text() != "" {
			return 1
		}
		return 0
	})
	return s
}

// lag is the age of the oldest decision that was not shipped, as far as the
// shipper has looked.
func (s *shipper) lag() time.Duration {
	at := s.oldest.Load()
	if at == nil {
		return 0
	}
	return max(s.opts.Now().Sub(*at), 0)
}

func (s *shipper) report(st *Status) {
	st.DecisionLag, st.DecisionsFailed = s.lag(), s.trouble.text()
}

func (s *shipper) run(ctx context.Context) {
	s.drain(ctx)
	left, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushTime)
	defer cancel()
	for {
		switch behind, err := s.ship(left); {
		case err != nil:
			s.log.Warn("decisions stay in the spool until the next start", "error", err)
			return
		case behind == 0:
			return
		}
	}
}

// drain ships until ctx ends.
func (s *shipper) drain(ctx context.Context) {
	p := pace{least: 500 * time.Millisecond, most: 10 * time.Second}
	for ctx.Err() == nil {
		behind, err := s.ship(ctx)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			s.trouble.set(err)
			pause := p.bad(err)
			s.log.Warn("decisions cannot be shipped; they stay in the spool", "error", err, "retryIn", pause)
			if !sleep(ctx, pause) {
				return
			}
			continue
		}
		p.good()
		s.trouble.clear()
		if behind == 0 {
			select {
			case <-ctx.Done():
			case <-s.spool.Ready():
			}
		}
		if behind < enough {
			sleep(ctx, s.opts.Linger) // company for the first decision
		}
	}
}

// errNoProgress guards against an IdP that asks for the same again and again.
var errNoProgress = errors.New("the IdP does not move on")

// ship sends one batch and answers how many records are still behind it. The
// first one goes out even if it is empty, so that a folder that is older than
// what was shipped from it is found out before it gives out a sequence twice.
func (s *shipper) ship(ctx context.Context) (behind int64, err error) {
	batch, err := s.spool.Next(s.records, s.bytes)
	if err != nil {
		return 0, err
	}
	if batch.Records == 0 && s.placed {
		s.oldest.Store(nil)
		return 0, nil
	}
	s.oldest.Store(timeOf(batch.Lines))
	next, err := s.send(ctx, batch) // an empty batch asks where the stream stands
	if err != nil {
		return 0, err
	}
	s.placed = true
	switch {
	case next == batch.First && batch.Records == 0:
	case next == batch.First:
		return 0, errNoProgress
	case next < batch.First:
		s.log.Warn("the IdP asks for decisions that it had acknowledged", "acknowledged", batch.First, "next", next)
		err = s.spool.Rewind(next)
	default:
		s.shipped.AddInt64(min(next, batch.Next) - batch.First)
		err = s.spool.Ack(next)
	}
	st := s.spool.Status()
	if st.Acked == st.Next {
		s.oldest.Store(nil)
	}
	return st.Next - st.Acked, err
}

// send answers the sequence that the IdP wants next.
func (s *shipper) send(ctx context.Context, batch spool.Batch) (int64, error) {
	body, err := s.zipped(batch.Lines)
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, 3*answerTime)
	defer cancel()
	a, err := s.caller.do(ctx, http.MethodPost, decisionsPath, body, map[string]string{
		"Content-Type": "application/x-ndjson", "Content-Encoding": "gzip", "Accept": "application/json",
	}, maxAnswer)
	if err != nil {
		return 0, err
	}
	if a.status == http.StatusOK {
		s.records, s.bytes = min(2*s.records, decision.MaxRecords), min(2*s.bytes, shipBytes)
		return nextOf(a.body)
	}
	r := refused(a)
	switch {
	case a.status == http.StatusConflict && r.next != nil && *r.next >= 0:
		return *r.next, nil
	case a.status == http.StatusRequestEntityTooLarge && s.records > 1:
		s.records, s.bytes = max(s.records/4, 1), max(s.bytes/4, decision.MaxLine)
		return 0, &refusal{status: http.StatusServiceUnavailable, message: "the batch was too large for something on the way; the next is smaller"}
	case r.permanent():
		s.log.Error("the IdP refuses decisions for good; nothing is lost, but somebody must look", "error", r, "first", batch.First, "next", batch.Next)
	}
	return 0, r
}

// zipped is the short form of the lines as gzip. The transport may still read it
// when it has answered, so it is made anew each time.
func (s *shipper) zipped(lines []byte) (*bytes.Buffer, error) {
	var body bytes.Buffer
	body.Grow(len(lines) / 8) // a batch of many shrinks to a tenth
	s.zip.Reset(&body)
	since := 0
	for piece := range decision.Short(lines) {
		if _, err := s.zip.Write(piece); err != nil {
			return nil, fmt.Errorf("gzip: %w", err)
		}
		if since += len(piece); since >= zipAtOnce {
			runtime.Gosched() // requests that wait for the core go first: nobody waits for this
			since = 0
		}
	}
	if err := s.zip.Close(); err != nil {
		return nil, fmt.Errorf("gzip: %w", err)
	}
	return &body, nil
}

func nextOf(body []byte) (int64, error) {
	var ingested struct {
		NextSequence *int64 `json:"nextSequence"`
	}
	if err := json.Unmarshal(body, &ingested); err != nil || ingested.NextSequence == nil || *ingested.NextSequence < 0 {
		return 0, errors.New("the IdP's answer names no nextSequence")
	}
	return *ingested.NextSequence, nil
}

// timeOf reads the time of the first line; nil when it has none.
func timeOf(lines []byte) *time.Time {
	const name = `,"time":"`
	at := bytes.Index(lines, []byte(name))
	if at < 0 || len(lines) < at+len(name)+len(decision.TimeLayout) {
		return nil
	}
	parsed, err := time.Parse(decision.TimeLayout, string(lines[at+len(name):at+len(name)+len(decision.TimeLayout)]))
	if err != nil {
		return nil
	}
	return &parsed
}
