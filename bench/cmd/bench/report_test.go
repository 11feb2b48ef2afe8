package main

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestTheReportKeepsWhatStandsAroundIt(t *testing.T) {
	bare := []sample{{rate: 100, cpu: 10 * time.Microsecond}, {rate: 300, cpu: 10 * time.Microsecond}, {rate: 200, cpu: 10 * time.Microsecond}}
	ours := []sample{{rate: 90, cpu: 12 * time.Microsecond}, {rate: 150, cpu: 11 * time.Microsecond}, {rate: 160, cpu: 13 * time.Microsecond}}
	r := &report{rounds: 3, slice: time.Second}
	r.add(row{way: "bare proxy", connections: 8, samples: bare, direct: bare, bare: bare})
	r.add(row{way: "sidecar", connections: 8, samples: ours, direct: bare, bare: r.samples("bare proxy", 8)})
	require.Contains(t, r.markdown(), "| 8 | sidecar | 150 | 0.80 | 0.80 | 0 | 0 | +0 | 12.0 | 1.20 | 0.0 | 0 |")
	require.Empty(t, r.samples("sidecar", 1))

	path := filepath.Join(t.TempDir(), "sidecar.md")
	require.NoError(t, r.save(path))
	first, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, append([]byte("# Mine\n"), append(first, "notes\n"...)...), 0o600))
	r.rows = r.rows[:1]
	require.NoError(t, r.save(path))
	second, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Contains(t, string(second), "# Mine\n")
	require.Contains(t, string(second), "notes\n")
	require.Contains(t, string(second), "| bare proxy |")
	require.NotContains(t, string(second), "| sidecar |")
}
