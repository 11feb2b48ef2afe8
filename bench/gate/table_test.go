package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTable(t *testing.T) {
	rows := []row{{"shared/token", "BenchmarkVerify", 7, 900}, {"sidecar/internal/decide", "BenchmarkDecide/hit", 0, 0}}
	again, err := parseTable(formatTable(rows))
	require.NoError(t, err)
	require.Equal(t, rows, again)
	for _, broken := range []string{"", "# only words\n", "p BenchmarkX 1\n", "p BenchmarkX one 2\n", "p BenchmarkX 1 2 3\n", "p BenchmarkX 1 two\n"} {
		_, err := parseTable(broken)
		require.Error(t, err, broken)
	}
}

func TestTheBestRunCounts(t *testing.T) {
	best := parseOutput(`goos: linux
BenchmarkMint     300   1234567 ns/op   2048 B/op   12 allocs/op
BenchmarkMint     300   1234567 ns/op   2000 B/op   13 allocs/op
BenchmarkAppend   300   900 ns/op   12.5 cpu-ns/op   0 B/op   0 allocs/op
BenchmarkTimed    300   900 ns/op
PASS
`)
	require.Equal(t, map[string]row{"BenchmarkMint": {name: "BenchmarkMint", allocs: 12, bytes: 2000}, "BenchmarkAppend": {name: "BenchmarkAppend"}}, best)
}

func TestWhatGrewFails(t *testing.T) {
	for _, c := range []struct {
		was, now row
		bad      bool
	}{
		{row{}, row{}, false},
		{row{}, row{allocs: 1}, true},
		{row{}, row{bytes: 16}, false},
		{row{}, row{bytes: 17}, true},
		{row{allocs: 49, bytes: 1000}, row{allocs: 50, bytes: 1000}, true},
		{row{allocs: 100, bytes: 1000}, row{allocs: 102, bytes: 1116}, false},
		{row{allocs: 100, bytes: 1000}, row{allocs: 103, bytes: 1000}, true},
		{row{allocs: 100, bytes: 1000}, row{allocs: 100, bytes: 1117}, true},
		{row{allocs: 100, bytes: 1000}, row{allocs: 1, bytes: 1}, false},
	} {
		_, bad := c.was.judge(c.now)
		require.Equal(t, c.bad, bad, "%+v", c)
	}
}
