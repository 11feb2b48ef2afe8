package policy

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestHolder(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	h, err := NewHolder(t.Context(), authz(answer(true, "first")), Options{Timeout: patient, Now: func() time.Time { return now }})
	require.NoError(t, err)
	decides := func(allow bool, reason string) {
		t.Helper()
		d, err := h.Decide(t.Context(), sample())
		require.NoError(t, err)
		require.Equal(t, Decision{Allow: allow, Reason: reason, Revision: h.Revision()}, d)
	}
	first := h.Revision()
	decides(true, "first")
	require.Equal(t, Status{Revision: first, Epoch: 1, LoadedAt: now}, h.Status())

	now = now.Add(time.Minute)
	for i, broken := range []string{
		"decision := ",
		"decision := http.send({})",
		answer(false, "second") + "\ntest_fails if decision.allow\n",
	} {
		err := h.Reload(t.Context(), authz(broken))
		require.Error(t, err)
		decides(true, "first")
		require.Equal(t, Status{Revision: first, Epoch: 1, LoadedAt: now.Add(-time.Minute), Failures: uint64(i + 1), LastError: err, LastErrorAt: now}, h.Status())
	}

	require.NoError(t, h.Reload(t.Context(), authz(answer(false, "second"))))
	decides(false, "second")
	require.NotEqual(t, first, h.Revision())
	require.Equal(t, uint64(2), h.Epoch())
	require.Equal(t, Status{Revision: h.Revision(), Epoch: 2, LoadedAt: now, Failures: 3}, h.Status())
	engine, epoch := h.Current()
	require.Equal(t, h.Revision(), engine.Revision())
	require.Equal(t, h.Epoch(), epoch)

	_, err = NewHolder(t.Context(), authz("decision := "), Options{})
	require.Error(t, err)
}

func TestReloadUnderLoad(t *testing.T) {
	policies := []string{answer(true, "one"), answer(false, "two"), "decision := "}
	h, err := NewHolder(t.Context(), authz(policies[0]), Options{Timeout: patient})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			var last uint64
			for ctx.Err() == nil {
				engine, epoch := h.Current()
				require.GreaterOrEqual(t, epoch, last)
				last = epoch
				d, err := engine.Decide(t.Context(), sample())
				require.NoError(t, err)
				require.Equal(t, d.Allow, d.Reason == "one")
				require.GreaterOrEqual(t, h.Status().Epoch, epoch)
			}
		})
	}
	for i := range 30 {
		err := h.Reload(t.Context(), authz(policies[i%3]))
		require.Equal(t, i%3 == 2, err != nil)
	}
	cancel()
	group.Wait()
	require.Equal(t, uint64(21), h.Epoch())
	require.Equal(t, uint64(10), h.Status().Failures)
}
