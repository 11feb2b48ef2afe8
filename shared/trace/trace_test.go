package trace_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/shared/alloctest"
	"github.com/sentryagent/agentidp/shared/trace"
)

const (
	traceID = "4bf92f3577b34da6a3ce929d0e0e4736"
	spanID  = "00f067aa0ba902b7"
	parent  = "00-" + traceID + "-" + spanID + "-01"
)

var form = regexp.MustCompile(`^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$`)

func TestParse(t *testing.T) {
	c, ok := trace.Parse([]byte(parent))
	require.True(t, ok)
	require.True(t, c.Sampled())
	require.Equal(t, parent, string(c.AppendParent(nil)))
	tracePart, spanPart := c.IDs()
	require.Equal(t, []string{traceID, spanID}, []string{tracePart, spanPart})
	for flags, kept := range map[string]string{"00": "00", "01": "01", "02": "02", "03": "03", "ff": "03", "04": "00"} {
		c, ok := trace.Parse([]byte(parent[:53] + flags))
		require.True(t, ok)
		require.Equal(t, kept, string(c.AppendParent(nil))[53:], "flags that nobody knows are not passed on")
	}
	for name, bad := range map[string]string{
		"none": "", "short": parent[:54], "long": parent + "0", "longer, as a later version may be": parent + "-00",
		"version": "01" + parent[2:], "forbidden version": "ff" + parent[2:],
		"upper case": strings.ToUpper(parent), "upper span": "00-" + traceID + "-00F067AA0BA902B7-01", "upper flags": parent[:53] + "0A",
		"no hex": "00-" + traceID[:31] + "g" + parent[35:], "space": " " + parent[:54], "separators": strings.ReplaceAll(parent, "-", "_"),
		"second separator": parent[:35] + "0" + parent[36:], "third separator": parent[:52] + "0" + parent[53:],
		"zero trace": "00-" + strings.Repeat("0", 32) + "-" + spanID + "-01", "zero span": "00-" + traceID + "-" + strings.Repeat("0", 16) + "-01",
	} {
		c, ok := trace.Parse([]byte(bad))
		require.False(t, ok, name)
		require.Equal(t, trace.Context{}, c, name)
		next, known := trace.AppendNext(nil, []byte(bad))
		require.False(t, known, name)
		require.Regexp(t, form, string(next), name)
	}
}

func TestNext(t *testing.T) {
	next, known := trace.AppendNext([]byte("Traceparent: "), []byte(parent))
	require.True(t, known)
	require.Regexp(t, `^Traceparent: 00-`+traceID+`-[0-9a-f]{16}-01$`, string(next))
	require.NotContains(t, string(next), spanID, "the span is our own")
	first, second := trace.New(), trace.New()
	require.True(t, first.Valid())
	require.NotEqual(t, first.Trace, second.Trace)
	require.NotEqual(t, first.Span, second.Span)
	require.Equal(t, first.Trace, first.Child().Trace)
	require.False(t, first.Sampled())

	buffer, header := make([]byte, 0, 64), []byte(parent)
	alloctest.Zero(t, func() {
		_, _ = trace.AppendNext(buffer, header)
		_, _ = trace.AppendNext(buffer, nil)
	}, "the sidecar does this for every request")
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{parent, "", parent[:54], "cc" + parent[2:], "00-" + strings.Repeat("0", 32) + "-" + spanID + "-00"} {
		f.Add([]byte(seed), "a=b,c@d=e")
	}
	f.Fuzz(func(t *testing.T, header []byte, state string) {
		zeroTrace, zeroSpan := "00-"+strings.Repeat("0", 32), "-"+strings.Repeat("0", 16)+"-"
		want := form.Match(header) && string(header[:35]) != zeroTrace && string(header[35:53]) != zeroSpan
		c, ok := trace.Parse(header)
		require.Equal(t, want, ok)
		if ok {
			require.Equal(t, string(header[:53]), string(c.AppendParent(nil))[:53])
		}
		own, caller := (&trace.Sampler{Share: 1}).Start(header, state)
		require.True(t, own.Valid())
		require.Equal(t, ok, caller.Valid())
		require.Regexp(t, form, string(own.AppendParent(nil)))
		if own.State != "" {
			require.True(t, ok)
			require.LessOrEqual(t, len(own.State), 512)
			require.Equal(t, state, own.State)
			require.NotContains(t, own.State, "\n")
		}
	})
}

func TestState(t *testing.T) {
	for name, fact := range map[string]struct {
		state string
		valid bool
	}{
		"one": {"rojo=00f067aa0ba902b7", true}, "two": {"rojo=1,congo=t61rcWkgMzE", true}, "spaces": {"rojo=1 , \tcongo=2", true},
		"multi-tenant": {"fw529a3039@dt=FfD", true}, "digit tenant": {"0a@b=1", true}, "empty members": {"a=1,,b=2,", true}, "marks": {"a_-*/=!\"#$%&'", true},
		"32": {members(32), true}, "512": {"a=" + strings.Repeat("v", 250) + ",b=" + strings.Repeat("v", 256) + ",", true},
		"nothing": {"", false}, "commas": {",,", false}, "33": {members(33), false}, "513": {"a=" + strings.Repeat("v", 255) + ",b=" + strings.Repeat("v", 253), false},
		"no value": {"a=", false}, "no key": {"=a", false}, "neither": {"a", false}, "twice": {"a=1,a=2", false}, "two signs": {"a=b=c", false},
		"upper case": {"A=1", false}, "begins with a digit": {"1a=1", false}, "two tenants": {"a@b@c=1", false}, "long system": {"a@bcdefghijklmnop=1", false},
		"long value": {"a=" + strings.Repeat("v", 257), false}, "long key": {strings.Repeat("k", 257) + "=1", false}, "long tenant": {strings.Repeat("k", 242) + "@a=1", false},
		"control": {"a=\x01", false}, "line": {"a=1\r\nX: y", false}, "not ASCII": {"a=é", false},
	} {
		require.Equal(t, fact.valid, trace.ValidState(fact.state), name)
		own, _ := new(trace.Sampler).Start([]byte(parent), fact.state)
		require.Equal(t, fact.valid, own.State != "", name)
		own, _ = new(trace.Sampler).Start(nil, fact.state)
		require.Empty(t, own.State, "no state without a parent")
	}
}

func members(n int) string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf("k%d=1", i)
	}
	return strings.Join(list, ",")
}

func TestSampler(t *testing.T) {
	kept := func(share float64) (n int) {
		sampler := &trace.Sampler{Share: share}
		for range 2000 {
			if own, caller := sampler.Start(nil, ""); own.Sampled() {
				require.Zero(t, caller)
				n++
			}
		}
		return n
	}
	require.Zero(t, kept(0))
	require.Equal(t, 2000, kept(1))
	require.InDelta(t, 500, kept(0.25), 150)

	own, caller := new(trace.Sampler).Start([]byte(parent), "a=1")
	require.True(t, own.Sampled(), "the caller decided")
	require.Equal(t, caller.Trace, own.Trace)
	require.NotEqual(t, caller.Span, own.Span)
	require.Equal(t, "a=1", own.State)
	own, _ = (&trace.Sampler{Share: 1}).Start([]byte(parent[:53]+"00"), "")
	require.False(t, own.Sampled(), "the caller decided")
	for _, header := range [][]byte{nil, []byte(parent)} {
		own, _ = (*trace.Sampler)(nil).Start(header, "")
		require.True(t, own.Valid())
		require.False(t, own.Sampled())
	}
}

// Anybody can say that its trace is sampled, and choose the id.
func TestCallersDoNotOrderExports(t *testing.T) {
	now := time.Unix(1000, 0)
	followed := func(sampler *trace.Sampler, requests int) (n int) {
		for range requests {
			own, caller := sampler.Start([]byte("00-ffffffffffffffffffffffffffffffff-"+spanID+"-01"), "")
			require.True(t, caller.Sampled())
			if own.Sampled() {
				n++
			}
		}
		return n
	}
	none := &trace.Sampler{Now: func() time.Time { return now }}
	require.Equal(t, trace.Followed, followed(none, 10_000))
	now = now.Add(100 * time.Millisecond)
	require.Equal(t, trace.Followed/10, followed(none, 10_000))
	now = now.Add(-time.Hour)
	require.Zero(t, followed(none, 10_000))
	now = now.Add(2 * time.Hour)
	require.Equal(t, trace.Followed, followed(none, 10_000), "nothing is saved up")

	tenth := &trace.Sampler{Share: 0.1, Now: none.Now}
	require.InDelta(t, 1000+trace.Followed, followed(tenth, 10_000), 150)
	require.Equal(t, 10_000, followed(&trace.Sampler{Share: 1}, 10_000))
}

func TestTransport(t *testing.T) {
	var got http.Header
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = r.Header.Clone() }))
	defer server.Close()
	client := &http.Client{Transport: trace.Transport(nil)}
	defer client.CloseIdleConnections()
	call := func(ctx context.Context) *http.Request {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL, nil)
		require.NoError(t, err)
		request.Header.Set("Tracestate", "mine=1")
		response, err := client.Do(request)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		return request
	}
	call(t.Context())
	require.Empty(t, got.Values("Traceparent"))

	span, _ := trace.Parse([]byte(parent))
	require.Zero(t, trace.From(t.Context()))
	require.Equal(t, span, trace.From(trace.With(t.Context(), span)))
	sent := call(trace.With(t.Context(), span))
	require.Equal(t, []string{parent}, got.Values("Traceparent"))
	require.Empty(t, got.Values("Tracestate"))
	require.Equal(t, "mine=1", sent.Header.Get("Tracestate"), "the request stays as it was")
	span.State = "a=1"
	call(trace.With(t.Context(), span))
	require.Equal(t, []string{"a=1"}, got.Values("Tracestate"))
}
