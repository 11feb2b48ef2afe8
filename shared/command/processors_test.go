package command_test

import (
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/shared/command"
)

func TestASingleCoreHasASpareProcessor(t *testing.T) {
	was := runtime.GOMAXPROCS(0)
	t.Cleanup(func() { runtime.GOMAXPROCS(was) })
	for _, c := range []struct {
		cores int
		set   string
		want  int
	}{{1, "", 2}, {1, "1", 1}, {3, "", 3}} {
		runtime.GOMAXPROCS(c.cores)
		t.Setenv("GOMAXPROCS", c.set)
		command.SpareProcessor()
		require.Equal(t, c.want, runtime.GOMAXPROCS(0), "%+v", c)
	}
}
