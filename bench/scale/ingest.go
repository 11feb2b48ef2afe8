package scale

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sentryagent/agentidp/bench/inside"
	"github.com/sentryagent/agentidp/bench/result"
	"github.com/sentryagent/agentidp/idp/idpbench"
)

// bulk is a batch in which the cost of a batch does not show any more.
const bulk = 1000

// shippersOf are how many sidecars ship into one log at once: the smaller their
// batches, the more, so that the writer always finds company for a group commit.
func shippersOf(batch int) int { return max(4, min(256, 2560/batch)) }

// repeats is how often a batch that was refused is sent again.
const repeats = 20

// ingests measures the durable ingest of decisions, without HTTP: one log with
// smaller and larger batches, then several logs side by side with large ones.
func (r *run) ingests(ctx context.Context) error {
	for _, store := range r.Stores {
		for _, batch := range r.Batches {
			if err := r.ingest(ctx, store, 1, batch); err != nil {
				return fmt.Errorf("ingest on %s in batches of %d: %w", store, batch, err)
			}
		}
		for _, logs := range r.Partitions {
			if logs == 1 && slices.Contains(r.Batches, bulk) {
				continue // that was it
			}
			if err := r.ingest(ctx, store, logs, bulk); err != nil {
				return fmt.Errorf("ingest on %s into %d logs: %w", store, logs, err)
			}
		}
	}
	return nil
}

func (r *run) ingest(ctx context.Context, store string, logs, batch int) error {
	row := result.Row{Scenario: "scale-ingest", Subject: store, Params: map[string]float64{
		"logs": float64(logs), "batch": float64(batch), "sidecars": float64(logs * shippersOf(batch)),
	}}
	for range r.Rounds {
		sample, err := r.ingestOnce(ctx, store, logs, batch)
		if err != nil {
			return err
		}
		row.Rounds = append(row.Rounds, sample)
	}
	r.add(row)
	return nil
}

// appends measures single events, as tokens and changes are: each caller waits
// for its own before it comes with the next.
func (r *run) appends(ctx context.Context) error {
	for _, store := range r.Stores {
		for _, callers := range r.Appends {
			row := result.Row{Scenario: "scale-append", Subject: store, Params: map[string]float64{"callers": float64(callers)}}
			for range r.Rounds {
				url, err := r.database(ctx, store)
				if err != nil {
					return err
				}
				folder := r.path("append")
				if err := os.Mkdir(folder, 0o700); err != nil {
					return err
				}
				m, err := inside.Append(ctx, url, folder, callers, r.Appending)
				if err != nil {
					return fmt.Errorf("appends on %s: %w", store, err)
				}
				row.Rounds = append(row.Rounds, m.Sample)
			}
			r.add(row)
		}
	}
	return nil
}

// ingestOnce fills new logs.
func (r *run) ingestOnce(ctx context.Context, store string, logs, batch int) (_ result.Sample, err error) {
	shippers := shippersOf(batch)
	each := max(1, r.Events/(logs*shippers*batch)) // batches of a shipper
	var open []*partition
	defer func() {
		for _, p := range open {
			err = errors.Join(err, p.log.Close())
		}
	}()
	for n := range logs {
		p, err := r.partition(ctx, store, n, each, batch)
		if err != nil {
			return nil, err
		}
		open = append(open, p)
	}
	before, err := r.usage(ctx, open)
	if err != nil {
		return nil, err
	}
	began := time.Now()
	repeated, err := fill(ctx, open)
	if err != nil {
		return nil, err
	}
	took := time.Since(began)
	after, err := r.usage(ctx, open)
	if err != nil {
		return nil, err
	}
	events := logs * shippers * each * batch
	if after.events-before.events != int64(events) {
		return nil, fmt.Errorf("%d decisions shipped, and the logs have %d more", events, after.events-before.events)
	}
	sample := after.since(before, events, took)
	sample[Repeated], sample[LineBytes] = float64(repeated), open[0].lineBytes()
	if sample[TileBytes], err = open[0].tileBytes(ctx); err != nil {
		return nil, err
	}
	return sample, nil
}

// partition is a log of its own and what is to be shipped into it.
type partition struct {
	log       *idpbench.Log
	url, path string
	streams   []stream
	batches   [][][]byte // of each stream, made before the clock runs
}

func (r *run) partition(ctx context.Context, store string, number, each, batch int) (*partition, error) {
	url, err := r.database(ctx, store)
	if err != nil {
		return nil, err
	}
	shippers := shippersOf(batch)
	p := &partition{url: url, path: r.path("log.db"), streams: make([]stream, shippers), batches: make([][][]byte, shippers)}
	for i := range p.streams {
		p.streams[i].number = int64(number*shippers + i)
		for range each {
			made, err := p.streams[i].batch(batch)
			if err != nil {
				return nil, err
			}
			p.batches[i] = append(p.batches[i], made)
		}
	}
	p.log, err = idpbench.OpenLog(ctx, p.url, p.path)
	return p, err
}

// fill ships everything, and counts what had to be sent again.
func fill(ctx context.Context, logs []*partition) (repeated int64, err error) {
	var all sync.WaitGroup
	var again atomic.Int64
	failed := make(chan error, len(logs)*len(logs[0].streams))
	for _, p := range logs {
		for i := range p.streams {
			all.Go(func() {
				n, err := p.ship(ctx, i)
				again.Add(n)
				failed <- err
			})
		}
	}
	all.Wait()
	close(failed)
	for e := range failed {
		err = errors.Join(err, e)
	}
	return again.Load(), err
}

// ship sends one stream, each batch once the one before is durable. What is
// refused is sent again, as a sidecar does: it may be there already.
func (p *partition) ship(ctx context.Context, i int) (again int64, err error) {
	id := p.streams[i].id()
	for _, batch := range p.batches[i] {
		for n := 0; ; n++ {
			if _, err = p.log.Ingest(ctx, id, batch); err == nil {
				break
			}
			if n == repeats || ctx.Err() != nil {
				return again, err
			}
			again++
			time.Sleep(calm)
		}
	}
	return again, nil
}

// lineBytes is the mean length of a record as it arrives.
func (p *partition) lineBytes() float64 {
	bytes, records := 0, int64(0)
	for i := range p.batches {
		for _, b := range p.batches[i] {
			bytes += len(b)
		}
		records += p.streams[i].next
	}
	return math.Round(float64(bytes) / float64(records))
}
