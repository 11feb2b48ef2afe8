package docs_test

import (
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/stretchr/testify/require"
)

// trustPages are what others rely on without reading the code: what they name
// has to exist. Paths are relative to this folder.
var trustPages = []string{"security-model.md", "agntcy-alignment.md", "soc2-controls.md", "release.md", "licences.md", "../SECURITY.md"}

var (
	link      = regexp.MustCompile(`\[([^\]]*)\]\(([^)\s]+)\)`)
	span      = regexp.MustCompile("`([^`]+)`")
	block     = regexp.MustCompile(`(?m)^    (agentidp .*|make .*)$`)
	testName  = regexp.MustCompile(`^(?:Test|Fuzz)[A-Z0-9]\w*$`)
	operation = regexp.MustCompile(`^(GET|POST|PATCH|PUT|DELETE) (/\S*)$`)
	heading   = regexp.MustCompile("(?m)^### (agentidp .*)$")
	setting   = regexp.MustCompile(`^(AGENTIDP_[A-Z_]+|DATABASE_URL|REDIS_URL|VAULT_ADDR)$`)
	metric    = regexp.MustCompile(`^(agentidp|sidecar)_[a-z0-9_]+$`)
	flag      = regexp.MustCompile(`--[a-z][a-z-]*`)
)

// claims calls found with every code span of every page, and every command in an
// indented block.
func claims(t *testing.T, found func(page, text string)) {
	t.Helper()
	for _, page := range trustPages {
		content := read(t, page)
		for _, m := range span.FindAllStringSubmatch(content, -1) {
			found(page, m[1])
		}
		for _, m := range block.FindAllStringSubmatch(content, -1) {
			command, _, _ := strings.Cut(m[1], "  #")
			found(page, strings.TrimSpace(command))
		}
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.FromSlash(file))
	require.NoError(t, err)
	return string(content)
}

// A test is named as [`TestX`](file), never without its file.
func TestTrustPagesNameTestsThatExist(t *testing.T) {
	named, linked := map[string]int{}, map[string]int{}
	for _, page := range trustPages {
		for _, m := range link.FindAllStringSubmatch(read(t, page), -1) {
			name := strings.Trim(m[1], "`")
			if !testName.MatchString(name) {
				continue
			}
			linked[page+" "+name]++
			require.True(t, strings.HasSuffix(m[2], "_test.go"), "%s: %s leads to %s", page, name, m[2])
			require.Contains(t, read(t, filepath.Join(filepath.Dir(page), m[2])), "\nfunc "+name+"(", "%s: %s is not in %s", page, name, m[2])
		}
	}
	claims(t, func(page, text string) {
		if testName.MatchString(text) {
			named[page+" "+text]++
		}
	})
	require.NotEmpty(t, named)
	for where, times := range named {
		require.Equal(t, times, linked[where], "%s without its file", where)
	}
}

func TestTrustPagesNameOperationsOfTheAPI(t *testing.T) {
	doc, found := load(t), 0
	claims(t, func(page, text string) {
		m := operation.FindStringSubmatch(text)
		if m == nil {
			return
		}
		found++
		address, err := url.Parse(m[2])
		require.NoError(t, err, "%s: %s", page, text)
		item := doc.Paths.Find(address.Path)
		require.NotNil(t, item, "%s: %s", page, text)
		op := item.GetOperation(m[1])
		require.NotNil(t, op, "%s: %s", page, text)
		for name := range address.Query() {
			require.True(t, slices.ContainsFunc(slices.Concat(item.Parameters, op.Parameters), func(p *openapi3.ParameterRef) bool {
				return p.Value.In == openapi3.ParameterInQuery && p.Value.Name == name
			}), "%s: %s has no %s", page, text, name)
		}
	})
	require.NotZero(t, found)
}

// A command is the longest heading of docs/cli.md that its words begin with; its
// flags are in that section.
func TestTrustPagesNameCommandsThatExist(t *testing.T) {
	reference := read(t, "cli.md")
	sections := map[string]string{}
	places := heading.FindAllStringSubmatchIndex(reference, -1)
	for i, place := range places {
		end := len(reference)
		if i+1 < len(places) {
			end = places[i+1][0]
		}
		sections[words(reference[place[2]:place[3]])] = reference[place[0]:end]
	}
	settings, found := regexp.MustCompile(`\| (--[a-z-]+) `).ReplaceAllString(read(t, "operations.md"), "| `$1` "), 0
	claims(t, func(page, text string) {
		if !strings.HasPrefix(text, "agentidp ") {
			return
		}
		found++
		command := words(text)
		for command != "" && sections[command] == "" {
			command = command[:max(0, strings.LastIndexByte(command, ' '))]
		}
		require.NotEmpty(t, command, "%s: %s", page, text)
		known := sections[command]
		if strings.Contains(known, "Its flags are the [settings](operations.md)") || strings.Contains(known, "every setting of serve is a flag") {
			known += settings
		}
		for _, name := range flag.FindAllString(text, -1) {
			require.Regexp(t, "`(-[a-z], )?"+name+"`", known, "%s: %s", page, text)
		}
	})
	require.NotZero(t, found)
}

// words are those of a command before its arguments and flags.
func words(text string) string {
	fields := strings.Fields(text)
	end := slices.IndexFunc(fields, func(word string) bool { return word != strings.ToLower(word) || word[0] == '-' || word[0] == '[' })
	if end >= 0 {
		fields = fields[:end]
	}
	return strings.Join(fields, " ")
}

func TestTrustPagesNameWhatExists(t *testing.T) {
	known := read(t, "operations.md") + read(t, "sidecar.md") + read(t, "production.md")
	makefile := read(t, "../Makefile")
	claims(t, func(page, text string) {
		switch target, isMake := strings.CutPrefix(text, "make "); {
		case isMake:
			target, _, _ = strings.Cut(target, " ")
			require.Regexp(t, `(?m)^`+regexp.QuoteMeta(target)+`:`, makefile, "%s: %s", page, text)
		case setting.MatchString(text):
			require.Contains(t, known, text, page)
		case metric.MatchString(text):
			require.Contains(t, known, "`"+text, page)
		}
	})
}

// The list of licences is of the modules that go.sum has: an old one is a bill
// of something else. `make sbom` compares it with what is built.
func TestLicencesAreOfTheseModules(t *testing.T) {
	sums := "\n" + read(t, "../go.sum") + read(t, "../go.work.sum")
	rows := regexp.MustCompile("(?m)^\\| golang `([^`]+)` \\| (\\S+) \\|").FindAllStringSubmatch(read(t, "licences.md"), -1)
	require.Greater(t, len(rows), 50)
	for _, row := range rows {
		require.Contains(t, sums, "\n"+row[1]+" "+row[2]+" h1:", "run `make sbom UPDATE=-update`")
	}
}
