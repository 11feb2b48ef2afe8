package postgres

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/shared/capability"
)

var statementStart = regexp.MustCompile(`^\s*(SELECT|INSERT|UPDATE|DELETE|WITH|BEGIN|COMMIT|ROLLBACK|SAVEPOINT|RELEASE|SET|LISTEN|COPY|CREATE|DROP|ALTER|VACUUM)\b`)

// statements returns the constants of the package that hold SQL, by name, and
// demands that SQL stands nowhere else.
func statements(t *testing.T) map[string]string {
	t.Helper()
	found := make(map[string]string)
	for _, file := range sources(t) {
		constants := make(map[*ast.BasicLit]bool)
		for i, declaration := range file.Decls {
			group, isGroup := declaration.(*ast.GenDecl)
			if !isGroup || group.Tok != token.CONST {
				continue
			}
			for _, spec := range group.Specs {
				value := spec.(*ast.ValueSpec)
				for j, expression := range value.Values {
					literal, isLiteral := expression.(*ast.BasicLit)
					if !isLiteral || !isStatement(t, literal) {
						continue
					}
					constants[literal] = true
					found[value.Names[j].Name] = text(t, literal)
					require.True(t, usedBelow(file, i, value.Names[j].Name), "%s does not stand above what runs it", value.Names[j].Name)
				}
			}
		}
		ast.Inspect(file, func(node ast.Node) bool {
			literal, isLiteral := node.(*ast.BasicLit)
			if isLiteral && isStatement(t, literal) {
				require.True(t, constants[literal], "SQL outside a constant: %s", literal.Value)
			}
			return true
		})
	}
	return found
}

// sources are the package's files without tests.
func sources(t *testing.T) []*ast.File {
	t.Helper()
	names, err := filepath.Glob("*.go")
	require.NoError(t, err)
	var files []*ast.File
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		require.NoError(t, err)
		files = append(files, file)
	}
	return files
}

func text(t *testing.T, literal *ast.BasicLit) string {
	t.Helper()
	value, err := strconv.Unquote(literal.Value)
	require.NoError(t, err)
	return value
}

func isStatement(t *testing.T, literal *ast.BasicLit) bool {
	t.Helper()
	return literal.Kind == token.STRING && statementStart.MatchString(text(t, literal))
}

// usedBelow reports whether one of the next two functions after declaration i uses the name.
func usedBelow(file *ast.File, i int, name string) bool {
	functions := 0
	for _, declaration := range file.Decls[i+1:] {
		function, isFunction := declaration.(*ast.FuncDecl)
		if !isFunction {
			continue
		}
		used := false
		ast.Inspect(function, func(node ast.Node) bool {
			identifier, isIdentifier := node.(*ast.Ident)
			used = used || isIdentifier && identifier.Name == name
			return true
		})
		if functions++; used || functions == 2 {
			return used
		}
	}
	return false
}

func connected(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(t.Context()) })
	return conn
}

func TestEveryStatementPrepares(t *testing.T) {
	conn := connected(t, fresh(t))
	all := statements(t)
	require.Greater(t, len(all), 70)
	for name, query := range all {
		_, err := conn.Prepare(t.Context(), name, query)
		require.NoError(t, err, name)
	}
}

// What is asked for each token, event and page must seek in an index.
func TestPlans(t *testing.T) {
	conn := connected(t, fresh(t))
	all := statements(t)
	for _, setting := range []string{"enable_seqscan = off", "enable_bitmapscan = off", "enable_sort = off", "plan_cache_mode = force_generic_plan"} {
		_, err := conn.Exec(t.Context(), "SET "+setting)
		require.NoError(t, err)
	}
	for name, index := range map[string]string{
		"credentialGate":           "credentials_client_id_key",
		"admissionStandings":       "credentials_client_id_key",
		"agentGet":                 "agents_pkey",
		"agentPage":                "agents_listed",
		"agentCountLive":           "agent_counts_pkey",
		"agentOtherAdministrators": "agents_administrators",
		"agentTokensUsed":          "token_usage_pkey",
		"credentialPage":           "credentials_listed",
		"credentialExpiring":       "credentials_aging",
		"organizationPage":         "organizations_listed",
		"revocationSince":          "revocations_pkey",
		"revocationNames":          "revocations_named",
		"revocationPruneTokens":    "revocations_expiring",
		"revocationPruneEpochs":    "revocations_aging",
		"idempotencyGet":           "idempotency_pkey",
		"idempotencyPrune":         "idempotency_created",
		"assertionPrune":           "assertions_expiring",
		"sidecarGet":               "sidecars_pkey",
	} {
		plan := explain(t, conn, name, all[name])
		require.Contains(t, plan, index, "%s\n%s", name, plan)
		require.NotContains(t, plan, "Seq Scan", "%s\n%s", name, plan)
		if strings.HasSuffix(name, "Page") || name == "revocationSince" {
			require.NotContains(t, plan, "Sort  (", "%s\n%s", name, plan)
		}
	}
}

// explain returns the plan for any arguments, one step a line.
func explain(t *testing.T, conn *pgx.Conn, name, query string) string {
	t.Helper()
	require.NotEmpty(t, query, name)
	prepared, err := conn.Prepare(t.Context(), name, query)
	require.NoError(t, err)
	call := `EXPLAIN EXECUTE "` + name + `"`
	if n := len(prepared.ParamOIDs); n > 0 {
		call += "(" + strings.TrimSuffix(strings.Repeat("NULL, ", n), ", ") + ")"
	}
	rows, err := conn.Query(t.Context(), call, pgx.QueryExecModeSimpleProtocol)
	require.NoError(t, err)
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	return strings.Join(lines, "\n")
}

func TestTextComparesByteForByteWhateverTheDatabaseSays(t *testing.T) {
	rows, err := connected(t, fresh(t)).Query(t.Context(), `
		SELECT table_name || '.' || column_name FROM information_schema.columns
		WHERE table_schema = 'public' AND table_name <> 'goose_db_version'
			AND (data_type = 'text' AND collation_name IS DISTINCT FROM 'C'
				OR data_type NOT IN ('text', 'bigint', 'integer', 'boolean', 'bytea', 'smallint'))`)
	require.NoError(t, err)
	loose, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	require.Empty(t, loose)
}

func TestMigrationNamesAreNumbered(t *testing.T) {
	names, err := fs.Glob(schema(), "*")
	require.NoError(t, err)
	for i, name := range names {
		require.Regexp(t, regexp.MustCompile(`^\d{4}_[a-z]+\.sql$`), name)
		number, err := strconv.Atoi(name[:4])
		require.NoError(t, err)
		require.Equal(t, i+1, number)
	}
}

func TestColumnsRefuseWhatTheyCannotHold(t *testing.T) {
	var at time.Time
	require.Error(t, moment{&at}.Scan("2026"))
	var length time.Duration
	require.Error(t, seconds{&length}.Scan("2026"))
	var set capability.Set
	require.Error(t, held{&set}.Scan(int64(1)))
	require.Error(t, held{&set}.Scan("Not A Scope"))
}
