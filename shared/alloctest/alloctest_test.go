package alloctest_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/shared/alloctest"
)

// failing keeps what a test would have failed with.
type failing struct {
	testing.TB

	with string
}

func (f *failing) Helper() {}

func (f *failing) Fatalf(format string, args ...any) { f.with = fmt.Sprintf(format, args...) }

var sink []byte

func TestZero(t *testing.T) {
	f := &failing{TB: t}
	alloctest.Zero(f, func() {}, "nothing")
	require.Empty(t, f.with)
	calls := 0
	alloctest.Zero(f, func() {
		if calls++; calls < 2500 { // as if others did
			sink = make([]byte, 1000)
		}
	})
	require.Empty(t, f.with)
	alloctest.Zero(f, func() { sink = make([]byte, 1000) }, "the path")
	require.Equal(t, "allocates 1 times at best: [the path]", f.with)
}
