package auditlog_test

import (
	"context"
	"log/slog"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/auditlog"
	"github.com/sentryagent/agentidp/idp/internal/issuer"
	"github.com/sentryagent/agentidp/idp/internal/store"
	"github.com/sentryagent/agentidp/idp/internal/store/postgres"
	"github.com/sentryagent/agentidp/idp/internal/store/postgres/pgtest"
	"github.com/sentryagent/agentidp/idp/internal/store/sqlite"
)

// BenchmarkPrune takes a month of 100,000 events, while others append, and says
// how long the slowest of those appends took.
func BenchmarkPrune(b *testing.B) {
	for name, open := range map[string]func() (store.DB, error){
		"sqlite": func() (store.DB, error) { return sqlite.Open(b.Context(), filepath.Join(b.TempDir(), "log.db")) },
		"postgres": func() (store.DB, error) {
			return postgres.Open(b.Context(), postgres.Options{URL: pgtest.URL(b), Migrate: true})
		},
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				b.StopTimer()
				db, err := open()
				require.NoError(b, err)
				benchmarkPrune(b, db)
				require.NoError(b, db.Close())
				b.StartTimer()
			}
		})
	}
}

func benchmarkPrune(b *testing.B, db store.DB) {
	b.Helper()
	master, err := issuer.LoadMasterKey("", filepath.Join(b.TempDir(), "master.key"))
	require.NoError(b, err)
	sealer, err := issuer.NewSealer(master)
	require.NoError(b, err)
	var year atomic.Int64
	clock := func() time.Time { return january.AddDate(int(year.Load()), 0, 0) }
	key, err := auditlog.OpenCheckpointKey(b.Context(), db, sealer, "idp.example.com/audit", clock)
	require.NoError(b, err)
	log := auditlog.New(db, key, auditlog.Options{Now: clock, Logger: slog.New(slog.DiscardHandler), Patience: time.Minute})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- log.Run(ctx) }()
	for range 100 {
		events := make([]idp.Event, 1000)
		for i := range events {
			events[i] = event("agent-1")
		}
		require.NoError(b, log.Append(b.Context(), events...))
	}
	year.Store(1)

	idle := slowest(b, log, func() { time.Sleep(time.Second) })
	var taken int64
	busy := slowest(b, log, func() {
		b.StartTimer()
		taken, err = log.Prune(b.Context(), auditlog.Retention{Custom: 31})
		b.StopTimer()
	})
	require.NoError(b, err)
	require.EqualValues(b, 100_000, taken)
	b.ReportMetric(float64(idle.Microseconds())/1000, "ms-slowest-append-idle")
	b.ReportMetric(float64(busy.Microseconds())/1000, "ms-slowest-append")
	cancel()
	require.NoError(b, <-ended)
}

// slowest is the longest append during the work.
func slowest(b *testing.B, log *auditlog.Log, work func()) (longest time.Duration) {
	b.Helper()
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			default:
			}
			began := time.Now()
			if err := log.Append(b.Context(), event("agent-2")); err != nil {
				b.Error(err)
			}
			longest = max(longest, time.Since(began))
		}
	}()
	work()
	close(stop)
	<-done
	return longest
}
