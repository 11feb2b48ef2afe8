package clientauth

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// A panic is the caller's, whose server answers 500: on the hash's own thread it
// would end the program. Where it happened is told, and the thread goes on.
func TestGentlyPanics(t *testing.T) {
	var cause any
	panicking := func() {
		defer func() { cause = recover() }()
		gently(func() { panic("a broken hash") })
	}
	for range 3 {
		cause = nil
		panicking()
		require.Contains(t, cause, "a broken hash")
		require.Contains(t, cause, "clientauth.TestGentlyPanics")
	}
	done := false
	gently(func() { done = true })
	require.True(t, done)
}
