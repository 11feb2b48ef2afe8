package statuslist

import (
	"bytes"
	"compress/zlib"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/auditlog"
	"github.com/sentryagent/agentidp/idp/internal/store"
	"github.com/sentryagent/agentidp/idp/internal/store/postgres"
	"github.com/sentryagent/agentidp/idp/internal/store/postgres/pgtest"
	"github.com/sentryagent/agentidp/idp/internal/store/sqlite"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// stores makes a fresh store of each backend.
var stores = map[string]func(t *testing.T) store.DB{
	"sqlite": func(t *testing.T) store.DB {
		db, err := sqlite.OpenMemory(t.Context())
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, db.Close()) })
		return db
	},
	"postgres": func(t *testing.T) store.DB {
		url := pgtest.Migrated(t, func(ctx context.Context, url string) error { return postgres.Migrate(ctx, url, func(string) {}) })
		db, err := postgres.Open(t.Context(), postgres.Options{URL: url, MaxConns: 4, Patience: 20})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, db.Close()) })
		return db
	},
}

// switchedDB is a store that can be taken away.
type switchedDB struct {
	store.DB
	off  atomic.Bool
	work atomic.Int64 // transactions begun
}

var errOff = errors.Join(store.ErrUnavailable, errors.New("switched off"))

func (d *switchedDB) Update(ctx context.Context, fn func(context.Context, *store.Tx) error) error {
	d.work.Add(1)
	if d.off.Load() {
		return errOff
	}
	return d.DB.Update(ctx, fn)
}

func (d *switchedDB) View(ctx context.Context, fn func(context.Context, *store.Tx) error) error {
	d.work.Add(1)
	if d.off.Load() {
		return errOff
	}
	return d.DB.View(ctx, fn)
}

func (d *switchedDB) Read(ctx context.Context, fn func(context.Context, *store.Tx) error) error {
	return d.View(ctx, fn)
}

// world is a store in which tokens were issued and revoked, with its own clock.
type world struct {
	t      *testing.T
	db     *switchedDB
	signer *signer
	clock  atomic.Int64 // seconds past noon
	next   int64        // sequence of the log
	lists  *Lists
}

var noon = time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)

func newWorld(t *testing.T, db store.DB) *world {
	w := &world{t: t, db: &switchedDB{DB: db}, signer: &signer{kid: "k1"}}
	w.lists = w.replica()
	return w
}

func (w *world) now() time.Time       { return noon.Add(time.Duration(w.clock.Load()) * time.Second) }
func (w *world) pass(d time.Duration) { w.clock.Add(int64(d / time.Second)) }

// replica knows nothing yet, as after a start.
func (w *world) replica() *Lists {
	return New(Options{DB: w.db, Signer: w.signer, Issuer: "https://idp.test/", Every: time.Nanosecond, Now: w.now, Logger: slog.New(slog.DiscardHandler)})
}

// follow follows until the test ends.
func (w *world) follow(l *Lists) {
	ctx, cancel := context.WithCancel(context.Background())
	var following sync.WaitGroup
	following.Go(func() { l.Follow(ctx) })
	w.t.Cleanup(func() {
		cancel()
		following.Wait()
	})
}

func (w *world) take(n int) (first int64) {
	w.t.Helper()
	require.NoError(w.t, w.db.DB.Update(w.t.Context(), func(ctx context.Context, tx *store.Tx) (err error) {
		first, err = tx.StatusLists.Take(ctx, n, w.now())
		return err
	}))
	return first
}

// issued is a token in the log.
type issued struct {
	organization, agent, client, kid, jti string
	rev                                   [3]int64
	index                                 int64
}

// issue writes events of tokens that live for an hour.
func (w *world) issue(tokens ...issued) {
	w.t.Helper()
	var rows []store.EventRow
	for _, i := range tokens {
		e := idp.Event{
			ID: fmt.Sprintf("e%d", w.next), Sequence: w.next, OrganizationID: i.organization, AgentID: i.agent, Action: idp.ActionTokenIssued, Outcome: idp.Success,
			Timestamp: w.now(), Metadata: map[string]any{
				"jti": i.jti, "kid": i.kid, "clientId": i.client, "exp": w.now().Add(time.Hour).Unix(),
				"rev": []any{i.rev[0], i.rev[1], i.rev[2]}, "statusIndex": i.index,
			},
		}
		if i.index < 0 { // of a release before status lists
			delete(e.Metadata, "statusIndex")
			delete(e.Metadata, "rev")
		}
		rows = append(rows, w.row(&e))
	}
	require.NoError(w.t, w.db.DB.Update(w.t.Context(), func(ctx context.Context, tx *store.Tx) error { return tx.Events.Append(ctx, rows) }))
}

func (w *world) row(e *idp.Event) store.EventRow {
	w.t.Helper()
	body, err := auditlog.Encode(e)
	require.NoError(w.t, err)
	w.next++
	return store.EventRow{
		Sequence: e.Sequence, ID: e.ID, OrganizationID: e.OrganizationID, AgentID: e.AgentID, Action: e.Action, Outcome: e.Outcome,
		Timestamp: e.Timestamp, Body: body,
	}
}

func (w *world) revoke(entries ...idp.Revocation) {
	w.t.Helper()
	require.NoError(w.t, w.db.DB.Update(w.t.Context(), func(ctx context.Context, tx *store.Tx) error {
		for _, entry := range entries {
			entry.Reason, entry.At = "test", w.now()
			if entry.Type == idp.RevokeJTI {
				entry.Expires = w.now().Add(time.Hour)
			}
			if _, err := tx.Revocations.Append(ctx, entry); err != nil {
				return err
			}
		}
		return nil
	}))
}

// dead lists the indexes that are INVALID in a list.
func (w *world) dead(l *Lists, id int64) []int64 {
	w.t.Helper()
	document, err := l.List(w.t.Context(), id)
	require.NoError(w.t, err)
	return indexesOf(w.t, w.claims(document).List.List)
}

func (w *world) claims(d Document) (c claims) {
	w.t.Helper()
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(string(d.Body), ".")[1])
	require.NoError(w.t, err)
	require.NoError(w.t, json.Unmarshal(payload, &c))
	return c
}

func indexesOf(t *testing.T, lst string) (indexes []int64) {
	t.Helper()
	bits := decode(t, lst)
	require.Len(t, bits, listBytes)
	for index := range int64(store.StatusListSize) {
		if bits[index/8]>>(index%8)&1 == 1 {
			indexes = append(indexes, index)
		}
	}
	return indexes
}

// decode is what a relying party does with lst.
func decode(t *testing.T, lst string) []byte {
	t.Helper()
	packed, err := base64.RawURLEncoding.DecodeString(lst)
	require.NoError(t, err)
	reader, err := zlib.NewReader(bytes.NewReader(packed))
	require.NoError(t, err)
	bits, err := io.ReadAll(reader)
	require.NoError(t, err)
	return bits
}

// signer counts; what it makes has the shape of a JWS.
type signer struct {
	mu    sync.Mutex
	kid   string
	err   error
	count int
}

func (s *signer) Sign(_ context.Context, typ string, payload []byte) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.count++
	return typ + "." + base64.RawURLEncoding.EncodeToString(payload) + "." + s.kid, s.err
}

func (s *signer) ActiveKID() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.kid
}

func (s *signer) change(kid string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kid, s.err = kid, err
}

func (s *signer) signed() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.count
}
