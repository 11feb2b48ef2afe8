package syncer

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/sentryagent/agentidp/shared/decision"
	"github.com/sentryagent/agentidp/sidecar/internal/spool"
)

// The IdP of the tests leaves goroutines of its HTTP library behind.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"))
}

func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	require.Eventually(t, condition, time.Minute, 2*time.Millisecond, what) // past the longest pause between attempts
}

// run makes a syncer and runs it until stop, which waits for its end.
func run(t *testing.T, opts Options) (s *Syncer, stop func()) {
	t.Helper()
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	s, err := New(t.Context(), opts)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); s.Run(ctx) }()
	stop = func() { cancel(); <-ended }
	t.Cleanup(stop)
	return s, stop
}

func record(t *testing.T, sp *spool.Spool, n int) {
	t.Helper()
	for range n {
		_, err := sp.Append(&decision.Record{
			DecisionID: "d", AgentID: "a", Method: "GET", Host: "notes.example.com", Path: "/notes", RouteID: "GET /notes", Capability: "notes:read",
			Outcome: decision.Allowed, Reason: "capability", Status: 200,
		})
		require.NoError(t, err)
	}
}
