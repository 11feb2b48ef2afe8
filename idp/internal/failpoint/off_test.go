//go:build !faultinject

package failpoint_test

import (
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp/internal/failpoint"
)

func TestNothingIsArmed(t *testing.T) {
	t.Setenv("AGENTIDP_FAULT", "store-commit=panic")
	t.Setenv("AGENTIDP_FAULT_CLOCK", "+10m")
	failpoint.Hit(failpoint.StoreCommit)
	require.ErrorIs(t, failpoint.Error(failpoint.StoreCommit, os.ErrClosed), os.ErrClosed)
	noon := time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)
	require.Equal(t, noon, failpoint.Clock(func() time.Time { return noon })())
}

// The tests of the other half need the tag, which nobody gives by hand.
func TestWithTag(t *testing.T) {
	output, err := exec.Command("go", "test", "-tags=faultinject", "-run=Armed|Clock", ".").CombinedOutput()
	require.NoError(t, err, string(output))
	require.Contains(t, string(output), "ok")
}
