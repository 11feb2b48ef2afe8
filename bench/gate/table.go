package main

import (
	"fmt"
	"strconv"
	"strings"
)

// row is one benchmark and what an operation of it allocates.
type row struct {
	pkg    string // folder in the workspace
	name   string // of the benchmark, sub-benchmarks behind slashes
	allocs int64
	bytes  int64
}

const heading = `# What an operation of each hot path may allocate: make bench-gate compares, make bench-gate UPDATE=-update writes.
# A benchmark is added by a row with zeros and an update. Bytes may vary by a tenth.
#
# package benchmark allocs/op bytes/op
`

func parseTable(text string) (rows []row, err error) {
	for n, line := range strings.Split(text, "\n") {
		fields := strings.Fields(line)
		if len(fields) == 0 || strings.HasPrefix(line, "#") {
			continue
		}
		var r row
		if len(fields) == 4 {
			r.pkg, r.name = fields[0], fields[1]
			r.allocs, err = strconv.ParseInt(fields[2], 10, 64)
			if err == nil {
				r.bytes, err = strconv.ParseInt(fields[3], 10, 64)
			}
		}
		if len(fields) != 4 || err != nil {
			return nil, fmt.Errorf("line %d: must be package, benchmark, allocs/op, bytes/op", n+1)
		}
		rows = append(rows, r)
	}
	if len(rows) == 0 {
		return nil, fmt.Errorf("there is nothing to compare with")
	}
	return rows, nil
}

func formatTable(rows []row) string {
	var b strings.Builder
	b.WriteString(heading)
	for _, r := range rows {
		fmt.Fprintf(&b, "%s %s %d %d\n", r.pkg, r.name, r.allocs, r.bytes)
	}
	return b.String()
}

// parseOutput reads what go test -benchmem prints; of several lines of one
// benchmark the lowest counts.
func parseOutput(text string) map[string]row {
	best := map[string]row{}
	for line := range strings.SplitSeq(text, "\n") {
		fields := strings.Fields(line)
		if len(fields) < 4 || !strings.HasPrefix(fields[0], "Benchmark") {
			continue
		}
		r := row{name: fields[0], allocs: -1, bytes: -1}
		for i := 2; i+1 < len(fields); i += 2 {
			n, err := strconv.ParseInt(fields[i], 10, 64)
			switch {
			case err != nil:
			case fields[i+1] == "allocs/op":
				r.allocs = n
			case fields[i+1] == "B/op":
				r.bytes = n
			}
		}
		if r.allocs < 0 || r.bytes < 0 {
			continue
		}
		if known, again := best[r.name]; again {
			r.allocs, r.bytes = min(r.allocs, known.allocs), min(r.bytes, known.bytes)
		}
		best[r.name] = r
	}
	return best
}

// judge compares with what was measured now. Many allocations, as of a query of
// the store or an evaluation of a policy, may be one in fifty more.
func (r row) judge(now row) (verdict string, bad bool) {
	switch {
	case now.allocs > r.allocs+r.allocs/50:
		return fmt.Sprintf("GREW from %d allocs/op", r.allocs), true
	case now.bytes > r.bytes+r.bytes/10+16:
		return fmt.Sprintf("GREW from %d B/op", r.bytes), true
	case now.allocs < r.allocs-r.allocs/50:
		return fmt.Sprintf("ok, less than %d: update the table", r.allocs), false
	}
	return "ok", false
}
