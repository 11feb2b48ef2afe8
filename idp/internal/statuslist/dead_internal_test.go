package statuslist

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// An event that was tampered with must not end the process.
func TestANegativeIndexKillsNobody(t *testing.T) {
	d := dead{lists: map[int64]*deadList{}}
	d.kill(-1, 1)
	require.Empty(t, d.lists)
	d.kill(7, 1)
	require.Len(t, d.lists, 1)
}
