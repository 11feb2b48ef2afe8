package scale

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"github.com/sentryagent/agentidp/bench/lab"
	"github.com/sentryagent/agentidp/bench/result"
	"github.com/sentryagent/agentidp/bench/seed"
	"github.com/sentryagent/agentidp/idp/idpbench"
)

// directories measures what an agent with one credential takes in each store.
func (r *run) directories(ctx context.Context) error {
	for _, store := range r.Stores {
		for _, count := range r.Agents {
			if err := r.directory(ctx, store, count); err != nil {
				return fmt.Errorf("%d agents on %s: %w", count, store, err)
			}
		}
	}
	return nil
}

func (r *run) directory(ctx context.Context, store string, count int64) error {
	url, err := r.database(ctx, store)
	if err != nil {
		return err
	}
	path := r.path("agents.db")
	log, err := idpbench.OpenLog(ctx, url, path) // makes the schema
	if err != nil {
		return err
	}
	if err := log.Close(); err != nil {
		return err
	}
	before, _, err := size(ctx, url, path)
	if err != nil {
		return err
	}
	began := time.Now()
	address := url
	if store == lab.SQLite {
		address = path
	}
	if err := populate(ctx, address, count); err != nil {
		return err
	}
	after, _, err := size(ctx, url, path)
	if err != nil {
		return err
	}
	sample := result.Sample{DiskBytes: float64(after-before) / float64(count), result.Duration: milliseconds(time.Since(began))}
	if store == lab.PostgreSQL {
		var heap int64
		if err := ask(ctx, url, directoryHeap, &heap); err != nil {
			return err
		}
		sample[TableBytes] = float64(heap) / float64(count)
	}
	r.add(result.Row{Scenario: "scale-agents", Subject: store, Params: map[string]float64{"agents": float64(count)}, Rounds: []result.Sample{sample}})
	return nil
}

// directoryHeap is what the rows of agents take, without their indexes.
const directoryHeap = `SELECT (pg_table_size('agents') + pg_table_size('credentials') + pg_table_size('agent_capabilities'))::bigint`

func populate(ctx context.Context, address string, count int64) error {
	store, err := seed.Open(ctx, address)
	if err != nil {
		return err
	}
	return errors.Join(store.Agents(ctx, seed.Agents{
		Count: count, Organization: "scale", Capabilities: []string{"notes:read", "notes:write"}, Now: time.Now(), Varied: true,
		Pepper: "1:" + base64.StdEncoding.EncodeToString(make([]byte, 32)),
	}), store.Close())
}
