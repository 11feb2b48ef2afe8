package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTheFilesAreWhatTheProgramWrites(t *testing.T) {
	folder := t.TempDir()
	require.NoError(t, write(folder))
	written, err := filepath.Glob(filepath.Join(folder, "*.json"))
	require.NoError(t, err)
	kept, err := filepath.Glob("dashboards/*.json")
	require.NoError(t, err)
	require.Len(t, kept, len(written))
	for _, path := range written {
		want, err := os.ReadFile(path)
		require.NoError(t, err)
		got, err := os.ReadFile(filepath.Join("dashboards", filepath.Base(path)))
		require.NoError(t, err)
		require.Equal(t, string(want), string(got), "go generate ./deploy/monitoring/grafana writes %s", filepath.Base(path))
	}
	require.Error(t, write(filepath.Join(folder, "none")))
}

func TestPanelsExplainThemselves(t *testing.T) {
	for _, d := range dashboards() {
		titles := map[string]bool{}
		for _, p := range append(append([]panel{}, d.Stats...), d.Graphs...) {
			require.False(t, titles[p.Title], "%s: %s twice", d.UID, p.Title)
			titles[p.Title] = true
			require.NotEmpty(t, p.Description, p.Title)
			require.NotEmpty(t, p.Unit, p.Title)
			require.NotEmpty(t, p.Queries, p.Title)
		}
		for _, p := range d.Graphs {
			for _, query := range p.Queries {
				require.NotEmpty(t, query.Legend, p.Title)
			}
		}
	}
}
