package auditlog_test

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp/internal/auditlog"
	"github.com/sentryagent/agentidp/idp/internal/issuer"
	"github.com/sentryagent/agentidp/idp/internal/store"
	"github.com/sentryagent/agentidp/idp/internal/store/postgres"
	"github.com/sentryagent/agentidp/idp/internal/store/postgres/pgtest"
	"github.com/sentryagent/agentidp/idp/internal/store/sqlite"
)

// BenchmarkAppend is durable events a second with so many callers, each waiting
// for its own; tree and checkpoints included.
func BenchmarkAppend(b *testing.B) {
	stores := map[string]func() (store.DB, error){
		"sqlite": func() (store.DB, error) { return sqlite.Open(b.Context(), filepath.Join(b.TempDir(), "log.db")) },
		"postgres": func() (store.DB, error) {
			return postgres.Open(b.Context(), postgres.Options{URL: pgtest.URL(b), Migrate: true})
		},
	}
	for _, name := range []string{"sqlite", "postgres"} {
		for _, callers := range []int{1, 8, 64} {
			b.Run(fmt.Sprintf("%s/callers=%d", name, callers), func(b *testing.B) {
				db, err := stores[name]()
				require.NoError(b, err)
				benchAppend(b, db, callers)
				require.NoError(b, db.Close())
			})
		}
	}
}

func benchAppend(b *testing.B, db store.DB, callers int) {
	b.Helper()
	sealer, err := issuer.NewSealer(make([]byte, issuer.MasterKeySize))
	require.NoError(b, err)
	key, err := auditlog.OpenCheckpointKey(b.Context(), db, sealer, "idp.example.com/audit", time.Now)
	require.NoError(b, err)
	log := auditlog.New(db, key, auditlog.Options{Logger: slog.New(slog.DiscardHandler)})
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- log.Run(ctx) }()
	require.NoError(b, log.Append(ctx, event("first")))
	b.ResetTimer()
	var group sync.WaitGroup
	for caller := range callers {
		group.Go(func() {
			for range (b.N + callers - 1 - caller) / callers {
				if err := log.Append(ctx, event("agent")); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	group.Wait()
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
	stop()
	require.NoError(b, <-ended)
}
