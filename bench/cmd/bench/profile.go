package main

import (
	"context"
	"fmt"
	"net/http"
	"os"

	"github.com/sentryagent/agentidp/bench/load"
	"github.com/sentryagent/agentidp/deploy/dev/stack"
)

// profiled writes a CPU profile of the sidecar under load.
func (b *bench) profiled(ctx context.Context, w way, connections int) error {
	seconds := max(1, int(b.slice.Seconds()))
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://%s/debug/pprof/profile?seconds=%d", w.admin, seconds), nil)
	if err != nil {
		return err
	}
	loaded := make(chan struct{})
	go func() {
		defer close(loaded)
		load.Run(ctx, w.scenario, connections, b.slice)
	}()
	answer, err := stack.Send(http.DefaultClient, request)
	<-loaded
	if err != nil {
		return err
	}
	if answer.Status != http.StatusOK {
		return fmt.Errorf("profile: %d %s", answer.Status, answer.Body)
	}
	return os.WriteFile(fmt.Sprintf("%s.%d", b.profile, connections), answer.Body, 0o600)
}
