package httpapi

import (
	"context"
	"log/slog"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"github.com/sentryagent/agentidp/idp/internal/grants"
	"github.com/sentryagent/agentidp/shared/apierr"
	"github.com/sentryagent/agentidp/shared/obs"
)

// observer counts requests by operation and status class, and nothing that a
// caller can make up.
type observer struct {
	set        *metrics.Set
	inFlight   atomic.Int64
	operations map[string]*operation
	issued     *metrics.Counter
}

type operation struct {
	classes   [6]*metrics.Counter // by hundreds of the status
	durations *metrics.PrometheusHistogram
}

func newObserver(set *metrics.Set) *observer {
	o := &observer{set: set, operations: map[string]*operation{}, issued: set.NewCounter("agentidp_tokens_issued_total")}
	set.NewGauge("agentidp_http_requests_in_flight", func() float64 { return float64(o.inFlight.Load()) })
	return o
}

// add makes the metrics of an operation. Not after the first request.
func (o *observer) add(id string) {
	if o.operations[id] != nil {
		return
	}
	op := &operation{durations: obs.Durations(o.set, "agentidp_http_request_duration_seconds", "operation", id)}
	for class := 2; class < len(op.classes); class++ {
		op.classes[class] = o.set.NewCounter(obs.Name("agentidp_http_requests_total", "operation", id, "status", strconv.Itoa(class)+"xx"))
	}
	o.operations[id] = op
}

// begin counts a request in; the result counts it out.
func (o *observer) begin() func(id string, status int, took time.Duration) {
	o.inFlight.Add(1)
	return func(id string, status int, took time.Duration) {
		o.inFlight.Add(-1)
		o.count(id, status)
		o.operations[id].durations.Update(took.Seconds())
	}
}

func (o *observer) count(id string, status int) {
	if class := status / 100; class >= 2 && class < len(o.operations[id].classes) {
		o.operations[id].classes[class].Inc()
	}
}

// token counts a token that was issued, or not, by the error that the caller saw.
func (o *observer) token(err error) {
	if err == nil {
		o.issued.Inc()
		return
	}
	o.set.GetOrCreateCounter(obs.Name("agentidp_tokens_refused_total", "error", apierr.From(err).Code.OAuth())).Inc()
}

// logLine is the one line of a request. A token appears as its jti, a body never.
func (a *API) logLine(c *call, took time.Duration) {
	level := slog.LevelInfo
	if c.route.quiet {
		level = slog.LevelDebug
	}
	traceID, spanID := c.span.IDs()
	attributes := []slog.Attr{
		slog.String("operation", c.route.OperationID), slog.String("method", clip(string(c.http.Method()), 16)),
		slog.String("path", clip(c.path, maxLoggedPath)), slog.Int("status", c.http.Response.StatusCode()),
		slog.Duration("took", took), slog.String("request_id", c.origin.RequestID), slog.String("address", c.origin.IPAddress),
		slog.String("trace_id", traceID), slog.String("span_id", spanID),
	}
	for _, optional := range []slog.Attr{
		slog.String("agent_id", c.agentID), slog.String("organization_id", c.organizationID),
		slog.String("client_id", grants.ClaimedID(c.clientID)), slog.String("jti", c.jti),
	} {
		if optional.Value.String() != "" {
			attributes = append(attributes, optional)
		}
	}
	if c.failure != nil {
		refusal := apierr.From(c.failure)
		level = max(level, refusal.Code.Level())
		attributes = append(attributes, slog.String("reason", refusal.Reason))
		if refusal.Code.Status() >= 500 {
			attributes = append(attributes, slog.Any("error", c.failure))
		}
	}
	a.Logger.LogAttrs(context.Background(), level, "request", attributes...)
}
