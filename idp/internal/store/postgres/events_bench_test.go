package postgres

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/store"
)

// BenchmarkAppend commits batches of events and their tree hashes; rows/s is durable rows.
func BenchmarkAppend(b *testing.B) {
	for _, size := range []int64{1, 64, 512} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			s := opened(b)
			random := rand.New(rand.NewPCG(1, 2))
			b.ResetTimer() // the server and the database are made by now
			for i := range int64(b.N) {
				rows := make([]store.EventRow, size)
				for j := range rows {
					rows[j] = benchEvent(random, i*size+int64(j))
				}
				require.NoError(b, s.Update(b.Context(), func(ctx context.Context, tx *store.Tx) error {
					before, err := tx.Tree.Size(ctx)
					if err != nil {
						return err
					}
					if err := tx.Events.Append(ctx, rows); err != nil {
						return err
					}
					first, after := tlog.StoredHashCount(before), tlog.StoredHashCount(before+size)
					return tx.Tree.Append(ctx, first, make([][32]byte, after-first), before+size)
				}))
			}
			b.ReportMetric(float64(size)*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
		})
	}
}

// BenchmarkBareInsert is the floor: the same rows into a table with nothing but a key, one statement a transaction.
func BenchmarkBareInsert(b *testing.B) {
	for _, size := range []int64{1, 64, 512} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			conn, err := pgx.Connect(b.Context(), fresh(b))
			require.NoError(b, err)
			defer conn.Close(context.Background())
			_, err = conn.Exec(b.Context(), `CREATE TABLE bare (sequence bigint PRIMARY KEY, at bigint, event_id text, organization_id text, agent_id text, action text, outcome text, body bytea)`)
			require.NoError(b, err)
			random := rand.New(rand.NewPCG(1, 2))
			b.ResetTimer()
			for i := range int64(b.N) {
				var sequences, times []int64
				var texts [5][]string
				var bodies [][]byte
				for j := range size {
					e := benchEvent(random, i*size+j)
					sequences, times, bodies = append(sequences, e.Sequence), append(times, e.Timestamp.UnixMilli()), append(bodies, e.Body)
					for k, text := range []string{e.ID, e.OrganizationID, e.AgentID, string(e.Action), string(e.Outcome)} {
						texts[k] = append(texts[k], text)
					}
				}
				_, err := conn.Exec(b.Context(), `INSERT INTO bare SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::bytea[])`,
					sequences, times, texts[0], texts[1], texts[2], texts[3], texts[4], bodies)
				require.NoError(b, err)
			}
			b.ReportMetric(float64(size)*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
		})
	}
}

var benchBody = []byte(`{"action":"token.issued","text":"` + strings.Repeat("x", 400) + `"}`)

func benchEvent(random *rand.Rand, sequence int64) store.EventRow {
	agent := random.IntN(5000)
	action := idp.ActionTokenIssued
	if random.IntN(10) < 4 {
		action = idp.ActionDecisionAllowed
	}
	return store.EventRow{
		Sequence: sequence, ID: uuid.Must(uuid.NewV7()).String(),
		OrganizationID: fmt.Sprintf("organization-%d", agent%100), AgentID: fmt.Sprintf("00000000-0000-4000-8000-%012d", agent),
		Action: action, Outcome: idp.Success, Timestamp: time.Now(), Body: benchBody,
	}
}
