package httpapi_test

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"math/big"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/store"
)

// covered waits until a checkpoint covers every event, and returns its size.
func (w *world) covered() int64 {
	w.t.Helper()
	newest := w.call(w.vars["admin.token"], http.MethodGet, "/api/v1/audit?limit=1", "")
	require.Equal(w.t, http.StatusOK, newest.status)
	sequence, _ := lookup(newest.json(), "data.0.sequence")
	var size int64
	require.Eventually(w.t, func() bool {
		checkpoint := w.call(w.vars["admin.token"], http.MethodGet, "/api/v1/audit/checkpoint", "")
		if checkpoint.status != http.StatusOK {
			return false
		}
		var err error
		size, err = strconv.ParseInt(strings.Split(string(checkpoint.body), "\n")[1], 10, 64)
		require.NoError(w.t, err)
		return size > int64(sequence.(float64))
	}, time.Minute, 5*time.Millisecond)
	return size
}

// fill appends events until a checkpoint covers exactly size.
func (w *world) fill(size int64) {
	w.t.Helper()
	const batch = 128
	for have := w.covered(); have < size; have = w.covered() {
		events := make([]idp.Event, min(batch, size-have))
		for i := range events {
			events[i] = idp.Event{OrganizationID: idp.OperatorOrganization, Action: idp.ActionAgentUpdated, Outcome: idp.Success, Metadata: map[string]any{"n": i}}
		}
		require.NoError(w.t, w.api.Log.Append(w.t.Context(), events...))
	}
}

// graft makes the tree grow to size without events, as if retention had dropped
// these; nothing can be appended any more. It waits for the checkpoint.
func (w *world) graft(size int64) {
	w.t.Helper()
	var hashes []tlog.Hash
	reader := tlog.HashReaderFunc(func(indexes []int64) (out []tlog.Hash, _ error) {
		for _, i := range indexes {
			out = append(out, hashes[i])
		}
		return out, nil
	})
	require.NoError(w.t, w.db.Update(w.t.Context(), func(ctx context.Context, tx *store.Tx) error {
		have, err := tx.Tree.Size(ctx)
		if err != nil {
			return err
		}
		first := tlog.StoredHashCount(have)
		indexes := make([]int64, first)
		for i := range indexes {
			indexes[i] = int64(i)
		}
		stored, err := tx.Tree.Hashes(ctx, indexes)
		if err != nil {
			return err
		}
		hashes = nil
		for _, h := range stored {
			hashes = append(hashes, h)
		}
		for i := have; i < size; i++ {
			more, err := tlog.StoredHashes(i, fmt.Appendf(nil, "leaf %d", i), reader)
			if err != nil {
				return err
			}
			hashes = append(hashes, more...)
		}
		var fresh [][32]byte
		for _, h := range hashes[first:] {
			fresh = append(fresh, h)
		}
		return tx.Tree.Append(ctx, first, fresh, size)
	}))
	require.Eventually(w.t, func() bool {
		return strings.Contains(string(w.call(w.vars["admin.token"], http.MethodGet, "/api/v1/audit/checkpoint", "").body), fmt.Sprintf("\n%d\n", size))
	}, time.Minute, 5*time.Millisecond)
}

// monitor is a client of the log that shares no code with it: golang.org/x/mod
// computes every hash.
type monitor struct {
	w        *world
	token    string
	tree     tlog.Tree
	requests int
}

// watch fetches and opens the checkpoint.
func (w *world) watch(token string) *monitor {
	w.t.Helper()
	keys := w.call(w.vars["admin.token"], http.MethodGet, "/api/v1/keys", "")
	require.Equal(w.t, http.StatusOK, keys.status)
	verifier, err := note.NewVerifier(keys.text("verifierKey"))
	require.NoError(w.t, err)
	checkpoint := w.call(token, http.MethodGet, "/api/v1/audit/checkpoint", "")
	require.Equal(w.t, http.StatusOK, checkpoint.status)
	opened, err := note.Open(checkpoint.body, note.VerifierList(verifier))
	require.NoError(w.t, err)
	lines := strings.Split(opened.Text, "\n")
	m := &monitor{w: w, token: token}
	m.tree.N, err = strconv.ParseInt(lines[1], 10, 64)
	require.NoError(w.t, err)
	m.tree.Hash, err = tlog.ParseHash(lines[2])
	require.NoError(w.t, err)
	return m
}

func (m *monitor) Height() int { return 8 }

func (m *monitor) SaveTiles([]tlog.Tile, [][]byte) {}

// path is the tile's as C2SP has it: without the height.
func path(t tlog.Tile) string {
	return "/api/v1/audit/" + strings.Replace(t.Path(), "tile/8/", "tile/", 1)
}

// ReadTiles implements tlog.TileReader.
func (m *monitor) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	data := make([][]byte, len(tiles))
	for i, t := range tiles {
		m.requests++
		a := m.w.call(m.token, http.MethodGet, path(t), "")
		if a.status != http.StatusOK {
			return nil, fmt.Errorf("%s: %d %s", t.Path(), a.status, a.body)
		}
		cache := "no-store"
		if t.W == 256 {
			cache = "private, max-age=31536000, immutable"
		}
		require.Equal(m.w.t, cache, a.header.Get("Cache-Control"), t.Path())
		data[i] = a.body
	}
	return data, nil
}

// entry fetches an event from its bundle.
func (m *monitor) entry(index int64) []byte {
	m.w.t.Helper()
	t := tlog.TileForIndex(8, tlog.StoredHashIndex(0, index))
	t.W = int(min(256, m.tree.N-t.N<<8))
	a := m.w.call(m.token, http.MethodGet, strings.Replace(path(t), "/0/", "/entries/", 1), "")
	require.Equal(m.w.t, http.StatusOK, a.status, string(a.body))
	var entries [][]byte
	for rest := a.body; len(rest) > 0; {
		size := binary.BigEndian.Uint16(rest)
		entries, rest = append(entries, rest[2:2+size]), rest[2+size:]
	}
	require.Len(m.w.t, entries, t.W)
	return entries[index&255]
}

// audit proves the whole tree and some leaves of it, below events their events.
func (m *monitor) audit(events int64) {
	t := m.w.t
	t.Helper()
	reader := tlog.TileHashReader(m.tree, m)
	root, err := tlog.TreeHash(m.tree.N, reader)
	require.NoError(t, err)
	require.Equal(t, m.tree.Hash, root)
	indexes := []int64{0, m.tree.N / 2, m.tree.N - 1}
	for range 3 {
		n, err := rand.Int(rand.Reader, big.NewInt(m.tree.N))
		require.NoError(t, err)
		indexes = append(indexes, n.Int64())
	}
	for _, index := range indexes {
		proof, err := tlog.ProveRecord(m.tree.N, index, reader)
		require.NoError(t, err)
		leaf := tlog.RecordHash(fmt.Appendf(nil, "leaf %d", index))
		if index < events {
			leaf = tlog.RecordHash(m.entry(index))
		}
		require.NoError(t, tlog.CheckRecord(proof, m.tree.N, m.tree.Hash, index, leaf), index)
		leaf[0] ^= 1
		require.Error(t, tlog.CheckRecord(proof, m.tree.N, m.tree.Hash, index, leaf), "a changed event has no proof")
	}
}

// leaves recomputes the root from every hash of level 0, and each of these from
// its event.
func (m *monitor) leaves(events int64) {
	t := m.w.t
	t.Helper()
	var leaves []tlog.Hash
	for n := int64(0); n < m.tree.N; n += 256 {
		data, err := m.ReadTiles([]tlog.Tile{{H: 8, N: n >> 8, W: int(min(256, m.tree.N-n))}})
		require.NoError(t, err)
		for i := 0; i < len(data[0]); i += tlog.HashSize {
			leaves = append(leaves, tlog.Hash(data[0][i:i+tlog.HashSize]))
		}
	}
	require.Len(t, leaves, int(m.tree.N))
	require.Equal(t, m.tree.Hash, rootOf(leaves))
	for index := int64(0); index < events; index += 37 {
		require.Equal(t, leaves[index], tlog.RecordHash(m.entry(index)))
	}
}

// rootOf is RFC 6962 section 2.1, as it is written there.
func rootOf(leaves []tlog.Hash) tlog.Hash {
	if len(leaves) == 1 {
		return leaves[0]
	}
	k := 1
	for 2*k < len(leaves) {
		k *= 2
	}
	return tlog.NodeHash(rootOf(leaves[:k]), rootOf(leaves[k:]))
}

// A monitor with the verifier key, the checkpoint and the tiles needs nothing else.
func TestAMonitorProvesTheLogFromTiles(t *testing.T) {
	for backend := range stores {
		t.Run(backend, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, setting{backend: backend})
			w.vars["admin.token"] = w.token("admin", w.set.issuer)
			var before *monitor
			const most = 513
			sizes := []int64{20, 255, 256, 257, most}
			if backend == "sqlite" { // a third level of tiles; that stores agree on hashes is storetest's
				sizes = append(sizes, 65536+257)
			}
			for _, size := range sizes {
				events := size
				if size > most {
					events = most
					w.graft(size)
				} else {
					w.fill(size)
				}
				m := w.watch(w.vars["admin.token"])
				require.Equal(t, size, m.tree.N)
				m.audit(events)
				if size <= most {
					m.leaves(events)
				}
				if before != nil {
					// The checkpoint before is a prefix, and its tiles are still there.
					proof, err := tlog.ProveTree(m.tree.N, before.tree.N, tlog.TileHashReader(m.tree, m))
					require.NoError(t, err)
					require.NoError(t, tlog.CheckTree(proof, m.tree.N, m.tree.Hash, before.tree.N, before.tree.Hash))
					before.audit(min(before.tree.N, most))
				}
				before = m
				last := w.call(m.token, http.MethodGet, fmt.Sprintf("/api/v1/audit/tile/0/%03d", size>>8), "")
				require.Equal(t, http.StatusNotFound, last.status, "%d: the last tile is not full", size)
			}
		})
	}
}
