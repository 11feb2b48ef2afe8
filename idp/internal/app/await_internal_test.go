package app

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/shared/obs/obstest"
)

func TestAStartWaitsWithBoundedPatience(t *testing.T) {
	away, wrong := errors.New("away"), errors.New("wrong")
	something := dependency{name: "something", reason: "something_unreachable", heals: func(err error) bool { return errors.Is(err, away) }}
	// after is an attempt that fails with first until the time has passed, then with last.
	after := func(d time.Duration, first, last error) func() error {
		began := time.Now()
		return func() error {
			if time.Since(began) < d {
				return first
			}
			return last
		}
	}
	for name, fact := range map[string]struct {
		patience, away time.Duration
		last           error
		ended          time.Duration
		err            string
		told           int // lines of the log
	}{
		"there at once":                    {startPatience, 0, nil, 0, "", 0},
		"there in time":                    {startPatience, 12 * time.Second, nil, 12 * time.Second, "", 3},
		"there at the last moment":         {startPatience, startPatience, nil, startPatience, "", 6},
		"too late":                         {startPatience, time.Hour, nil, startPatience, "something did not answer for 30s: away", 6},
		"wrong from the start":             {startPatience, 0, wrong, 0, "wrong", 0},
		"wrong as soon as it can be asked": {startPatience, 12 * time.Second, wrong, 12 * time.Second, "wrong", 3},
		"no patience":                      {0, time.Hour, nil, 0, "away", 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log obstest.Output
				began := time.Now()
				err := something.await(t.Context(), fact.patience, slog.New(slog.NewJSONHandler(&log, nil)), after(fact.away, away, fact.last))
				require.Equal(t, fact.ended, time.Since(began))
				if fact.err == "" {
					require.NoError(t, err)
				} else {
					require.EqualError(t, err, fact.err)
				}
				require.Equal(t, fact.told, strings.Count(log.String(), `"reason":"something_unreachable","error":"away"`), log.String())
			})
		})
	}
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 700*time.Millisecond)
		defer cancel()
		began := time.Now()
		require.ErrorIs(t, something.await(ctx, startPatience, slog.New(slog.DiscardHandler), func() error { return away }), away)
		require.Equal(t, 700*time.Millisecond, time.Since(began), "who is told to stop does")
	})
}
