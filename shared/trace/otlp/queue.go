package otlp

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/VictoriaMetrics/metrics"
	sdk "go.opentelemetry.io/otel/sdk/trace"
)

// queue is between the requests and the collector. The SDK has one too, which
// does not tell what it dropped.
type queue struct {
	to     sdk.SpanExporter
	opts   Options
	spans  chan sdk.ReadOnlySpan
	stop   chan struct{} // closed by Shutdown
	ended  chan struct{} // closed by run
	once   sync.Once
	giveUp context.CancelFunc // ends the request under way, and all later ones

	sent, dropped, failures *metrics.Counter
}

func newQueue(to sdk.SpanExporter, o Options) *queue {
	ctx, giveUp := context.WithCancel(context.Background())
	q := &queue{
		to: to, opts: o, giveUp: giveUp, spans: make(chan sdk.ReadOnlySpan, o.Queue), stop: make(chan struct{}), ended: make(chan struct{}),
		sent: o.Metrics.NewCounter("agentidp_spans_exported_total"), dropped: o.Metrics.NewCounter("agentidp_spans_dropped_total"),
		failures: o.Metrics.NewCounter("agentidp_span_export_failures_total"),
	}
	go q.run(ctx)
	return q
}

// OnStart implements sdk.SpanProcessor.
func (q *queue) OnStart(context.Context, sdk.ReadWriteSpan) {}

// OnEnd queues a span, or drops it. It never waits.
func (q *queue) OnEnd(span sdk.ReadOnlySpan) {
	select {
	case q.spans <- span:
	default:
		q.dropped.Inc()
	}
}

// ForceFlush implements sdk.SpanProcessor; nothing here asks for it.
func (q *queue) ForceFlush(context.Context) error { return nil }

// Shutdown sends what is queued, while ctx lasts.
func (q *queue) Shutdown(ctx context.Context) error {
	q.once.Do(func() { close(q.stop) })
	select {
	case <-q.ended:
	case <-ctx.Done():
		q.giveUp()
		<-q.ended
	}
	return errors.Join(ctx.Err(), q.to.Shutdown(context.WithoutCancel(ctx)))
}

func (q *queue) run(ctx context.Context) {
	defer close(q.ended)
	defer q.giveUp()
	batch := make([]sdk.ReadOnlySpan, 0, q.opts.Batch)
	tick := time.NewTicker(q.opts.Every)
	defer tick.Stop()
	for {
		select {
		case span := <-q.spans:
			if batch = append(batch, span); len(batch) == q.opts.Batch {
				batch = q.send(ctx, batch)
			}
		case <-tick.C:
			batch = q.send(ctx, batch)
		case <-q.stop:
			q.drain(ctx, batch)
			return
		}
	}
}

// drain sends what is left. A span that comes meanwhile may stay behind.
func (q *queue) drain(ctx context.Context, batch []sdk.ReadOnlySpan) {
	for {
		select {
		case span := <-q.spans:
			if batch = append(batch, span); len(batch) < q.opts.Batch {
				continue
			}
			batch = q.send(ctx, batch)
		default:
			q.send(ctx, batch)
			return
		}
	}
}

// send sends the batch once, with the client's repetitions, and gives the empty
// batch back: spans are worth less than the memory to keep them.
func (q *queue) send(ctx context.Context, batch []sdk.ReadOnlySpan) []sdk.ReadOnlySpan {
	if len(batch) == 0 {
		return batch
	}
	limited, cancel := context.WithTimeout(ctx, q.opts.Limit)
	defer cancel()
	if err := q.to.ExportSpans(limited, batch); err != nil {
		q.failures.Inc()
		q.dropped.Add(len(batch))
		q.opts.Logger.LogAttrs(ctx, slog.LevelWarn, "spans not exported", slog.Int("spans", len(batch)), slog.Any("error", err))
	} else {
		q.sent.Add(len(batch))
	}
	clear(batch)
	return batch[:0]
}
