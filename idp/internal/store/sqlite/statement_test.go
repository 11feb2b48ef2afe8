package sqlite

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

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/shared/capability"
)

var statementStart = regexp.MustCompile(`^\s*(SELECT|INSERT|UPDATE|DELETE|WITH|PRAGMA|BEGIN|COMMIT|ROLLBACK|SAVEPOINT|RELEASE|CREATE|DROP|ALTER|ATTACH|VACUUM)\b`)

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
			if isLiteral && isStatement(t, literal) && !strings.HasPrefix(text(t, literal), "PRAGMA ") {
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

// usedBelow reports whether the first function after declaration i uses the name.
func usedBelow(file *ast.File, i int, name string) bool {
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
		return used
	}
	return false
}

func TestEveryStatementPrepares(t *testing.T) {
	s := memory(t)
	all := statements(t)
	require.Greater(t, len(all), 60)
	for name, query := range all {
		_, err := s.writer.prepared(t.Context(), query)
		require.NoError(t, err, name)
	}
}

// What is asked for each token, event and page must seek in an index, never
// scan a table that grows, and never sort one.
func TestPlans(t *testing.T) {
	s := memory(t)
	all := statements(t)
	seeks := func(name string, steps ...string) {
		t.Helper()
		plan := explain(t, s, all[name])
		for _, step := range steps {
			require.Contains(t, plan, step, name)
		}
		require.NotContains(t, plan, "SCAN agents\n", name)
		require.NotContains(t, plan, "SCAN credentials", name)
		require.NotContains(t, plan, "USE TEMP B-TREE FOR ORDER BY", name)
		require.NotContains(t, plan, "AUTOMATIC", name)
	}
	seeks("credentialGate", "SEARCH c USING INDEX sqlite_autoindex_credentials_2 (client_id=?)",
		"SEARCH a USING INDEX sqlite_autoindex_agents_1 (id=?)", "SEARCH o USING INDEX sqlite_autoindex_organizations_1 (id=?)")
	seeks("admissionStanding", "SEARCH c USING INDEX sqlite_autoindex_credentials_2 (client_id=?)",
		"SEARCH a USING INDEX sqlite_autoindex_agents_1 (id=?)", "SEARCH o USING INDEX sqlite_autoindex_organizations_1 (id=?)")
	seeks("agentTokensUsed", "SEARCH token_usage USING PRIMARY KEY (agent_id=? AND month=?)")
	seeks("agentGet", "SEARCH agents USING INDEX sqlite_autoindex_agents_1 (id=?)")
	seeks("agentPage", "SEARCH agents USING INDEX agents_listed (organization_id=? AND created_at<?)")
	seeks("agentPageOldest", "SEARCH agents USING INDEX agents_listed (organization_id=? AND created_at>?)")
	seeks("agentPageEmail", "SEARCH agents USING INDEX agents_by_email (organization_id=? AND email>?)")
	seeks("agentPageEmailDown", "SEARCH agents USING INDEX agents_by_email (organization_id=? AND email<?)")
	seeks("agentsMatching", "SEARCH agents USING COVERING INDEX agents_by_email (organization_id=? AND email>? AND email<?)",
		"SEARCH agents USING COVERING INDEX agents_by_id (organization_id=? AND id>? AND id<?)",
		"SEARCH agents USING COVERING INDEX agents_by_owner (organization_id=? AND <expr>>? AND <expr><?)",
		"SEARCH a USING INDEX sqlite_autoindex_agents_1 (id=?)")
	seeks("agentsOfOwner", "SEARCH a USING INDEX agents_by_owner (organization_id=? AND <expr>=?)")
	seeks("agentsHolding", "SEARCH h USING COVERING INDEX agent_capabilities_held (capability=?)")
	seeks("agentTotals", "SEARCH agent_counts USING PRIMARY KEY (organization_id=? AND owner=? AND capability=?)")
	seeks("agentCountLive", "SEARCH agent_counts USING PRIMARY KEY (organization_id=? AND owner=? AND capability=?)")
	seeks("agentOtherAdministrators", "SEARCH agents USING INDEX agents_administrators (organization_id=?)")
	seeks("credentialPage", "SEARCH credentials USING INDEX credentials_listed (agent_id=?)")
	seeks("credentialCount", "SEARCH credentials USING COVERING INDEX credentials_listed (agent_id=?)")
	seeks("organizationPage", "SCAN organizations USING INDEX organizations_listed")
	seeks("eventGet", "SEARCH events USING INDEX sqlite_autoindex_events_1 (event_id=?)")
	seeks("eventList", "SEARCH events USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)")
	seeks("eventRangeAll", "SEARCH events USING INTEGER PRIMARY KEY (rowid>?)")
	seeks("revocationSince", "SEARCH revocations USING INTEGER PRIMARY KEY (rowid>?)")
	seeks("revocationNames", "SEARCH revocations USING COVERING INDEX revocations_named (type=? AND id=?)")
	seeks("revocationPruneTokens", "SEARCH revocations USING COVERING INDEX revocations_expiring (expires_at<?)")
	seeks("revocationPruneEpochs", "SEARCH revocations USING INDEX revocations_aging (at<?)")
	seeks("treeChunk", "SEARCH tree_hashes USING INTEGER PRIMARY KEY (rowid=?)")
	seeks("treeChunks", "SEARCH tree_hashes USING INTEGER PRIMARY KEY (rowid=?)")
	seeks("treeLatestCheckpoint", "SCAN checkpoints USING INDEX checkpoints_size")
	seeks("idempotencyGet", "SEARCH idempotency USING PRIMARY KEY (agent_id=? AND path=? AND key=?)")
	seeks("idempotencyPrune", "SEARCH idempotency USING COVERING INDEX idempotency_created (created_at<?)")
	seeks("assertionPrune", "SEARCH assertions USING COVERING INDEX assertions_expiring (expires_at<?)")
	seeks("sidecarGet", "SEARCH sidecars USING PRIMARY KEY (agent_id=? AND id=?)")
}

// Of each state only a page is read, in order, and what was read is sorted.
func TestMergePlans(t *testing.T) {
	s := memory(t)
	all := statements(t)
	for name, step := range map[string]string{
		"agentMerge":          "SEARCH b USING COVERING INDEX agents_by_state (organization_id=? AND status=? AND environment=? AND agent_type=? AND created_at<?)",
		"agentMergeOldest":    "SEARCH b USING COVERING INDEX agents_by_state (organization_id=? AND status=? AND environment=? AND agent_type=? AND created_at>?)",
		"agentMergeEmail":     "SEARCH b USING COVERING INDEX agents_by_state_email (organization_id=? AND status=? AND environment=? AND agent_type=? AND email>?)",
		"agentMergeEmailDown": "SEARCH b USING COVERING INDEX agents_by_state_email (organization_id=? AND status=? AND environment=? AND agent_type=? AND email<?)",
	} {
		plan := explain(t, s, all[name])
		require.Contains(t, plan, step, name)
		require.Contains(t, plan, "SEARCH k USING PRIMARY KEY (organization_id=? AND owner=? AND capability=?)", name)
		require.Contains(t, plan, "SEARCH found USING INTEGER PRIMARY KEY (rowid=?)", name)
		require.Equal(t, 2, strings.Count(plan, "USE TEMP B-TREE FOR ORDER BY"), "of those that were read\n%s", plan)
	}
}

// Whole spans come from the counts; only the spans that a moment falls into are looked at.
func TestEndedPlan(t *testing.T) {
	plan := explain(t, memory(t), statements(t)["statEnded"])
	for _, step := range []string{
		"SEARCH credential_ends USING PRIMARY KEY (organization_id=? AND expires_span<?)",
		"SEARCH c USING COVERING INDEX credentials_active (organization_id=? AND expires_at>? AND expires_at<?)",
		"SEARCH g USING PRIMARY KEY (organization_id=? AND set_span<?)",
		"SEARCH c USING INDEX credentials_aging (organization_id=? AND secret_set_at>? AND secret_set_at<?)",
	} {
		require.Contains(t, plan, step)
	}
}

// Of an organization's agents the heaviest are read in order, and no others.
func TestMostTokensPlan(t *testing.T) {
	s := memory(t)
	plan := explain(t, s, statements(t)["statMostTokens"])
	require.Contains(t, plan, "SEARCH u USING INDEX token_usage_ranked (organization_id=? AND month=?)")
	require.Contains(t, plan, "SEARCH a USING INDEX sqlite_autoindex_agents_1 (id=?)")
	require.Equal(t, 1, strings.Count(plan, "USE TEMP B-TREE FOR ORDER BY"), "of those that were read\n%s", plan)
}

// The lists that walk segments sort inside one segment only, and fetch no more
// bodies than they return.
func TestSegmentPlans(t *testing.T) {
	s := memory(t)
	all := statements(t)
	for name, steps := range map[string][]string{
		"eventListByKind": {
			"SEARCH k USING PRIMARY KEY (segment<?)", "SEARCH s USING INTEGER PRIMARY KEY (rowid=?)",
			"SEARCH e USING INDEX events_by_kind (segment=? AND organization_id=? AND action=? AND outcome=? AND rowid<?)",
			"USE TEMP B-TREE FOR LAST TERM OF ORDER BY", "SEARCH events USING INTEGER PRIMARY KEY (rowid=?)",
		},
		"eventListByAgent": {
			"SEARCH s USING INTEGER PRIMARY KEY (rowid<?)", "SEARCH e USING INDEX events_by_agent (segment=? AND agent_id=?)",
			"USE TEMP B-TREE FOR LAST TERM OF ORDER BY", "SEARCH events USING INTEGER PRIMARY KEY (rowid=?)",
		},
		"eventRange": {
			"SEARCH k USING PRIMARY KEY (segment>?)",
			"SEARCH e USING INDEX events_by_kind (segment=? AND organization_id=? AND action=? AND outcome=? AND rowid>?)",
			"USE TEMP B-TREE FOR LAST TERM OF ORDER BY", "SEARCH events USING INTEGER PRIMARY KEY (rowid=?)",
		},
	} {
		plan := explain(t, s, all[name])
		for _, step := range steps {
			require.Contains(t, plan, step, name)
		}
	}
}

// explain returns SQLite's plan, one step a line.
func explain(t *testing.T, s *Store, query string) string {
	t.Helper()
	require.NotEmpty(t, query)
	args := make([]any, 16)
	for i := range args {
		args[i] = 1
	}
	rows, err := s.writer.conn.QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+query, args...)
	require.NoError(t, err)
	defer rows.Close()
	var plan strings.Builder
	for rows.Next() {
		var id, parent, unused int
		var detail string
		require.NoError(t, rows.Scan(&id, &parent, &unused, &detail))
		plan.WriteString(detail + "\n")
	}
	require.NoError(t, rows.Err())
	return plan.String()
}

func TestMigrationsAreStrict(t *testing.T) {
	s := memory(t)
	rows, err := s.writer.conn.QueryContext(t.Context(),
		"SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'table' AND strict = 0 ORDER BY name")
	require.NoError(t, err)
	defer rows.Close()
	var loose []string
	for rows.Next() {
		var name string
		require.NoError(t, rows.Scan(&name))
		loose = append(loose, name)
	}
	require.NoError(t, rows.Err())
	require.Equal(t, []string{"goose_db_version", "sqlite_schema", "sqlite_sequence"}, loose)
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
	var set capability.Set
	require.Error(t, held{&set}.Scan(int64(1)))
	require.Error(t, held{&set}.Scan("Not A Scope"))
}
