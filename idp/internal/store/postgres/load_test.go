package postgres_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/store"
	"github.com/sentryagent/agentidp/idp/internal/store/postgres"
	"github.com/sentryagent/agentidp/idp/internal/store/postgres/pgtest"
	"github.com/sentryagent/agentidp/idp/internal/store/sqlite"
	"github.com/sentryagent/agentidp/shared/capability"
)

var errLook = errors.New("looked at")

func target(t *testing.T) string {
	t.Helper()
	return pgtest.Migrated(t, func(ctx context.Context, url string) error { return postgres.Migrate(ctx, url, func(string) {}) })
}

func source(t *testing.T) *sqlite.Store {
	t.Helper()
	s, err := sqlite.OpenMemory(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

func load(ctx context.Context, from *sqlite.Store, o postgres.LoadOptions) error {
	return from.Dump(ctx, func(ctx context.Context, d store.Dump) error { return postgres.Load(ctx, d, o) })
}

func number(t *testing.T, url, query string) (n int64) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	defer conn.Close(context.Background())
	require.NoError(t, conn.QueryRow(t.Context(), query).Scan(&n))
	return n
}

var (
	organizations = []string{"default", "acme", "über"}
	began         = time.Date(2023, 11, 28, 0, 0, 0, 0, time.UTC) // two months ended long ago
)

// fill puts something into every table, random where that may matter, and
// prunes a month of one class in the middle of the log.
func fill(t *testing.T, s *sqlite.Store, events int) {
	t.Helper()
	random := rand.New(rand.NewPCG(1, 2))
	update := func(fn func(ctx context.Context, tx *store.Tx)) {
		require.NoError(t, s.Update(t.Context(), func(ctx context.Context, tx *store.Tx) error { fn(ctx, tx); return nil }))
	}
	capabilities, err := capability.ParseScope("agents:read notes:read")
	require.NoError(t, err)
	update(func(ctx context.Context, tx *store.Tx) {
		for i, id := range organizations {
			plan := idp.PlanFree
			if i == 1 {
				plan = idp.PlanCustom
			}
			require.NoError(t, tx.Organizations.Insert(ctx, idp.Organization{
				ID: id, Name: "Name of " + id, Plan: plan, MaxCredentialAge: time.Duration(i) * 48 * time.Hour, CreatedAt: began, UpdatedAt: began, Epoch: int64(i), Revision: 1,
			}))
		}
		for i := range 300 {
			id := fmt.Sprintf("agent-%03d", i)
			agent := idp.Agent{
				ID: id, OrganizationID: organizations[i%3], Email: id + "@example.com", Type: "custom", Version: "1.0.0", Owner: "o'wner\n\t\\",
				Environment: "production", Status: []idp.Status{idp.Active, idp.Suspended, idp.Decommissioned}[i%7%3],
				CreatedAt: began.Add(time.Duration(i) * time.Second), UpdatedAt: began, Epoch: random.Int64N(9), Revision: 1,
			}
			if i%2 == 0 {
				agent.Capabilities = capabilities
			}
			require.NoError(t, tx.Agents.Insert(ctx, agent))
			c := idp.Credential{
				ID: "credential-" + id, ClientID: "client-" + id, AgentID: id, OrganizationID: agent.OrganizationID, Method: idp.MethodSecret, Status: idp.CredentialActive,
				Secret: idp.SecretHash{Scheme: "bcrypt", Encoded: "$2a$10$" + id}, SecretSetAt: began, CreatedAt: began, Version: random.Int64N(5) + 1,
			}
			if i%3 == 0 {
				c.ExpiresAt, c.Previous, c.PreviousUntil = began.AddDate(5, 0, 0), idp.SecretHash{Scheme: "hmac-sha256", Encoded: "1:x"}, began.Add(time.Hour)
			}
			require.NoError(t, tx.Credentials.Insert(ctx, c))
			if i%3 == 0 {
				require.NoError(t, tx.Credentials.Warned(ctx, c.ID, c.ExpiresAt))
			}
			require.NoError(t, tx.Assertions.Use(ctx, c.ClientID, "jti", began.Add(time.Minute)))
			require.NoError(t, tx.Idempotency.Insert(ctx, store.IdempotencyRecord{
				IdempotencyKey: store.IdempotencyKey{AgentID: id, Path: "/api/v1/agents", Key: "k"}, BodyHash: sha256.Sum256([]byte(id)), Status: 201, ResourceID: id, CreatedAt: began,
			}))
			require.NoError(t, tx.Sidecars.Put(ctx, store.Sidecar{ID: "sidecar", AgentID: id, OrganizationID: agent.OrganizationID, NextSequence: int64(i), LastHash: "ab", SeenAt: began}))
			_, err := tx.Revocations.Append(ctx, idp.Revocation{Type: idp.RevokeJTI, ID: id, Expires: began.Add(time.Duration(i) * time.Minute), Reason: "revoked", At: began})
			require.NoError(t, err)
		}
		require.NoError(t, tx.Keys.Insert(ctx, store.Key{ID: "kid", Use: store.UseToken, Status: store.KeyActive, Public: []byte{1}, Sealed: []byte{0, 255}, CreatedAt: began, ActivatedAt: began}))
		require.NoError(t, tx.Keys.Insert(ctx, store.Key{ID: "a next one", Use: store.UseToken, Status: store.KeyNext, Public: []byte{2}, Sealed: []byte{3}, CreatedAt: began, ActivateAt: began.Add(time.Hour)}))
		require.NoError(t, tx.Settings.Put(ctx, "feed.epoch", "epoch"))
		_, err := tx.Revocations.Append(ctx, idp.Revocation{Type: idp.RevokeOrganization, ID: "acme", Epoch: 9, Reason: "x", At: began})
		require.NoError(t, err)
		_, err = tx.StatusLists.Take(ctx, 100, began)
		require.NoError(t, err)
		gate, err := tx.Credentials.Gate(ctx, "client-agent-000")
		require.NoError(t, err)
		verdicts, err := tx.Admissions.Admit(ctx, []store.Admission{{
			ClientID: "client-agent-000", AgentID: "agent-000", KeyID: "kid", At: began, Gate: gate.Version(),
		}})
		require.NoError(t, err)
		require.Equal(t, []store.AdmissionResult{store.Admitted}, verdicts)
		_, err = tx.Revocations.Prune(ctx, began.Add(time.Hour), began)
		require.NoError(t, err)
	})
	appendEvents(t, s, random, events)
	prune(t, s, store.ClassFree, began)
}

// appendEvents appends events of every class over several months, and their tree.
func appendEvents(t *testing.T, s *sqlite.Store, random *rand.Rand, events int) {
	t.Helper()
	actions := []idp.Action{idp.ActionTokenIssued, idp.ActionTokenRefused, idp.ActionAgentCreated}
	var hashes []tlog.Hash
	for first := 0; first < events; first += 1000 {
		rows := make([]store.EventRow, min(1000, events-first))
		before := len(hashes)
		for i := range rows {
			n := first + i
			at := began.Add(time.Duration(n) * (100 * 24 * time.Hour / time.Duration(events))).Truncate(time.Millisecond)
			rows[i] = store.EventRow{
				Sequence: int64(n), ID: fmt.Sprintf("event-%08d", n), OrganizationID: organizations[random.IntN(3)], AgentID: fmt.Sprintf("agent-%03d", random.IntN(300)),
				Action: actions[random.IntN(3)], Outcome: idp.Success, Timestamp: at, Body: fmt.Appendf(nil, `{"n":%d}`, n),
			}
			if n%5 == 0 {
				rows[i].Body = fmt.Appendf(nil, `{"metadata":{"targetAgentId":"agent-%03d"},"n":%d}`, n%7, n)
			}
			made, err := tlog.StoredHashesForRecordHash(int64(n), tlog.RecordHash(rows[i].Body), tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
				found := make([]tlog.Hash, len(indexes))
				for j, index := range indexes {
					found[j] = hashes[index]
				}
				return found, nil
			}))
			require.NoError(t, err)
			hashes = append(hashes, made...)
		}
		raw := make([][32]byte, len(hashes)-before)
		for i := range raw {
			raw[i] = hashes[before+i]
		}
		require.NoError(t, s.Update(t.Context(), func(ctx context.Context, tx *store.Tx) error {
			require.NoError(t, tx.Events.Append(ctx, rows))
			require.NoError(t, tx.Tree.Append(ctx, int64(before), raw, int64(first+len(rows))))
			return tx.Tree.SaveCheckpoint(ctx, store.Checkpoint{Size: int64(first + len(rows)), Note: []byte{0, byte(first)}, CreatedAt: began})
		}))
	}
}

// prune takes a month of a class out of the log.
func prune(t *testing.T, s *sqlite.Store, class store.Class, month time.Time) {
	t.Helper()
	month = time.Date(month.Year(), month.Month(), 1, 0, 0, 0, 0, time.UTC)
	require.NoError(t, s.Update(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		sequences, err := tx.Retention.Sequences(ctx, class, month, 0, 1<<40)
		require.NoError(t, err)
		require.NotEmpty(t, sequences)
		bySegment := map[int64]*store.PrunedSegment{}
		for _, sequence := range sequences {
			segment := sequence >> store.SegmentBits
			if bySegment[segment] == nil {
				bySegment[segment] = &store.PrunedSegment{Segment: segment, Pruning: sha256.Sum256([]byte(class))}
			}
			at := sequence & (1<<store.SegmentBits - 1)
			bySegment[segment].Bitmap[at>>3] |= 1 << (at & 7)
		}
		for _, one := range bySegment {
			if err := tx.Retention.Record(ctx, []store.PrunedSegment{*one}); err != nil {
				return err
			}
		}
		return nil
	}))
	done, err := s.Drop(t.Context(), class, month)
	require.NoError(t, err)
	require.True(t, done)
}

// All that can be read through the store is the same on both sides, and the
// target goes on where the source stands.
func TestLoad(t *testing.T) {
	from := source(t)
	fill(t, from, 15_000)
	url := target(t)
	seen := map[string]int64{}
	require.NoError(t, load(t.Context(), from, postgres.LoadOptions{
		URL: url, Progress: func(table string, rows int64) { seen[table] = rows },
		Check: func(ctx context.Context, tx *store.Tx) error {
			size, err := tx.Tree.Size(ctx)
			require.Equal(t, int64(15_000), size)
			return err
		},
	}))
	require.Less(t, seen["events"], int64(15_000), "holes")
	require.Greater(t, seen["events"], int64(10_000))
	to, err := postgres.Open(t.Context(), postgres.Options{URL: url})
	require.NoError(t, err)
	defer to.Close()
	want, got := everything(t, from), everything(t, to)
	require.Equal(t, len(want), len(got))
	for i := range want {
		require.Equal(t, want[i], got[i], "reading %d", i)
	}
	for _, db := range []store.DB{from, to} {
		require.NoError(t, db.Update(t.Context(), func(ctx context.Context, tx *store.Tx) error {
			require.NoError(t, tx.Events.Append(ctx, []store.EventRow{{
				Sequence: 15_000, ID: "later", OrganizationID: "acme", Action: idp.ActionTokenIssued, Outcome: idp.Success, Timestamp: time.Now(), Body: []byte("{}"),
			}}))
			require.ErrorIs(t, tx.Savepoint(ctx, func(ctx context.Context) error {
				return tx.Assertions.Use(ctx, "client-agent-001", "jti", began)
			}), idp.ErrConflict)
			seq, err := tx.Revocations.Append(ctx, idp.Revocation{Type: idp.RevokeJTI, ID: "later", Expires: began, Reason: "revoked", At: began})
			require.Equal(t, int64(302), seq)
			first, failed := tx.StatusLists.Take(ctx, 1, began)
			require.Equal(t, int64(100), first)
			return errors.Join(err, failed)
		}))
	}
	require.ErrorContains(t, to.Update(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		return tx.Events.Append(ctx, []store.EventRow{{Sequence: 15_007, ID: "gap", OrganizationID: "acme", Action: idp.ActionTokenIssued, Outcome: idp.Success, Timestamp: time.Now(), Body: []byte("{}")}})
	}), "continue the log", "the guard is up again")
	require.Equal(t, int64(1), number(t, url, "SELECT count(*) FROM pg_trigger WHERE tgname = 'events_continue' AND tgenabled = 'O'"))
	require.ErrorIs(t, load(t.Context(), from, postgres.LoadOptions{URL: url}), postgres.ErrNotEmpty)
}
