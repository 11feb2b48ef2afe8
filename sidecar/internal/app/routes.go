package app

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sentryagent/agentidp/sidecar/internal/route"
)

// routes holds the table in force and replaces it whole. Safe for concurrent use.
type routes struct {
	file    string
	current atomic.Pointer[loaded] // never nil
	mu      sync.Mutex             // guards failure
	failure error                  // of the latest reload; nil when it succeeded
}

type loaded struct {
	table *route.Table
	at    time.Time
}

func openRoutes(file string, now time.Time) (*routes, error) {
	r := &routes{file: file}
	return r, r.reload(now)
}

// Match asks the table in force.
func (r *routes) Match(method, path []byte) route.Match {
	return r.current.Load().table.Match(method, path)
}

// reload puts the file into force; the old table stays on an error.
func (r *routes) reload(now time.Time) error {
	table, err := readRoutes(r.file)
	if err == nil {
		r.current.Store(&loaded{table, now})
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failure = err
	return err
}

func (r *routes) lastError() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.failure
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

func (r *routes) count() int { return len(r.current.Load().table.Routes()) }
