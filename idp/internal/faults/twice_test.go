package faults

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// F19: a second IdP on one SQLite file refuses to run, and the first goes on.
func TestF19TwoOnOneFile(t *testing.T) {
	s := onSQLite(t)
	tr := newTrial(t, plain, s)
	tr.process.Start()
	load := tr.load()
	tr.flowing(10)
	for range pick(3, 20) {
		second := newProcess(t, plain, s)
		second.Launch()
		require.Equal(t, 1, second.Wait(), string(second.Log()))
		require.Contains(t, string(second.Log()), "database is in use")
		tr.flowing(5)
		tr.figures.runs++
	}
	load.stop()
	require.Empty(t, tr.wrong())
	figures := tr.close()
	figures.extra = "forks=" + itoa(figures.forks) + " second=refused"
	report(t, "F19", figures)
	require.Zero(t, figures.forks)
}
