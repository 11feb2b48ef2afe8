package auditlog_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp/internal/auditlog"
	"github.com/sentryagent/agentidp/idp/internal/issuer"
	"github.com/sentryagent/agentidp/idp/internal/store/sqlite"
)

// BenchmarkAppendOne is one event in a transaction of its own, with its leaf and
// the hashes above it, in memory: what appending costs apart from the disk.
func BenchmarkAppendOne(b *testing.B) {
	db, err := sqlite.OpenMemory(b.Context())
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, db.Close()) })
	sealer, err := issuer.NewSealer(make([]byte, issuer.MasterKeySize))
	require.NoError(b, err)
	key, err := auditlog.OpenCheckpointKey(b.Context(), db, sealer, "idp.example.com/audit", time.Now)
	require.NoError(b, err)
	log := auditlog.New(db, key, auditlog.Options{Logger: slog.New(slog.DiscardHandler)})
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- log.Run(ctx) }()
	b.ReportAllocs()
	for b.Loop() {
		if err := log.Append(ctx, event("agent")); err != nil {
			b.Fatal(err)
		}
	}
	stop()
	require.NoError(b, <-ended)
}
