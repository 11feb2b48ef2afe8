package auditlog_test

import (
	"fmt"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp/internal/store"
	"github.com/sentryagent/agentidp/idp/internal/store/postgres"
	"github.com/sentryagent/agentidp/idp/internal/store/postgres/pgtest"
	"github.com/sentryagent/agentidp/idp/internal/store/sqlite"
)

// BenchmarkAppend is durable events a second with so many callers, each waiting
// for its own; tree and checkpoints included.
func BenchmarkAppend(b *testing.B) {
	for _, name := range []string{"sqlite", "postgres"} {
		for _, callers := range []int{1, 8, 64} {
			b.Run(fmt.Sprintf("%s/callers=%d", name, callers), func(b *testing.B) {
				db, err := benchStores(b)[name]()
				require.NoError(b, err)
				benchAppend(b, db, callers)
				require.NoError(b, db.Close())
			})
		}
	}
}

// benchStores opens a new store of each kind.
func benchStores(b *testing.B) map[string]func() (store.DB, error) {
	b.Helper()
	return map[string]func() (store.DB, error){
		"sqlite": func() (store.DB, error) { return sqlite.Open(b.Context(), filepath.Join(b.TempDir(), "log.db")) },
		"postgres": func() (store.DB, error) {
			return postgres.Open(b.Context(), postgres.Options{URL: pgtest.URL(b), Migrate: true})
		},
	}
}

func benchAppend(b *testing.B, db store.DB, callers int) {
	b.Helper()
	log, stop := benchLog(b, db)
	ctx := b.Context()
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
}
