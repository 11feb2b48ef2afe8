package scenario

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sentryagent/agentidp/bench/lab"
	"github.com/sentryagent/agentidp/bench/load"
	"github.com/sentryagent/agentidp/bench/result"
)

// server is a program under load.
type server struct {
	name    string
	addr    string        // host:port
	pids    func() []int  // of its processes, which may be started anew between two rounds
	metrics func() string // host:port of its metrics; nil: it has none
	behind  bool          // it is not measured where the others are: the API itself
	signs   bool          // it is an IdP that must sign as was asked
	cache   string        // the metric of the cache that its work goes by, without its ending
}

func (r *Run) idp() server {
	return server{
		name: "idp", addr: r.IdP,
		pids:    func() []int { pid, _ := r.PIDs(); return []int{pid} },
		metrics: func() string { return r.IdP }, signs: true, cache: "agentidp_client_auth_cache",
	}
}

const warmUp = 500 * time.Millisecond

const mallocs = "go_memstats_mallocs_total"

// closed loads the server in a closed loop for one slice.
func (r *Run) closed(ctx context.Context, s server, l load.Scenario, connections int) (measured, error) {
	l.Addr = s.addr
	return r.under(ctx, s, func() load.Result { return load.Run(ctx, l, connections, r.Slice) })
}

// warm loads the server and measures nothing: what is compiled, connected and
// proved at the first requests is not the first round's.
func (r *Run) warm(ctx context.Context, s server, l load.Scenario, connections int) {
	l.Addr = s.addr
	load.Run(ctx, l, connections, min(warmUp, r.Slice))
}

// open loads the server at a fixed rate for one slice.
func (r *Run) open(ctx context.Context, s server, l load.Scenario, rate float64) (measured, error) {
	l.Addr = s.addr
	return r.under(ctx, s, func() load.Result {
		return load.RunOpen(ctx, l, load.Open{Rate: rate, InFlight: openInFlight, Duration: r.Slice})
	})
}

// openInFlight is more than any server here answers at once.
const openInFlight = 256

// under runs the load and adds what the server used for it.
func (r *Run) under(ctx context.Context, s server, run func() load.Result) (measured, error) {
	before, err := r.counters(ctx, s)
	if err != nil {
		return measured{}, err
	}
	began, err := r.spend(s.pids())
	if err != nil {
		return measured{}, err
	}
	loaded := run()
	used, err := r.spend(s.pids())
	if err != nil {
		return measured{}, err
	}
	m := measured{loaded.Sample(), loaded.Latency}
	if err := ctx.Err(); err != nil {
		return m, err
	}
	if loaded.Requests == 0 {
		return m, errors.New("no request was made")
	}
	after, err := r.counters(ctx, s)
	if err != nil {
		return m, err
	}
	if why := r.misplaced(s); why != "" {
		return m, invalid{why}
	}
	m.sample[result.CPU] = micros(used.own-began.own) / float64(loaded.Requests)
	if !s.behind {
		used.foreign(began, m.sample)
	}
	if s.signs && after.signer != nil {
		return m, invalid{after.signer.Error()}
	}
	if s.metrics != nil {
		m.sample[result.Allocs] = (after.mallocs - before.mallocs) / float64(loaded.Requests)
	}
	hits, misses := after.hits-before.hits, after.misses-before.misses
	if hits+misses > 0 {
		m.sample[result.HitRate] = hits / (hits + misses)
	}
	if m.sample[result.RSS], err = rss(s.pids()); err != nil {
		return m, err
	}
	return m, failed(loaded)
}

func failed(l load.Result) error {
	if l.Errors > 0 && float64(l.Errors) > tolerated*float64(l.Requests) {
		return invalidf("%d of %d requests failed: %s", l.Errors, l.Requests, l.FirstError)
	}
	return nil
}

// misplaced says that the server does not have exactly the cores that all it is
// compared with have: a ratio of the two would mean nothing.
func (r *Run) misplaced(s server) string {
	cores := r.Servers
	if s.behind {
		cores = r.Others
	}
	if len(cores) == 0 {
		return "" // nobody is bound here
	}
	for _, pid := range s.pids() {
		if has := lab.Cores(pid); has != nil && !slices.Equal(has, cores) {
			return fmt.Sprintf("%s runs on cores %v instead of %v", s.name, has, cores)
		}
	}
	return ""
}

// tolerated is the share of requests that may fail before a row means nothing.
// The target on errors is far below.
const tolerated = 0.01

// counters are what a server has done so far; all 0 if it does not tell.
type counters struct {
	mallocs, hits, misses float64
	signer                error // an IdP does not sign as was asked
}

func (r *Run) counters(ctx context.Context, s server) (c counters, err error) {
	if s.metrics == nil {
		return c, nil
	}
	page, err := lab.ReadMetrics(ctx, s.metrics())
	if err != nil {
		return c, err
	}
	if s.signs {
		_, c.signer = r.Options.Signs(page)
	}
	if c.mallocs, err = page.Value(mallocs); err != nil || s.cache == "" {
		return c, err
	}
	if c.hits, err = page.Value(s.cache + "_hits_total"); err != nil {
		return c, err
	}
	c.misses, err = page.Value(s.cache + "_misses_total")
	return c, err
}

func cpu(pids []int) (total time.Duration, err error) {
	for _, pid := range pids {
		used, err := lab.CPU(pid)
		if err != nil {
			return 0, err
		}
		total += used
	}
	return total, nil
}

func rss(pids []int) (total float64, err error) {
	for _, pid := range pids {
		bytes, err := lab.Memory(pid, "VmRSS")
		if err != nil {
			return 0, err
		}
		total += float64(bytes)
	}
	return total, nil
}

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }
