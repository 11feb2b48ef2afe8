package scale

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"

	"github.com/sentryagent/agentidp/bench/result"
	"github.com/sentryagent/agentidp/idp/idpbench"
)

const (
	pollWait  = 30 * time.Second // as sidecars ask
	fanLimit  = 90 * time.Second // for one revocation to reach all
	calm      = 100 * time.Millisecond
	calmLimit = 30 * time.Second
)

// Metrics of this package's rows.
const (
	AnswerMS   result.Metric = "answer_ms"    // of the revocation's call
	FirstMS    result.Metric = "first_ms"     // from the call until the first subscriber has it
	HalfMS     result.Metric = "half_ms"      // until half have
	LastMS     result.Metric = "last_ms"      // until all have
	Unanswered result.Metric = "unanswered"   // calls that were told after 3 s that the outcome is unknown
	EachCPU    result.Metric = "each_cpu_us"  // processor time for each notified subscriber, until all wait again
	HeldBytes  result.Metric = "held_bytes"   // of memory for each that waits
	IdleCPU    result.Metric = "idle_cpu_us"  // for each that waits, in a second without news
	PageBytes  result.Metric = "page_bytes"   // body of an answer with one entry
	EntryBytes result.Metric = "entry_bytes"  // of a signed snapshot, for each entry
	DiskBytes  result.Metric = "disk_bytes"   // of the store, for each event or agent
	WALBytes   result.Metric = "wal_bytes"    // of PostgreSQL's write-ahead log, for each event
	TileBytes  result.Metric = "tile_bytes"   // gzipped bundle of 256 events, for each
	LineBytes  result.Metric = "line_bytes"   // of a decision as it arrives, unzipped
	StoreCPU   result.Metric = "store_cpu_us" // the database server's part of cpu_us
	TableBytes result.Metric = "table_bytes"  // without indexes
	Repeated   result.Metric = "repeated"     // batches that had to be sent again
)

// feeds measures the fan-out in this process: everything of the product but HTTP.
func (r *run) feeds(ctx context.Context) error {
	for _, size := range r.Subscribers {
		if err := r.feed(ctx, size); err != nil {
			return fmt.Errorf("feed with %d subscribers: %w", size, err)
		}
	}
	return nil
}

func (r *run) feed(ctx context.Context, size int) (err error) {
	store := r.Stores[0]
	url, err := r.database(ctx, store)
	if err != nil {
		return err
	}
	source, err := idpbench.OpenFeed(ctx, url, r.path("feed.db"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, source.Close()) }()
	if err := source.Revoke(ctx); err != nil { // the first one, so that there is a cursor
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	before := memory()
	f := &fan{tally: newTally(size), source: source}
	cursor, small, err := source.Start(ctx)
	if err != nil {
		cancel()
		return err
	}
	f.begin(ctx, cursor)
	defer func() {
		cancel()
		f.all.Wait()
	}()
	if err := settle(ctx); err != nil {
		return err
	}
	held := float64(memory()-before) / float64(size)
	row := result.Row{Scenario: "scale-feed", Subject: store, Params: map[string]float64{"subscribers": float64(size)}}
	for range r.Rounds {
		sample, err := f.round(ctx)
		if err != nil {
			return err
		}
		sample[HeldBytes] = held
		row.Rounds = append(row.Rounds, sample)
	}
	_, snapshot, err := source.Start(ctx)
	if err != nil {
		return err
	}
	for _, sample := range row.Rounds {
		sample[EntryBytes] = float64(snapshot-small) / float64(r.Rounds)
	}
	r.add(row)
	return nil
}

// fan are the subscribers of one feed.
type fan struct {
	*tally
	source *idpbench.Feed
	all    sync.WaitGroup
}

func (f *fan) begin(ctx context.Context, cursor string) {
	for n := range f.at {
		f.all.Go(func() {
			if err := f.follow(ctx, n, cursor); err != nil && ctx.Err() == nil {
				f.failed <- err
			}
		})
	}
}

// follow polls as a sidecar does until ctx ends.
func (f *fan) follow(ctx context.Context, n int, cursor string) error {
	for ctx.Err() == nil {
		news, err := f.source.Poll(ctx, cursor, pollWait)
		if err != nil {
			return err
		}
		cursor = news.Cursor
		if news.Entries > 0 {
			f.mark(n, news.Bytes)
		}
	}
	return nil
}

// round is one revocation, from its call until all wait again.
func (f *fan) round(ctx context.Context) (result.Sample, error) {
	f.reset()
	began, err := spent()
	if err != nil {
		return nil, err
	}
	late := 0.0
	if err := f.source.Revoke(ctx); unanswered(err) {
		late = 1 // the writer was not asked to stop: it comes
	} else if err != nil {
		return nil, err
	}
	answered := time.Since(f.base)
	if err := f.reached(ctx); err != nil {
		return nil, err
	}
	if err := settle(ctx); err != nil {
		return nil, err
	}
	ended, err := spent()
	if err != nil {
		return nil, err
	}
	sample := spread(f.times(), answered, ended-began, f.page.Load())
	sample[Unanswered] = late
	return sample, nil
}

// settle waits until this process has next to nothing to do: all wait again.
func settle(ctx context.Context) error {
	before, err := spent()
	for until := time.Now().Add(calmLimit); err == nil && time.Now().Before(until); {
		select {
		case <-time.After(calm):
		case <-ctx.Done():
			return ctx.Err()
		}
		var now time.Duration
		if now, err = spent(); now-before < calm/20 {
			return err
		}
		before = now
	}
	return errors.Join(err, errors.New("the subscribers do not come to rest"))
}

// memory is what heap and stacks take after a collection. Pools are emptied by the second.
func memory() int64 {
	runtime.GC()
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc + stats.StackInuse)
}
