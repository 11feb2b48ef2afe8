package scenario

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"time"

	"github.com/sentryagent/agentidp/bench/load"
	"github.com/sentryagent/agentidp/deploy/dev/stack"
)

// profiled writes CPU profiles of the sidecar under load, where they are wanted.
// It runs anew for that: what profiles cost is no part of the measurements.
func (r *Run) profiled(ctx context.Context, token string, connections []int) error {
	if r.Profile == "" {
		return nil
	}
	if err := r.RestartSidecar(ctx, "AGENTIDP_SIDECAR_PPROF=true"); err != nil {
		return err
	}
	for _, n := range connections {
		r.warm(ctx, r.sidecar(), notes(token), n)
		if err := r.profile(ctx, token, n); err != nil {
			return fmt.Errorf("profile at %d connections: %w", n, err)
		}
	}
	return r.RestartSidecar(ctx)
}

func (r *Run) profile(ctx context.Context, token string, connections int) error {
	seconds := max(1, int(r.Slice.Seconds()))
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://%s/debug/pprof/profile?seconds=%d", r.SidecarAdmin, seconds), nil)
	if err != nil {
		return err
	}
	loaded := make(chan struct{})
	go func() {
		defer close(loaded)
		l := notes(token)
		l.Addr = r.Sidecar
		load.Run(ctx, l, connections, time.Duration(seconds)*time.Second)
	}()
	answer, err := stack.Send(http.DefaultClient, request)
	<-loaded
	if err != nil {
		return err
	}
	if answer.Status != http.StatusOK {
		return fmt.Errorf("%d %.200s", answer.Status, answer.Body)
	}
	path := fmt.Sprintf("%s.%d", r.Profile, connections)
	r.Note("%s written", path)
	return os.WriteFile(path, answer.Body, 0o600)
}
