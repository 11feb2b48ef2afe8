package main

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestDisturbancesTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := []disturbance{
			{"quick", 10 * time.Second, func(context.Context) error { return nil }},
			{"failing", 20 * time.Second, func(context.Context) error { return errors.New("no") }},
			{"endless", 50 * time.Second, func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }},
		}
		j := newJournal(all)
		ctx, cancel := context.WithTimeout(t.Context(), 61*time.Second)
		defer cancel()
		disturb(ctx, j, all)
		require.Equal(t, map[string]int{"quick": 6}, j.done, "at 2.5 s and every 10 s after")
		require.Equal(t, []string{"failing", "endless"}, j.undone())
		require.Equal(t, 3, j.failed, "what the end cut off has not failed")
		require.Equal(t, "failing at 10s for 0s: no", j.failure)
	})
}

func TestUntil(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		after := func(d time.Duration) func(context.Context) (bool, error) {
			return func(context.Context) (bool, error) { return time.Since(begin) >= d, nil }
		}
		took, err := until(t.Context(), "it holds", time.Second, 10*time.Millisecond, after(100*time.Millisecond))
		require.NoError(t, err)
		require.Equal(t, 100*time.Millisecond, took)
		_, err = until(t.Context(), "it holds", time.Second, 10*time.Millisecond, after(time.Hour))
		require.EqualError(t, err, "it holds: not within 1s")
		_, err = until(t.Context(), "it holds", time.Second, 10*time.Millisecond, func(context.Context) (bool, error) {
			return true, errors.New("unreachable")
		})
		require.EqualError(t, err, "unreachable")
		slow := func(yes bool) func(context.Context) (bool, error) {
			return func(context.Context) (bool, error) { time.Sleep(2 * time.Second); return yes, nil }
		}
		took, err = until(t.Context(), "it holds", time.Second, 10*time.Millisecond, slow(true))
		require.NoError(t, err, "it was asked in time")
		require.Zero(t, took)
		_, err = until(t.Context(), "it holds", time.Second, 10*time.Millisecond, slow(false))
		require.ErrorContains(t, err, "not within")
	})
}
