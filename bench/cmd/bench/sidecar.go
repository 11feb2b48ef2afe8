package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/sentryagent/agentidp/bench/load"
	"github.com/sentryagent/agentidp/deploy/dev/stack"
)

const (
	warmUp      = 500 * time.Millisecond
	lowPriority = 19 // the IdP is another machine's work: it gets what the load leaves over
)

var connectionCounts = []int{1, 8, 64, 256}

// way is one way to the upstream.
type way struct {
	name     string
	scenario load.Scenario
	pid      int    // of the process that is measured
	admin    string // host:port of a sidecar, which records each request; "" of the others
}

// sample is what one measurement of a way showed.
type sample struct {
	rate     float64 // requests a second
	p50, p99 time.Duration
	cpu      time.Duration // of a request, while it was served
	shipped  time.Duration // of a request, until its record was at the IdP too
	rss      int64         // bytes
}

// sidecar measures three ways to one upstream, in turns: called directly, through
// a bare fasthttp proxy, and through the sidecar, whose IdP gets every decision.
// The proxies have a core each in turn; load, upstream and IdP share another.
func (b *bench) sidecar(ctx context.Context) error {
	if err := b.separate(ctx); err != nil {
		return err
	}
	r := &report{machine: machine(), rounds: b.rounds, slice: b.slice}
	for _, step := range []func(context.Context, *report) error{b.warm, b.cold, b.crowd, b.revocations} {
		if err := step(ctx, r); err != nil {
			return err
		}
	}
	fmt.Print("\n", r.markdown())
	if b.out == "" {
		return nil
	}
	return r.save(b.out)
}

// separate gives each program its core. It holds until the benchmark ends.
func (b *bench) separate(ctx context.Context) error {
	if err := b.StopSidecar(); err != nil {
		return err
	}
	if err := b.StopIdP(); err != nil {
		return err
	}
	if err := kill(b.upstream); err != nil {
		return err
	}
	if err := bindSelf(coreOfOthers); err != nil {
		return err
	}
	runtime.SetDefaultGOMAXPROCS()
	err := onCore(coreOfOthers, func() error {
		if err := b.startUpstream(); err != nil {
			return err
		}
		return b.StartIdP(ctx)
	})
	if err != nil {
		return err
	}
	idp, _ := b.PIDs()
	if err := renice(idp, lowPriority); err != nil {
		return err
	}
	return onCore(coreOfServers, func() error {
		if err := b.startBare(); err != nil {
			return err
		}
		if err := b.startOther(ctx); err != nil {
			return err
		}
		return b.StartSidecar(ctx)
	})
}

// startOther runs the sidecar of another build beside ours, if there is one.
func (b *bench) startOther(ctx context.Context) error {
	if b.against == "" {
		return nil
	}
	addresses, err := stack.Free()
	if err != nil {
		return err
	}
	addresses.IdP, addresses.IdPAdmin = b.IdP, b.IdPAdmin
	b.other = &stack.Stack{Addresses: addresses, Bin: b.against, Dir: filepath.Join(b.dir, "other"), Routes: b.routes, Upstream: b.Upstream}
	if err := b.other.Prepare(); err != nil {
		return err
	}
	credential, err := os.ReadFile(filepath.Join(b.dir, "sidecar.json")) // the same agent's
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(b.other.Dir, "sidecar.json"), credential, 0o600); err != nil {
		return err
	}
	return b.other.StartSidecar(ctx)
}

// restart forgets what the sidecar had in its caches.
func (b *bench) restart(ctx context.Context) error {
	if err := b.StopSidecar(); err != nil {
		return err
	}
	return onCore(coreOfServers, func() error { return b.StartSidecar(ctx) })
}

// ways to the upstream, with the same request on each.
func (b *bench) ways(ctx context.Context) ([]way, error) {
	token, err := b.token(ctx)
	if err != nil {
		return nil, err
	}
	_, sidecar := b.PIDs()
	ways := []way{
		newWay("direct", b.addr, token, b.upstream.Process.Pid),
		newWay("bare proxy", b.bareAddr, token, b.bare.Process.Pid),
		newWay("sidecar", b.Sidecar, token, sidecar),
	}
	ways[2].admin = b.SidecarAdmin
	if b.other != nil {
		issued, err := b.Config(b.reader.Credential, b.other.Resource()).Token(ctx)
		if err != nil {
			return nil, err
		}
		other, err := pidOf("AGENTIDP_SIDECAR_ADDR=" + b.other.Sidecar)
		if err != nil {
			return nil, err
		}
		ways = append(ways, newWay("other build", b.other.Sidecar, issued.AccessToken, other))
		ways[3].admin = b.other.SidecarAdmin
	}
	return ways, nil
}

func newWay(name, addr, token string, pid int) way {
	return way{name: name, pid: pid, scenario: load.Scenario{Name: name, Addr: addr, Want: fasthttp.StatusOK, Fill: func(request *fasthttp.Request, _, _ int) {
		request.SetRequestURI("/notes")
		request.Header.Set("Authorization", "Bearer "+token)
	}}}
}

// warm measures with one token that the sidecar knows.
func (b *bench) warm(ctx context.Context, r *report) error {
	ways, err := b.ways(ctx)
	if err != nil {
		return err
	}
	for _, connections := range connectionCounts {
		for _, w := range ways {
			load.Run(ctx, w.scenario, connections, warmUp)
			if err := drained(ctx, w); err != nil {
				return err
			}
		}
		samples := make([][]sample, len(ways))
		for range b.rounds {
			for i, w := range ways {
				s, err := b.measure(ctx, w, connections)
				if err != nil {
					return err
				}
				samples[i] = append(samples[i], s)
			}
		}
		for i, w := range ways {
			r.add(row{way: w.name, connections: connections, samples: samples[i], direct: samples[0], bare: samples[1]})
		}
		if b.profile != "" {
			if err := b.profiled(ctx, ways[2], connections); err != nil {
				return err
			}
		}
	}
	return nil
}

// measure runs one slice of a way.
func (b *bench) measure(ctx context.Context, w way, connections int) (sample, error) {
	before, err := count(ctx, w)
	if err != nil {
		return sample{}, err
	}
	result := load.Run(ctx, w.scenario, connections, b.slice)
	fmt.Println("sidecar ", result)
	if result.Errors > 0 {
		return sample{}, fmt.Errorf("%s: %d errors: %s", w.name, result.Errors, result.FirstError)
	}
	if result.Requests == 0 {
		return sample{}, fmt.Errorf("%s: no request", w.name)
	}
	served, err := used(w.pid)
	if err != nil {
		return sample{}, err
	}
	rss, err := memory(w.pid, "VmRSS")
	if err != nil {
		return sample{}, err
	}
	s := sample{
		rate: result.Rate(), p50: result.Quantile(50), p99: result.Quantile(99), rss: rss,
		cpu: (served - before.cpu) / time.Duration(result.Requests),
	}
	if w.admin == "" {
		s.shipped = s.cpu
		return s, nil
	}
	if err := drained(ctx, w); err != nil {
		return sample{}, err
	}
	after, err := count(ctx, w)
	if err != nil {
		return sample{}, err
	}
	if after.records-before.records != result.Requests {
		return sample{}, fmt.Errorf("INVALID: %d requests, %d records", result.Requests, after.records-before.records)
	}
	s.shipped = (after.cpu - before.cpu) / time.Duration(result.Requests)
	return s, nil
}

// tally is what a process has used, and the sidecar has recorded, so far.
type tally struct {
	cpu     time.Duration
	records int64
}

func count(ctx context.Context, w way) (t tally, err error) {
	if w.admin != "" {
		if t.records, _, err = sequences(ctx, w); err != nil {
			return tally{}, err
		}
	}
	t.cpu, err = used(w.pid)
	return t, err
}
