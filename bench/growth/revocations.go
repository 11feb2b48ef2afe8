package growth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/sentryagent/agentidp/bench/lab"
	"github.com/sentryagent/agentidp/bench/load"
	"github.com/sentryagent/agentidp/bench/result"
	"github.com/sentryagent/agentidp/bench/seed"
	"github.com/sentryagent/agentidp/deploy/dev/stack"
)

// Revocation is the scenario of Revocations: a sidecar with so many entries,
// which each request is checked against.
const Revocation = "growth-revocation"

// Heap is what the sidecar holds once what it does not need is collected.
const Heap result.Metric = "heap_bytes"

const (
	checkRate   = 500
	knownWithin = time.Minute
	outlast     = 12 * time.Hour // the run
)

// Revocations measures a sidecar by the number of entries in its revocation
// set: a subject "sidecar" with the parameter revocations. Its stack must have
// an upstream that answers GET /notes with a 2xx.
func (o *Options) Revocations(ctx context.Context, sizes []int64) (found []result.Row, err error) {
	sites, err := o.sites(ctx, "revocations", sizes, func(store *seed.Store, s *site) error {
		now := time.Now()
		return store.Revocations(ctx, seed.Revocations{Count: s.size, Now: now, Expire: now.Add(outlast), Progress: o.progress("revocations")})
	})
	defer func() { err = errors.Join(err, closeAll(sites)) }()
	if err != nil {
		return nil, err
	}
	var all []*series
	var visits []func() error
	for _, s := range sites {
		reader, err := o.startSidecar(ctx, s)
		if err != nil {
			return nil, fmt.Errorf("growth to %d revocations: %w", s.size, err)
		}
		into := newSeries(Revocation, "sidecar", "revocations", s.size)
		all = append(all, into)
		visits = append(visits, func() error { return s.check(ctx, reader, o.Slice, into) })
	}
	if err := o.rounds(ctx, "revocations", visits); err != nil {
		return nil, err
	}
	return rows(all...)
}

// startSidecar runs the site's sidecar, waits until it has every entry, and
// registers an agent that may read notes.
func (o *Options) startSidecar(ctx context.Context, s *site) (stack.Credential, error) {
	s.SidecarEnv = append(s.SidecarEnv, "AGENTIDP_SIDECAR_PPROF=true")
	err := errors.Join(s.Enrol(ctx), o.on(func() error { return s.StartSidecar(ctx) }))
	if err != nil {
		return stack.Credential{}, err
	}
	reader, err := s.admin.Register(ctx, stack.Registration{Email: "growth@example.com", AgentType: "custom", Capabilities: []string{lab.Capability}})
	if err != nil {
		return stack.Credential{}, err
	}
	return reader.Credential, s.untilKnown(ctx)
}

func (s *site) untilKnown(ctx context.Context) error {
	for until := time.Now().Add(knownWithin); ; {
		page, err := lab.ReadMetrics(ctx, s.SidecarAdmin)
		if err != nil {
			return err
		}
		known, err := page.Value("sidecar_revocation_entries")
		if err != nil || known >= float64(s.size) {
			return err
		}
		if time.Now().After(until) {
			return fmt.Errorf("the sidecar knows %.0f revocations of %d after %s", known, s.size, knownWithin)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// check sends one token again and again: the sidecar knows it, and looks only
// whether it was revoked.
func (s *site) check(ctx context.Context, reader stack.Credential, slice time.Duration, into *series) error {
	authorization, err := s.bearer(ctx, reader, s.Resource())
	if err != nil {
		return err
	}
	scenario := load.Scenario{Name: Revocation, Addr: s.Sidecar, Want: http.StatusOK, Fill: func(request *fasthttp.Request, _, _ int) {
		request.SetRequestURI("/notes")
		request.Header.Set("Authorization", authorization)
	}}
	open := load.Open{Rate: checkRate, InFlight: inFlight, Duration: min(warmUp, slice)}
	load.RunOpen(ctx, scenario, open)
	_, sidecar := s.PIDs()
	before, err := lab.CPU(sidecar)
	if err != nil {
		return err
	}
	open.Duration = slice
	r := load.RunOpen(ctx, scenario, open)
	after, err := lab.CPU(sidecar)
	if err != nil {
		return err
	}
	rss, err := lab.Memory(sidecar, "VmRSS")
	if err != nil {
		return err
	}
	heap, err := s.heap(ctx)
	if err != nil {
		return err
	}
	into.add(r, result.Sample{
		result.CPU: float64((after - before).Microseconds()) / float64(max(1, r.Requests)), result.RSS: float64(rss), Heap: heap,
	})
	return nil
}

// heap is the sidecar's live heap, in bytes.
func (s *site) heap(ctx context.Context) (float64, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.SidecarAdmin+"/debug/pprof/heap?gc=1&debug=1", nil)
	if err != nil {
		return 0, err
	}
	answer, err := stack.Send(&http.Client{Timeout: 30 * time.Second}, request)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(answer.Body)) {
		if value, found := strings.CutPrefix(line, "# HeapAlloc = "); found {
			return strconv.ParseFloat(strings.TrimSpace(value), 64)
		}
	}
	return 0, fmt.Errorf("the heap of the sidecar: %d %.200s", answer.Status, answer.Body)
}
