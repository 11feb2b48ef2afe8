// Package otlp sends spans to an OpenTelemetry collector, as OTLP over HTTP. It
// never holds up the work that a span tells of: what does not fit a bounded
// queue is dropped and counted.
package otlp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	api "go.opentelemetry.io/otel/trace"

	"github.com/sentryagent/agentidp/shared/trace"
)

// Options describe an exporter. Endpoint and Service are required; of the
// standard variables OTEL_EXPORTER_OTLP_HEADERS, _CERTIFICATE, _COMPRESSION,
// OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES hold as well.
type Options struct {
	Endpoint string // of the collector; /v1/traces is added, as for OTEL_EXPORTER_OTLP_ENDPOINT
	Service  string // service.name
	Version  string // service.version
	Logger   *slog.Logger
	Metrics  *metrics.Set // agentidp_spans_…; default a set nobody reads

	Queue int           // spans waiting; default 2048
	Batch int           // spans in one request; default 512
	Every time.Duration // most time until a span is sent; default 5 s
	Limit time.Duration // for one request, with its repetitions; default 10 s
}

func (o Options) withDefaults() Options {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Metrics == nil {
		o.Metrics = metrics.NewSet()
	}
	o.Queue, o.Batch = positive(o.Queue, 2048), positive(o.Batch, 512)
	o.Every, o.Limit = positive(o.Every, 5*time.Second), positive(o.Limit, 10*time.Second)
	return o
}

func positive[T int | time.Duration](value, fallback T) T {
	if value > 0 {
		return value
	}
	return fallback
}

// CheckEndpoint says what is wrong with an endpoint.
func CheckEndpoint(endpoint string) error {
	u, err := url.Parse(endpoint)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || strings.ContainsAny(endpoint, "?#") {
		return errors.New("must be an http(s) URL without user, query or fragment")
	}
	return nil
}

// Exporter sends spans. It is safe for concurrent use.
type Exporter struct {
	queue    *queue
	provider *sdk.TracerProvider
	tracer   api.Tracer
	once     sync.Once
	err      error // of Close; set by once
}

// Open makes an exporter and starts its one goroutine, which Close ends. It
// calls nobody yet: a collector that is away costs spans, not the start.
// OpenTelemetry's own complaints go to the logger, for the whole process.
func Open(ctx context.Context, o Options) (*Exporter, error) {
	o = o.withDefaults()
	if err := CheckEndpoint(o.Endpoint); err != nil {
		return nil, fmt.Errorf("OTLP endpoint: %w", err)
	}
	about, err := resource.New(ctx,
		resource.WithAttributes(attribute.String("service.name", o.Service), attribute.String("service.version", o.Version)),
		resource.WithTelemetrySDK(), resource.WithFromEnv())
	if err != nil {
		return nil, fmt.Errorf("OTLP resource: %w", err)
	}
	client := otlptracehttp.NewClient(
		otlptracehttp.WithEndpointURL(strings.TrimRight(o.Endpoint, "/")+"/v1/traces"),
		otlptracehttp.WithTimeout(o.Limit),
		otlptracehttp.WithRetry(otlptracehttp.RetryConfig{Enabled: true, InitialInterval: time.Second, MaxInterval: 5 * time.Second, MaxElapsedTime: o.Limit}),
	)
	to, err := otlptrace.New(ctx, client)
	if err != nil {
		return nil, fmt.Errorf("OTLP exporter: %w", err)
	}
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) {
		o.Logger.Warn("OpenTelemetry", "error", err)
	}))
	q := newQueue(to, o)
	provider := sdk.NewTracerProvider(sdk.WithResource(about), sdk.WithSpanProcessor(q), sdk.WithIDGenerator(given{}), sdk.WithSampler(sdk.AlwaysSample()))
	return &Exporter{queue: q, provider: provider, tracer: provider.Tracer("github.com/sentryagent/agentidp")}, nil
}

// Export queues a span that ended; one of a trace that is not sampled is none.
func (e *Exporter) Export(span trace.Span) {
	if !span.Context.Sampled() {
		return
	}
	ctx := context.WithValue(context.Background(), givenKey{}, span.Context)
	if span.Parent.Valid() {
		ctx = api.ContextWithRemoteSpanContext(ctx, remote(span.Parent))
	}
	attributes := make([]attribute.KeyValue, 0, len(span.Text)+len(span.Numbers))
	for _, text := range span.Text {
		if text[1] != "" {
			attributes = append(attributes, attribute.String(text[0], text[1]))
		}
	}
	for _, number := range span.Numbers {
		attributes = append(attributes, attribute.Int(number.Name, number.Value))
	}
	_, made := e.tracer.Start(ctx, span.Name,
		api.WithSpanKind(api.SpanKindServer), api.WithTimestamp(span.Start), api.WithAttributes(attributes...))
	if span.Failed {
		made.SetStatus(codes.Error, "")
	}
	made.End(api.WithTimestamp(span.End))
}

// Close sends what is queued, while ctx lasts, and ends the exporter. What is
// exported later is dropped. Further calls answer the same.
func (e *Exporter) Close(ctx context.Context) error {
	e.once.Do(func() {
		if err := e.provider.Shutdown(ctx); err != nil {
			e.err = fmt.Errorf("spans not sent: %w", err)
		}
	})
	return e.err
}

func remote(c trace.Context) api.SpanContext {
	state, err := api.ParseTraceState(c.State)
	if err != nil {
		state = api.TraceState{} // theirs is stricter than ours: the span stands without
	}
	return api.NewSpanContext(api.SpanContextConfig{
		TraceID: c.Trace, SpanID: c.Span, TraceFlags: api.TraceFlags(c.Flags), TraceState: state, Remote: true,
	})
}

// given names spans as they were named when their request began.
type given struct{}

type givenKey struct{}

func (given) NewIDs(ctx context.Context) (api.TraceID, api.SpanID) {
	c, _ := ctx.Value(givenKey{}).(trace.Context)
	return c.Trace, c.Span
}

func (given) NewSpanID(ctx context.Context, _ api.TraceID) api.SpanID {
	c, _ := ctx.Value(givenKey{}).(trace.Context)
	return c.Span
}
