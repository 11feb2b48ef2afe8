package app_test

import (
	"flag"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/shared/config"
	"github.com/sentryagent/agentidp/sidecar/internal/app"
)

const top = "../../.."

var update = flag.Bool("update", false, "write the generated tables into docs")

// section is what stands on the page between <!-- name --> and the next
// comment; with -update it is first replaced by want, unless that is empty.
func section(t *testing.T, page, name, want string) string {
	t.Helper()
	path := filepath.Join(top, "docs", page)
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	before, rest, found := strings.Cut(string(content), "<!-- "+name+" -->\n")
	require.True(t, found, "%s has no <!-- %s -->", page, name)
	text, after, found := strings.Cut(rest, "<!-- /"+name+" -->")
	require.True(t, found, "%s has no <!-- /%s -->", page, name)
	if *update && want != "" {
		text = want
		require.NoError(t, os.WriteFile(path, []byte(before+"<!-- "+name+" -->\n"+text+"<!-- /"+name+" -->"+after), 0o644))
	}
	return text
}

func TestDocsListEverySetting(t *testing.T) {
	cfg := app.Default()
	want, err := config.Reference(&cfg, config.PrefixSidecar)
	require.NoError(t, err)
	require.Equal(t, want, section(t, "sidecar.md", "settings", want), "go test ./sidecar/internal/app -run TestDocsListEverySetting -update writes it")
}

// reasons collects, from the source, every reason that an answer can carry, as
// "reason status"; the status is "" where the source leaves it to its caller.
type reasons map[string]string

func (r reasons) add(t *testing.T, literal ast.Expr, status string) {
	t.Helper()
	basic, isLiteral := literal.(*ast.BasicLit)
	if !isLiteral || basic.Kind != token.STRING {
		return
	}
	reason, err := strconv.Unquote(basic.Value)
	require.NoError(t, err)
	r[reason] = status
}

// walk visits the nodes of a package folder's sources, or of one file.
func walk(t *testing.T, path string, visit func(ast.Node)) {
	t.Helper()
	require.NoError(t, filepath.WalkDir(filepath.Join(top, path), func(file string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go") {
			return err
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			return err
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			if n != nil {
				visit(n)
			}
			return true
		})
		return nil
	}))
}

func name(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return e.Sel.Name
	}
	return ""
}

// inCode reads every reason out of the source.
func inCode(t *testing.T) reasons {
	t.Helper()
	found := reasons{}
	walk(t, "sidecar/internal/proxy", func(n ast.Node) {
		switch n := n.(type) {
		case *ast.CompositeLit:
			if name(n.Type) == "refusal" {
				members := map[string]ast.Expr{}
				for _, member := range n.Elts {
					pair := member.(*ast.KeyValueExpr)
					members[name(pair.Key)] = pair.Value
				}
				status := ""
				if literal, isLiteral := members["status"].(*ast.BasicLit); isLiteral {
					status = literal.Value
				}
				found.add(t, members["reason"], status)
			}
		case *ast.CallExpr:
			if called := name(n.Fun); called == "invalidToken" {
				found.add(t, n.Args[1], "401")
			} else if called == "insufficient" {
				found.add(t, n.Args[1], "403")
			}
		}
	})
	walk(t, "sidecar/internal/guard", func(n ast.Node) {
		if literal, ok := n.(*ast.CompositeLit); ok && name(literal.Type) == "Refusal" && len(literal.Elts) == 2 {
			found.add(t, literal.Elts[1], "")
		}
	})
	for _, asked := range []string{"sidecar/internal/forwardauth/convention.go", "sidecar/internal/extauthz/question.go"} {
		walk(t, asked, func(n ast.Node) {
			if literal, ok := n.(*ast.CompositeLit); ok && name(literal.Type) == "Refusal" {
				found.add(t, literal.Elts[1].(*ast.KeyValueExpr).Value, "400")
			}
		})
	}
	walk(t, "sidecar/internal/rpc/problem.go", func(n ast.Node) {
		if literal, ok := n.(*ast.CompositeLit); ok && name(literal.Type) == "Problem" {
			found.add(t, literal.Elts[1], "400")
		}
	})
	walk(t, "shared/token/token.go", func(n ast.Node) {
		if spec, ok := n.(*ast.ValueSpec); ok && name(spec.Type) == "Reason" {
			found.add(t, spec.Values[0], "401")
		}
	})
	walk(t, "shared/policy/policy.go", func(n ast.Node) {
		if spec, ok := n.(*ast.ValueSpec); ok && slices.Contains([]string{"ReasonCapabilityMissing", "ReasonNoRoute"}, spec.Names[0].Name) {
			found.add(t, spec.Values[0], "403")
		} else if ok && slices.Contains([]string{"ReasonError", "ReasonTimeout", "ReasonMissing"}, spec.Names[0].Name) {
			found.add(t, spec.Values[0], "503")
		}
	})
	walk(t, "sidecar/internal/syncer/revocations.go", func(n ast.Node) {
		if spec, ok := n.(*ast.ValueSpec); ok && strings.HasSuffix(spec.Names[0].Name, "Revoked") {
			found.add(t, spec.Values[0], "401")
		}
	})
	for _, path := range []string{"sidecar/internal/authn", "sidecar/internal/syncer", "shared/httpx/refusal.go"} {
		walk(t, path, func(n ast.Node) {
			if call, ok := n.(*ast.CallExpr); ok && slices.Contains([]string{"WithReason", "malformed"}, name(call.Fun)) {
				found.add(t, call.Args[0], "")
			}
		})
	}
	return found
}

var reasonRow = regexp.MustCompile("(?m)^\\| (\\d{3}) \\| (`[^|]*`) \\| .+ \\|$")

func TestDocsListEveryReason(t *testing.T) {
	listed := map[string]string{}
	for _, row := range reasonRow.FindAllStringSubmatch(section(t, "sidecar.md", "reasons", ""), -1) {
		for _, reason := range strings.Split(row[2], ", ") {
			reason = strings.Trim(reason, "`")
			require.NotContains(t, listed, reason, "listed twice")
			listed[reason] = row[1]
		}
	}
	code := inCode(t)
	require.Greater(t, len(code), 60, "the source was not understood")
	require.Equal(t, slices.Sorted(maps.Keys(code)), slices.Sorted(maps.Keys(listed)))
	for reason, status := range code {
		if status != "" {
			require.Equal(t, status, listed[reason], reason)
		}
	}
}

var metricRow = regexp.MustCompile("(?m)^\\| (`[^|]*`) \\| .+ \\|$")

// documented lists the names in the metrics table.
func documented(t *testing.T) []string {
	t.Helper()
	var names []string
	for _, row := range metricRow.FindAllStringSubmatch(section(t, "operations.md", "metrics", ""), -1) {
		for _, name := range strings.Split(row[1], "`, `") {
			name, _, _ = strings.Cut(strings.Trim(name, "`"), "{")
			names = append(names, name)
		}
	}
	slices.Sort(names)
	require.Equal(t, slices.Compact(slices.Clone(names)), names, "listed twice")
	return names
}

// exposed lists the families of a metrics page, without process and runtime.
func exposed(page string) []string {
	var names []string
	for line := range strings.Lines(page) {
		name := strings.FieldsFunc(line, func(r rune) bool { return r == '{' || r == ' ' })[0]
		for _, suffix := range []string{"_bucket", "_sum", "_count"} {
			if base, isHistogram := strings.CutSuffix(name, suffix); isHistogram && strings.HasSuffix(base, "_seconds") {
				name = base
			}
		}
		if strings.HasPrefix(name, "agentidp_") && name != "agentidp_build_info" || strings.HasPrefix(name, "sidecar_") {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}
