package policy

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/stretchr/testify/require"
)

func TestRefusedBuiltins(t *testing.T) {
	tried := 0
	for _, b := range ast.Builtins {
		if refused(b) == "" {
			continue
		}
		tried++
		args := strings.Repeat("input.x, ", b.Decl.Arity())
		rule := fmt.Sprintf("decision := {\"allow\": true, \"reason\": \"x\"} if %s(%s)", b.Name, strings.TrimSuffix(args, ", "))
		_, err := New(t.Context(), authz(rule), Options{})
		require.ErrorContains(t, err, "authz.rego:3: "+b.Name+" is refused", b.Name)
	}
	require.GreaterOrEqual(t, tried, 16)
	for _, name := range []string{"http.send", "net.lookup_ip_addr", "opa.runtime", "time.now_ns", "rand.intn", "uuid.rfc4122",
		"io.jwt.decode_verify", "io.jwt.encode_sign", "io.jwt.encode_sign_raw", "json.match_schema", "json.verify_schema", "trace",
		"bits.lsh", "graph.reachable_paths", "strings.render_template"} {
		require.False(t, capabilities().ContainsBuiltin(name), name)
	}
	require.Equal(t, []string{}, capabilities().AllowNet, "nil would mean any host")
}

func TestPrintIsErased(t *testing.T) {
	d, err := engine(t, authz(`decision := {"allow": true, "reason": "x"} if print(input)`)).Decide(t.Context(), sample())
	require.NoError(t, err)
	require.True(t, d.Allow)
}

func TestRefusedFolders(t *testing.T) {
	good := head + answer(true, "x")
	refuse := func(want string, files fstest.MapFS) {
		t.Helper()
		_, err := New(t.Context(), files, Options{})
		require.ErrorContains(t, err, want)
	}
	refuse("no .rego file", folder())
	refuse("no .rego file", folder("README.md", good, "data.yaml", "a: 1"))
	refuse("no .rego file", folder("authz_test.rego", good))
	refuse("is undefined", folder("authz.rego", "package other\n\ndecision := 1\n"))
	refuse("is undefined", folder("authz.rego", "package agentidp.authz\n\nallow := 1\n"))
	refuse("rego_parse_error", folder("authz.rego", good+"\nallow { true }\n"))
	refuse("authz.rego", folder("authz.rego", ""))
	refuse("rego_unsafe_var_error", folder("authz.rego", good+"\nx if y > 1\n"))
	refuse("rego_compile_error", folder("authz.rego", good+"\nx if { unused := 1 }\n"))
	refuse("is a folder", folder("authz.rego", good, "more/authz.rego", good))
	refuse("one data file", folder("authz.rego", good, "data.yaml", "a: 1", "data.json", "{}"))
	refuse("data.yaml", folder("authz.rego", good, "data.yaml", "- 1"))
	refuse("data.yaml", folder("authz.rego", good, "data.yaml", "a: 1\na: 2"))
	refuse("one document", folder("authz.rego", good, "data.yaml", "a: 1\n---\nb: 2"))
	refuse("one document", folder("authz.rego", good, "data.json", `{"a": 1} {"b": 2}`))
	refuse("data.yaml", folder("authz.rego", good, "data.yaml", "? [1]\n: 2"))
	refuse("data.yaml", folder("authz.rego", good, "data.yaml", "a: .nan"))
	refuse("conflict", folder("authz.rego", good, "data.yaml", "agentidp: {authz: {decision: {allow: true, reason: x}}}"))
	refuse("larger than", folder("authz.rego", good, "data.json", strings.Repeat(" ", maxSource)))
	refuse("larger than", folder("a.rego", good, "b.rego", "#"+strings.Repeat(" ", maxSource-len(good))))
	refuse("not a regular file", fstest.MapFS{"authz.rego": {Data: []byte(good), Mode: fs.ModeNamedPipe}})
	_, err := New(t.Context(), os.DirFS(filepath.Join(t.TempDir(), "missing")), Options{})
	require.ErrorIs(t, err, fs.ErrNotExist)
}

func TestMountedVolume(t *testing.T) {
	dir := t.TempDir()
	hidden := filepath.Join(dir, "..2026_01_01")
	require.NoError(t, os.Mkdir(hidden, 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(hidden, "authz.rego"), []byte(head+answer(true, "mounted")), 0o600))
	require.NoError(t, os.Symlink("..2026_01_01", filepath.Join(dir, "..data")))
	require.NoError(t, os.Symlink("..data/authz.rego", filepath.Join(dir, "authz.rego")))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "README.md"), []byte("ignored"), 0o600))
	e, err := New(t.Context(), os.DirFS(dir), Options{})
	require.NoError(t, err)
	d, err := e.Decide(t.Context(), sample())
	require.NoError(t, err)
	require.Equal(t, "mounted", d.Reason)
}

func TestEmptyData(t *testing.T) {
	e := engine(t, folder("authz.rego", head+answer(false, "x"), "data.yaml", "# nothing\n"))
	require.Zero(t, e.Tests())
}

func TestRevision(t *testing.T) {
	good := head + answer(true, "x")
	revisionOf := func(files ...string) string {
		r := engine(t, folder(files...)).Revision()
		require.Regexp(t, "^[0-9a-f]{32}$", r)
		return r
	}
	base := revisionOf("a.rego", good)
	require.Equal(t, base, revisionOf("a.rego", good))
	require.Equal(t, base, revisionOf("a.rego", good, "README.md", "not part of it"))
	for _, other := range []string{
		revisionOf("b.rego", good),
		revisionOf("a.rego", good+"\n"),
		revisionOf("a.rego", good, "data.yaml", "a: 1"),
		revisionOf("a.rego", good, "a_test.rego", "package a_test\n"),
	} {
		require.NotEqual(t, base, other)
	}
}

func TestPolicyTests(t *testing.T) {
	good := head + answer(true, "x")
	test := func(body string) string {
		return "package agentidp.authz_test\n\nimport data.agentidp.authz\n\n" + body
	}
	e := engine(t, folder("authz.rego", good, "authz_test.rego", test("test_x if authz.decision.allow\n\ntodo_test_y if false\n")))
	require.Equal(t, 1, e.Tests())

	limit := patient
	refuse := func(want string, body string) {
		t.Helper()
		_, err := New(t.Context(), folder("authz.rego", good, "authz_test.rego", test(body)), Options{TestTimeout: limit})
		require.ErrorContains(t, err, want)
	}
	refuse("1 of 2 policy tests failed: data.agentidp.authz_test.test_b", "test_a if authz.decision.allow\n\ntest_b if not authz.decision.allow\n")
	refuse("test_a: ", "test_a if { authz.decision; not time.parse_rfc3339_ns(authz.decision.reason) > 0 }\n")
	refuse("policy tests: ", "test_a if undefined_function(authz.decision)\n")
	refuse("policy tests: ", "test_a if http.send({\"url\": authz.decision.reason}).status_code == 200\n")
	limit = 200 * time.Millisecond
	refuse("did not end", "test_a if {\n\tauthz.decision\n\tn := numbers.range(1, 5000)\n\tcount([1 | some i in n; some j in n; i * j == 0]) > 0\n}\n")
}

func TestTestsAddNothingToThePolicy(t *testing.T) {
	e := engine(t, folder(
		"authz.rego", head+lines(`default decision := {"allow": false, "reason": "no"}`, `decision := {"allow": true, "reason": "hook"} if hook`, `hook if input.agent.id == ""`),
		"authz_test.rego", head+lines(`hook if input.request.path`, `test_hook if decision.allow with input.request.path as "/"`),
	))
	require.Equal(t, 1, e.Tests())
	require.Equal(t, InputUse{Identity: true}, e.Uses())
	d, err := e.Decide(t.Context(), sample())
	require.NoError(t, err)
	require.Equal(t, Decision{Reason: "no", Revision: e.Revision()}, d)
}

func FuzzLoad(f *testing.F) {
	f.Add(head+answer(true, "x"), "a: 1")
	f.Add(head+runaway, `{"a": [1, null, {"b": 1e400}]}`)
	f.Add("package agentidp.authz\n\nimport input as i\n\ndecision[i] := 1", "a: &a [*a, *a]")
	f.Add("\xff", "a: 2026-01-01\n<<: {b: 1}")
	f.Fuzz(func(t *testing.T, module, data string) {
		s, err := load(folder("authz.rego", module, "data.yaml", data), capabilities())
		if err != nil {
			return
		}
		txn, err := s.store.NewTransaction(t.Context())
		require.NoError(t, err)
		if compiler, err := s.compile(t.Context(), txn, capabilities()); err == nil {
			uses(compiler.Modules)
		}
	})
}
