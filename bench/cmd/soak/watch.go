package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/sentryagent/agentidp/bench/lab"
	"github.com/sentryagent/agentidp/bench/load"
)

// program is one of those that are watched.
type program struct {
	name  string
	pid   int
	admin string // address of its metrics
}

// state is what a program holds, the load at rest.
type state struct {
	RSS        int64 // bytes
	FDs        int
	Goroutines int
}

// line is what was seen in one stretch of the run.
type line struct {
	at            time.Duration
	tokens, calls load.Result
	programs      [2]state // IdP and sidecar
	spool         float64  // bytes
}

func (l line) String() string {
	text := fmt.Sprintf("%8s  tokens %6.0f/s p99 %8s  calls %6.0f/s p99 %8s", l.at.Round(time.Second), l.tokens.Rate(), l.tokens.Quantile(99), l.calls.Rate(), l.calls.Quantile(99))
	for i, name := range []string{"IdP", "sidecar"} {
		p := l.programs[i]
		text += fmt.Sprintf("  %s %4d MiB %3d fds %3d goroutines", name, p.RSS>>20, p.FDs, p.Goroutines)
	}
	return text + fmt.Sprintf("  spool %.1f MiB", l.spool/(1<<20))
}

// look reads what both programs hold now.
func (w *world) look(ctx context.Context) (l line, err error) {
	for i, p := range w.programs {
		if l.programs[i], err = p.state(ctx); err != nil {
			return l, fmt.Errorf("the %s: %w", p.name, err)
		}
	}
	metrics, err := lab.ReadMetrics(ctx, w.SidecarAdmin)
	if err != nil {
		return l, err
	}
	l.spool, err = metrics.Value("sidecar_audit_spooled_bytes")
	return l, err
}

func (p program) state(ctx context.Context) (s state, err error) {
	if s.RSS, err = lab.Memory(p.pid, "VmRSS"); err != nil {
		return s, err
	}
	open, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", p.pid))
	if err != nil {
		return s, err
	}
	metrics, err := lab.ReadMetrics(ctx, p.admin)
	if err != nil {
		return s, err
	}
	goroutines, err := metrics.Value("go_goroutines")
	s.FDs, s.Goroutines = len(open), int(goroutines)
	return s, err
}

// lost is how many decisions the sidecar does not have any more.
func (w *world) lost(ctx context.Context) (float64, error) {
	metrics, err := lab.ReadMetrics(ctx, w.SidecarAdmin)
	if err != nil {
		return 0, err
	}
	lost, err := metrics.Value("sidecar_audit_lost_total")
	if err != nil {
		return 0, err
	}
	refused, err := metrics.Value("sidecar_records_refused_total")
	return lost + refused, err
}

// shipped waits until the IdP has every decision.
func (w *world) shipped(ctx context.Context) error {
	_, err := until(ctx, "the IdP has every decision", patience, 100*time.Millisecond, func(ctx context.Context) (bool, error) {
		metrics, err := lab.ReadMetrics(ctx, w.SidecarAdmin)
		if err != nil {
			return false, err
		}
		next, err := metrics.Value("sidecar_audit_next_seq")
		if err != nil {
			return false, err
		}
		acked, err := metrics.Value("sidecar_audit_acked_seq")
		return acked == next, err
	})
	return err
}
