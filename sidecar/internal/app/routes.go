package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/sentryagent/agentidp/sidecar/internal/route"
)

// routes is the file that a route table comes from. Safe for concurrent use.
type routes struct {
	file string

	mu      sync.Mutex
	at      time.Time // when the table in force was read; guarded by mu
	failure error     // of the latest reload; nil when it succeeded; guarded by mu
}

// status answers since when the table is in force, and why the latest reload failed.
func (r *routes) status() (at time.Time, failure error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.at, r.failure
}

// read reads the table.
func (r *routes) read() (*route.Table, error) { return readRoutes(r.file) }

func (r *routes) note(now time.Time, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.failure = err; err == nil {
		r.at = now
	}
}

// reloadRoutes puts the file into force, its upstreams with it; the old table
// stays on an error.
func (a *App) reloadRoutes(ctx context.Context) {
	table, err := a.routes.read()
	if err == nil {
		err = a.proxy.Replace(table)
	}
	a.routes.note(a.now(), err)
	a.reloaded(ctx, "routes", err)
}

func (a *App) reloadPolicy(ctx context.Context) {
	a.reloaded(ctx, "policy", a.policy.Reload(ctx, a.cfg.policyFolder()))
}

// readRoutes reads a route file. An error about its content is route.Problems.
func readRoutes(path string) (_ *route.Table, err error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("route file: %w", err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	content, err := io.ReadAll(io.LimitReader(file, route.MaxFile+1))
	if err != nil {
		return nil, fmt.Errorf("route file: %w", err)
	}
	return route.Load(content)
}
