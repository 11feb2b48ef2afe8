package sqlite

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/store"
	"github.com/sentryagent/agentidp/shared/capability"
)

// batchRows is what a busy audit log commits at once.
const batchRows = 500

// BenchmarkAppend commits batches of events; rows/s is durable rows.
func BenchmarkAppend(b *testing.B) {
	s := benchStore(b)
	next := int64(0)
	rows := make([]store.EventRow, batchRows)
	for b.Loop() {
		for i := range rows {
			rows[i] = benchEvent(next)
			next++
		}
		benchUpdate(b, s, func(ctx context.Context, tx *store.Tx) error { return tx.Events.Append(ctx, rows) })
	}
	b.ReportMetric(float64(next)/b.Elapsed().Seconds(), "rows/s")
}

// BenchmarkIssue commits what a batch of tokens costs: admissions of 64
// clients, events, and as many tree hashes.
func BenchmarkIssue(b *testing.B) {
	s := benchStore(b)
	asked := benchClients(b, s, 64)
	next := int64(0)
	for b.Loop() {
		benchUpdate(b, s, func(ctx context.Context, tx *store.Tx) error {
			batch, rows := make([]store.Admission, batchRows), make([]store.EventRow, batchRows)
			for i := range rows {
				batch[i], rows[i] = asked[i%len(asked)], benchEvent(next+int64(i))
			}
			if _, err := tx.Admissions.Admit(ctx, batch); err != nil {
				return err
			}
			if err := tx.Events.Append(ctx, rows); err != nil {
				return err
			}
			first, after := tlog.StoredHashCount(next), tlog.StoredHashCount(next+batchRows)
			return tx.Tree.Append(ctx, first, make([][32]byte, after-first), next+batchRows)
		})
		next += batchRows
	}
	b.ReportMetric(float64(next)/b.Elapsed().Seconds(), "tokens/s")
}

// BenchmarkGate is the one read of each authentication that nothing is remembered for.
func BenchmarkGate(b *testing.B) {
	s := benchStore(b)
	asked := benchClients(b, s, 64)
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		require.NoError(b, s.Read(b.Context(), func(ctx context.Context, tx *store.Tx) error {
			_, err := tx.Credentials.Gate(ctx, asked[i%len(asked)].ClientID)
			return err
		}))
		i++
	}
}

func benchStore(b *testing.B) *Store {
	b.Helper()
	s, err := OpenMemory(b.Context())
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, s.Close()) })
	return s
}

func benchUpdate(b *testing.B, s *Store, fn func(ctx context.Context, tx *store.Tx) error) {
	b.Helper()
	require.NoError(b, s.Update(b.Context(), fn))
}

var benchBody = []byte(`{"metadata":"` + strings.Repeat("x", 480) + `"}`)

func benchEvent(sequence int64) store.EventRow {
	action, outcome := idp.ActionTokenIssued, idp.Success
	switch sequence % 7 {
	case 0, 1:
		action = idp.ActionDecisionAllowed
	case 2:
		action, outcome = idp.ActionDecisionDenied, idp.Denied
	}
	id, err := uuid.NewV7()
	if err != nil {
		panic(err)
	}
	return store.EventRow{
		Sequence: sequence, ID: id.String(), OrganizationID: "default", AgentID: fmt.Sprintf("0198c0de-0000-7000-8000-%012d", sequence*7919%200),
		Action: action, Outcome: outcome, Timestamp: time.Now(), Body: benchBody,
	}
}

func benchClients(b *testing.B, s *Store, n int) []store.Admission {
	b.Helper()
	asked := make([]store.Admission, n)
	now := time.Now()
	benchUpdate(b, s, func(ctx context.Context, tx *store.Tx) error {
		if err := tx.Organizations.Insert(ctx, idp.Organization{ID: "default", CreatedAt: now, UpdatedAt: now}); err != nil {
			return err
		}
		if err := tx.Keys.Insert(ctx, store.Key{ID: "signer", Use: store.UseToken, Status: store.KeyActive, Public: []byte{1}, Sealed: []byte{2}, CreatedAt: now}); err != nil {
			return err
		}
		for i := range asked {
			id := uuid.NewString()
			a := idp.Agent{ID: id, OrganizationID: "default", Email: id, Status: idp.Active, Capabilities: capability.Set{"notes:read", "notes:write"}, CreatedAt: now, UpdatedAt: now}
			c := idp.Credential{ID: id, ClientID: "aidp_c_" + id, AgentID: id, OrganizationID: "default", Status: idp.CredentialActive, Method: idp.MethodSecret, CreatedAt: now}
			if err := tx.Agents.Insert(ctx, a); err != nil {
				return err
			}
			if err := tx.Credentials.Insert(ctx, c); err != nil {
				return err
			}
			asked[i] = store.Admission{ClientID: c.ClientID, AgentID: id, KeyID: "signer", At: now}
		}
		return nil
	})
	return asked
}
