package proxy_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const top = "../../.."

var (
	attackRow  = regexp.MustCompile(`(?m)^\| ([A-E]\d+) \| .+ \| .+ \| (.+) \| (.+) \|$`)
	verdictsOf = regexp.MustCompile("\\d{3} `[a-z0-9_]+`(?:, `[a-z0-9_]+`)*")
	quoted     = regexp.MustCompile("`([^`]+)`")
	testFunc   = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`)
)

// attack is one row of docs/attacks.md.
type attack struct {
	id       string
	verdicts map[string]bool // "status reason"
	proofs   []string
}

func attacks(t *testing.T) []attack {
	page, err := os.ReadFile(top + "/docs/attacks.md")
	require.NoError(t, err)
	var rows []attack
	for _, row := range attackRow.FindAllStringSubmatch(string(page), -1) {
		a := attack{id: row[1], verdicts: map[string]bool{}}
		for _, group := range verdictsOf.FindAllString(row[2], -1) {
			for _, reason := range quoted.FindAllStringSubmatch(group, -1) {
				a.verdicts[group[:3]+" "+reason[1]] = true
			}
		}
		for _, proof := range quoted.FindAllStringSubmatch(row[3], -1) {
			a.proofs = append(a.proofs, proof[1])
		}
		rows = append(rows, a)
	}
	return rows
}

// proofs is everything that a row can name, with the refusals that it asserts.
func proofs(t *testing.T) map[string][]string {
	known := map[string][]string{}
	for _, folder := range []string{"sidecar", "shared"} {
		require.NoError(t, filepath.WalkDir(filepath.Join(top, folder), func(path string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, "_test.go") {
				return err
			}
			source, err := os.ReadFile(path)
			for _, function := range testFunc.FindAllStringSubmatch(string(source), -1) {
				known[function[1]] = nil
			}
			return err
		}))
	}
	files, err := filepath.Glob("testdata/corpus/*.txt")
	require.NoError(t, err)
	for _, file := range files {
		for _, f := range parseCorpus(t, file, strings.NewReplacer()) {
			row, _, _ := strings.Cut(f.name, " ")
			known["corpus/"+row] = append(known["corpus/"+row], "")
			for _, v := range f.answers {
				if v.status >= 300 {
					known["corpus/"+row] = append(known["corpus/"+row], fmt.Sprint(v.status, " ", v.reason))
				}
			}
		}
	}
	for _, f := range forgeries(t, "https://canary.example") {
		row, _, _ := strings.Cut(f.row, " ")
		known["forged/"+row] = append(known["forged/"+row], "401 "+string(f.reason))
	}
	return known
}

// TestAttacksAreProved holds docs/attacks.md to the tests it names and to their
// verdicts, and the corpus to the page.
func TestAttacksAreProved(t *testing.T) {
	var want, got []string
	for section, rows := range map[string]int{"A": 19, "B": 12, "C": 11, "D": 12, "E": 17} {
		for i := range rows {
			want = append(want, fmt.Sprint(section, i+1))
		}
	}
	reasons, err := os.ReadFile(top + "/docs/sidecar.md")
	require.NoError(t, err)
	known := proofs(t)
	for _, row := range attacks(t) {
		got = append(got, row.id)
		require.NotEmpty(t, row.proofs, row.id)
		for _, proof := range row.proofs {
			require.Contains(t, known, proof, row.id)
			for _, v := range known[proof] {
				require.True(t, v == "" || row.verdicts[v], "%s asserts %q, which row %s does not say", proof, v, row.id)
			}
		}
		for v := range row.verdicts {
			_, reason, _ := strings.Cut(v, " ")
			require.True(t, strings.Contains(string(reasons), "`"+reason+"`"), "%s: docs/sidecar.md knows no reason %s", row.id, reason)
		}
		for _, source := range []string{"corpus/", "forged/"} {
			if _, found := known[source+row.id]; found {
				require.Contains(t, row.proofs, source+row.id, "row %s has cases that the page does not name", row.id)
			}
		}
	}
	require.ElementsMatch(t, want, got)
}
