package httpapi

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestAnExportThatFindsNothingGoesOnByteByByte(t *testing.T) {
	var p pulse
	at := time.Unix(0, 0)
	later := func() time.Time { at = at.Add(pulseEvery); return at }
	const header, row = "eventId,sequence\r\n", "e1,1\r\n"

	got := p.give([]byte(header), at)
	require.Equal(t, "e", string(got), "the client hears at once")
	require.Empty(t, p.give(nil, at.Add(pulseEvery-1)))
	require.Equal(t, "v", string(p.give(nil, later())))
	require.Empty(t, p.give(nil, at.Add(pulseEvery-1)), "one byte for each beat")
	require.Equal(t, "e", string(p.give(nil, later())))
	require.Equal(t, "n", string(p.give([]byte(row), later())))
	require.Equal(t, strings.TrimPrefix(header, "even")+row, string(p.end()), "nothing is lost, and nothing comes twice")
	require.Empty(t, p.end())
	require.Empty(t, p.give(nil, later()), "there is nothing left to give")

	p = pulse{}
	long := strings.Repeat("x", 10*pulseHeld)
	require.Len(t, p.give([]byte(long), at), len(long)-pulseHeld)
	require.Len(t, p.end(), pulseHeld)
}
