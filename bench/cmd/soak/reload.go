package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/sentryagent/agentidp/bench/lab"
	"github.com/sentryagent/agentidp/policies"
)

// reloadWithin is how long a change may take to be in force: policies are tested before.
const reloadWithin = 10 * time.Second

// The policy file that changes.
const changing = "authz.rego"

// reload changes routes and policies and sends SIGHUP to both programs, time
// after time; each must say that it took them up.
func (w *world) reload() func(context.Context) error {
	turn := 0
	return func(ctx context.Context) error {
		before, err := w.reloads(ctx)
		if err != nil {
			return err
		}
		turn++
		if err := w.rewrite(turn); err != nil {
			return err
		}
		for _, p := range w.programs {
			if err := syscall.Kill(p.pid, syscall.SIGHUP); err != nil {
				return fmt.Errorf("SIGHUP to the %s: %w", p.name, err)
			}
		}
		_, err = until(ctx, "routes and policies are reloaded", reloadWithin, 100*time.Millisecond, func(ctx context.Context) (bool, error) {
			now, err := w.reloads(ctx)
			return now[0] > before[0] && now[1] > before[1] && now[2] > before[2], err
		})
		return err
	}
}

// reloads are how often the IdP's policy, the sidecar's policy and its routes came into force.
func (w *world) reloads(ctx context.Context) (counts [3]float64, err error) {
	for i, from := range []struct{ addr, metric string }{
		{w.IdPAdmin, "agentidp_policy_epoch"},
		{w.SidecarAdmin, `sidecar_policy_reload_total{result="good"}`},
		{w.SidecarAdmin, `sidecar_routes_reload_total{result="good"}`},
	} {
		metrics, err := lab.ReadMetrics(ctx, from.addr)
		if err != nil {
			return counts, err
		}
		if counts[i], err = metrics.Value(from.metric); err != nil {
			return counts, err
		}
	}
	return counts, nil
}

// rewrite gives the route file one more route, another each time, and the policies another revision.
func (w *world) rewrite(turn int) error {
	routes := fmt.Sprintf("%s  - { methods: [GET], path: /soak-%d, capability: \"notes:read\" }\n", w.routes, turn)
	if err := replace(w.Routes, []byte(routes)); err != nil {
		return err
	}
	policy, err := policies.Files.ReadFile(changing)
	if err != nil {
		return err
	}
	policy = fmt.Appendf(policy, "\n# change %d\n", turn)
	idp, sidecar := policyFolders(w.Dir)
	for _, folder := range []string{idp, sidecar} {
		if err := replace(filepath.Join(folder, changing), policy); err != nil {
			return err
		}
	}
	return nil
}

// replace never shows half a file, and nothing else in its folder.
func replace(path string, content []byte) error {
	beside := filepath.Dir(path) + ".new"
	if err := os.WriteFile(beside, content, 0o600); err != nil {
		return err
	}
	return os.Rename(beside, path)
}

// collect makes both programs collect garbage.
func (w *world) collect(ctx context.Context) error {
	for _, p := range w.programs {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.admin+"/debug/pprof/heap?gc=1", nil)
		if err != nil {
			return err
		}
		if err := send(request); err != nil {
			return fmt.Errorf("the %s: %w", p.name, err)
		}
	}
	return nil
}
