//go:build faultinject

package failpoint_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp/internal/failpoint"
)

func TestArmedByVariable(t *testing.T) {
	t.Setenv("AGENTIDP_FAULT", "store-commit=error,count=2")
	require.NoError(t, failpoint.Error(failpoint.StoreCommitted, nil), "another point")
	require.NoError(t, failpoint.Error(failpoint.StoreCommit, nil), "the first hit")
	require.ErrorContains(t, failpoint.Error(failpoint.StoreCommit, nil), "injected by AGENTIDP_FAULT at store-commit")
	require.ErrorIs(t, failpoint.Error(failpoint.StoreCommit, os.ErrClosed), os.ErrClosed, "the third hit")
	t.Setenv("AGENTIDP_FAULT", "store-commit=panic")
	require.Panics(t, func() { failpoint.Hit(failpoint.StoreCommit) })
	t.Setenv("AGENTIDP_FAULT", "store-commit=sleep:20ms")
	for range 2 {
		begun := time.Now()
		failpoint.Hit(failpoint.StoreCommit)
		require.GreaterOrEqual(t, time.Since(begun), 20*time.Millisecond)
	}
	for _, wrong := range []string{"store-commit=odd", "store-commit=sleep:x", "store-commit=kill,count=x"} {
		t.Setenv("AGENTIDP_FAULT", wrong)
		require.Panics(t, func() { failpoint.Hit(failpoint.StoreCommit) }, wrong)
	}
}

func TestArmedByFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "armed")
	t.Setenv("AGENTIDP_FAULT", "@"+file)
	require.NoError(t, failpoint.Error(failpoint.StoreCommit, nil), "no file yet")
	for range 2 {
		require.NoError(t, os.WriteFile(file, []byte("store-commit=error\n"), 0o600))
		require.Error(t, failpoint.Error(failpoint.StoreCommit, nil))
		require.NoError(t, os.WriteFile(file, nil, 0o600))
		require.NoError(t, failpoint.Error(failpoint.StoreCommit, nil))
	}
}

func TestArmedToKill(t *testing.T) {
	if os.Getenv("AGENTIDP_FAULT") == "store-commit=kill" {
		failpoint.Hit(failpoint.StoreCommit)
		return
	}
	child := exec.Command(os.Args[0], "-test.run=^TestArmedToKill$")
	child.Env = append(os.Environ(), "AGENTIDP_FAULT=store-commit=kill")
	var ended *exec.ExitError
	require.True(t, errors.As(child.Run(), &ended))
	require.Equal(t, syscall.SIGKILL, ended.Sys().(syscall.WaitStatus).Signal())
}

func TestClock(t *testing.T) {
	noon := time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)
	now := func() time.Time { return noon }
	require.Equal(t, noon, failpoint.Clock(now)())
	for offset, want := range map[string]time.Duration{"+10m": 10 * time.Minute, "-30s": -30 * time.Second} {
		t.Setenv("AGENTIDP_FAULT_CLOCK", offset)
		require.Equal(t, noon.Add(want), failpoint.Clock(now)())
	}
	file := filepath.Join(t.TempDir(), "clock")
	t.Setenv("AGENTIDP_FAULT_CLOCK", file)
	stepped := failpoint.Clock(now)
	require.Equal(t, noon, stepped())
	require.NoError(t, os.WriteFile(file, []byte("-1h\n"), 0o600))
	require.Equal(t, noon.Add(-time.Hour), stepped())
}
