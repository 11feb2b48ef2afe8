package httpapi

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPlacesOfExports(t *testing.T) {
	var e exports
	tenants := []string{"a", "b", "c", "d"}
	for _, tenant := range tenants {
		require.True(t, e.enter(tenant))
		require.True(t, e.enter(tenant))
		require.False(t, e.enter(tenant), "one organization has two")
	}
	require.Equal(t, maxExports, e.open())
	require.False(t, e.enter("e"), "all are taken")
	e.leave("a")
	require.True(t, e.enter("e"))
	e.leave("e")
	require.True(t, e.enter("a"))
	for _, tenant := range tenants {
		e.leave(tenant)
		e.leave(tenant)
	}
	require.Zero(t, e.open())
	require.Empty(t, e.of, "nothing is kept of who has none")
}
