package otlp_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/stretchr/testify/require"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	wire "go.opentelemetry.io/proto/otlp/trace/v1"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"

	"github.com/sentryagent/agentidp/shared/trace"
	"github.com/sentryagent/agentidp/shared/trace/otlp"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// receiver is a collector: what it was sent, and what it answers.
type receiver struct {
	*httptest.Server
	mu     sync.Mutex
	got    []*collector.ExportTraceServiceRequest
	header http.Header
	status int
	hold   chan struct{} // closed: answer
}

func newReceiver(t *testing.T) *receiver {
	r := &receiver{status: http.StatusOK, hold: make(chan struct{})}
	close(r.hold)
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		body, err := io.ReadAll(request.Body)
		message := &collector.ExportTraceServiceRequest{}
		if err != nil || request.URL.Path != "/prefix/v1/traces" || proto.Unmarshal(body, message) != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		r.mu.Lock()
		r.got, r.header = append(r.got, message), request.Header.Clone()
		status, hold := r.status, r.hold
		r.mu.Unlock()
		select {
		case <-hold:
			w.WriteHeader(status)
		case <-request.Context().Done():
		}
	}))
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) spans() (all []*wire.Span) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, message := range r.got {
		for _, from := range message.ResourceSpans {
			for _, scope := range from.ScopeSpans {
				all = append(all, scope.Spans...)
			}
		}
	}
	return all
}

func (r *receiver) answers(status int, hold chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.status, r.hold = status, hold
}

// exporter exports to url with the options.
func exporter(t *testing.T, url string, o otlp.Options) (*otlp.Exporter, func(string) string) {
	t.Helper()
	set := metrics.NewSet()
	o.Endpoint, o.Service, o.Version, o.Metrics = url+"/prefix", "agentidp", "1.2.3", set
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	e, err := otlp.Open(t.Context(), o)
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		_ = e.Close(ctx)
	})
	return e, func(name string) string {
		var b bytes.Buffer
		set.WritePrometheus(&b)
		for line := range strings.Lines(b.String()) {
			if value, found := strings.CutPrefix(line, name+" "); found {
				return strings.TrimSpace(value)
			}
		}
		return ""
	}
}

func span(name string) trace.Span {
	own, _ := (&trace.Sampler{Share: 1}).Start(nil, "")
	start := time.Date(2026, 7, 1, 12, 0, 0, 5, time.UTC)
	return trace.Span{Context: own, Name: name, Start: start, End: start.Add(time.Millisecond)}
}

func attributes(s *wire.Span) map[string]string {
	values := map[string]string{}
	for _, a := range s.Attributes {
		if text := a.Value.GetStringValue(); text != "" {
			values[a.Key] = text
		} else {
			values[a.Key] = fmt.Sprint(a.Value.GetIntValue())
		}
	}
	return values
}

func TestExport(t *testing.T) {
	t.Setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-key=secret")
	t.Setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test")
	r := newReceiver(t)
	e, metric := exporter(t, r.URL, otlp.Options{Every: 10 * time.Millisecond})
	own, caller := new(trace.Sampler).Start([]byte("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"), "rojo=1")
	start := time.Date(2026, 7, 1, 12, 0, 0, 5, time.UTC)
	e.Export(trace.Span{
		Context: own, Parent: caller, Name: "GET /x", Start: start, End: start.Add(time.Second), Failed: true,
		Text: [][2]string{{"http.route", "/x"}, {"agentidp.reason", ""}}, Numbers: []trace.Number{{Name: "http.response.status_code", Value: 503}},
	})
	unsampled, _ := new(trace.Sampler).Start(nil, "")
	e.Export(trace.Span{Context: unsampled, Name: "not this", Start: start, End: start})
	e.Export(span("root"))
	require.Eventually(t, func() bool { return len(r.spans()) == 2 }, time.Minute, time.Millisecond)

	first, second := r.spans()[0], r.spans()[1]
	require.Equal(t, "GET /x", first.Name)
	traceID, spanID := own.IDs()
	require.Equal(t, traceID, hex.EncodeToString(first.TraceId))
	require.Equal(t, spanID, hex.EncodeToString(first.SpanId), "the span is the one that the log names")
	require.Equal(t, "00f067aa0ba902b7", hex.EncodeToString(first.ParentSpanId))
	require.Equal(t, "rojo=1", first.TraceState)
	require.Equal(t, wire.Span_SPAN_KIND_SERVER, first.Kind)
	require.Equal(t, wire.Status_STATUS_CODE_ERROR, first.Status.Code)
	require.EqualValues(t, start.UnixNano(), first.StartTimeUnixNano)
	require.EqualValues(t, start.Add(time.Second).UnixNano(), first.EndTimeUnixNano)
	require.Equal(t, map[string]string{"http.route": "/x", "http.response.status_code": "503"}, attributes(first))
	require.Equal(t, "root", second.Name)
	require.Empty(t, second.ParentSpanId)

	resource := map[string]string{}
	for _, a := range r.got[0].ResourceSpans[0].Resource.Attributes {
		resource[a.Key] = a.Value.GetStringValue()
	}
	require.Equal(t, "agentidp", resource["service.name"])
	require.Equal(t, "1.2.3", resource["service.version"])
	require.Equal(t, "test", resource["deployment.environment.name"])
	require.Equal(t, "application/x-protobuf", r.header.Get("Content-Type"))
	require.Equal(t, "secret", r.header.Get("X-Key"))
	require.Eventually(t, func() bool { return metric("agentidp_spans_exported_total") == "2" }, time.Minute, time.Millisecond)
	require.Equal(t, "0", metric("agentidp_spans_dropped_total"))
}

// A collector that does not answer costs spans, never the time of a request.
func TestCollectorThatHangs(t *testing.T) {
	r := newReceiver(t)
	hold := make(chan struct{})
	r.answers(http.StatusOK, hold)
	e, metric := exporter(t, r.URL, otlp.Options{Every: time.Hour, Queue: 10, Batch: 4, Limit: time.Minute})
	for range 4 {
		e.Export(span("held"))
	}
	require.Eventually(t, func() bool { return len(r.spans()) == 4 }, time.Minute, time.Millisecond)
	for range 100 {
		e.Export(span("waiting"))
	}
	require.Equal(t, "90", metric("agentidp_spans_dropped_total"))
	close(hold)
	require.NoError(t, e.Close(t.Context()), "what is queued is sent")
	require.Len(t, r.spans(), 14)
	require.Equal(t, "14", metric("agentidp_spans_exported_total"))
	e.Export(span("late"))
	require.NoError(t, e.Close(t.Context()))
	require.Len(t, r.spans(), 14)
}

func TestCloseIsBounded(t *testing.T) {
	r := newReceiver(t)
	r.answers(http.StatusOK, make(chan struct{}))
	e, metric := exporter(t, r.URL, otlp.Options{Every: time.Millisecond, Limit: time.Hour})
	e.Export(span("held"))
	require.Eventually(t, func() bool { return len(r.spans()) == 1 }, time.Minute, time.Millisecond)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, e.Close(ctx), context.DeadlineExceeded)
	require.Equal(t, "1", metric("agentidp_spans_dropped_total"))
}

func TestCollectorThatRefuses(t *testing.T) {
	r := newReceiver(t)
	closed := make(chan struct{})
	close(closed)
	r.answers(http.StatusForbidden, closed)
	var logs bytes.Buffer
	e, metric := exporter(t, r.URL, otlp.Options{Every: time.Hour, Logger: slog.New(slog.NewTextHandler(&logs, nil))})
	e.Export(span("refused"))
	require.NoError(t, e.Close(t.Context()))
	require.Equal(t, "1", metric("agentidp_span_export_failures_total"))
	require.Equal(t, "1", metric("agentidp_spans_dropped_total"))
	require.Contains(t, logs.String(), "spans not exported")
}

func TestEndpoint(t *testing.T) {
	for _, good := range []string{"http://localhost:4318", "https://collector.example/prefix", "http://[::1]:4318/"} {
		require.NoError(t, otlp.CheckEndpoint(good), good)
	}
	for _, bad := range []string{"", "localhost:4318", "grpc://a:4317", "http://", "http://u:p@a", "http://a?x=1", "http://a#x", "http://a b"} {
		require.Error(t, otlp.CheckEndpoint(bad), bad)
		_, err := otlp.Open(t.Context(), otlp.Options{Endpoint: bad})
		require.Error(t, err, bad)
	}
}
