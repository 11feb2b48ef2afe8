package cli_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// folder writes a policy.
func folder(t *testing.T, authz, tests string) string {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "authz.rego"), []byte("package agentidp.authz\n\n"+authz), 0o600))
	if tests == "" {
		return dir
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "authz_test.rego"), []byte("package agentidp.authz_test\n\nimport data.agentidp.authz\n\n"+tests), 0o600))
	return dir
}

const closed = "decision := {\"allow\": false, \"reason\": \"closed\"}\n"

func TestPolicyTest(t *testing.T) {
	status, stdout, stderr := run(nil, "policy", "test")
	require.Zero(t, status, stderr)
	require.Contains(t, stdout, "PASS  data.agentidp.authz_test.test_default_deny  ")
	require.Contains(t, stdout, "tests passed in ")

	dir := folder(t, closed, "test_open if authz.decision.allow\n\ntest_closed if not authz.decision.allow\n")
	status, stdout, stderr = run(nil, "policy", "test", "--policy-dir", dir)
	require.Equal(t, 1, status)
	require.Contains(t, stdout, "FAIL  data.agentidp.authz_test.test_open  ")
	require.Contains(t, stdout, "authz_test.rego:5")
	require.Contains(t, stderr, "1 of 2 tests failed")

	status, _, stderr = run(nil, "policy", "test", "--policy-dir", folder(t, "decision := http.send({})\n", ""))
	require.Equal(t, 1, status)
	require.Contains(t, stderr, "http.send is refused")
	status, _, _ = run(nil, "policy", "test", "more")
	require.Equal(t, 2, status)
}

func TestPolicyExplain(t *testing.T) {
	status, stdout, stderr := run(nil, "policy", "explain", "--route", "/notes/{id}", "--capability", "notes:read", "--path", "/notes/7", "--scope", "x:y,notes:write", "--agent", "a")
	require.Zero(t, status, stderr)
	require.Contains(t, stdout, "denied: capability_missing  (revision ")
	require.Regexp(t, `stopped at: demanded in input\.token\.scope  \(authz\.rego:\d+\)`, stdout)

	input := file(t, "input.json", `{"agent":{"id":"a"},"token":{"scope":["notes:*"]},"request":{"method":"GET"},"route":{"id":"/notes","capability":"notes:read"}}`)
	status, stdout, stderr = run(nil, "policy", "explain", "--input", input)
	require.Zero(t, status, stderr)
	require.Contains(t, stdout, "allowed: capability")
	require.Regexp(t, `yes  agentidp\.authz\.decision = \{"allow": true, "reason": "capability"\}  \(authz\.rego:\d+\)`, stdout)

	dir := folder(t, "decision := {\"allow\": true, \"reason\": \"x\"} if 1 / input.token.exp == 1\n", "")
	status, stdout, _ = run(nil, "policy", "explain", "--policy-dir", dir, "--route", "/x")
	require.Zero(t, status)
	require.Contains(t, stdout, "denied: policy_error")
	require.Contains(t, stdout, "because authz.rego:3: eval_builtin_error: div: divide by zero")

	for _, wrong := range [][]string{{}, {"--route", "getAgent"}, {"--input", file(t, "x.json", `{"rout":{}}`)}, {"--input", file(t, "y.json", `{"route":{"id":"/x"}} {}`)}} {
		status, _, _ = run(nil, append([]string{"policy", "explain"}, wrong...)...)
		require.Equal(t, 2, status, wrong)
	}
}

const recorded = `{"sequence":0,"prevHash":"","decisionId":"d-0","time":"2026-07-01T12:00:00.000Z","method":"GET","path":"/open","routeId":"/open","capability":"public","outcome":"allowed","reason":"public","status":200,"policyRevision":"r"}
{"sequence":1,"prevHash":"","decisionId":"d-1","time":"2026-07-01T12:00:01.000Z","agentId":"a","method":"GET","path":"/notes\u001b","routeId":"/notes","capability":"notes:read","outcome":"allowed","reason":"capability","status":200,"policyRevision":"r"}
{"sequence":2,"prevHash":"","time":"2026-07-01T12:00:02.000Z","method":"GET","outcome":"denied","reason":"token_missing","status":401}
nonsense
`

func TestPolicyReplay(t *testing.T) {
	log := file(t, "decisions.ndjson", recorded)
	agents := file(t, "agents.yaml", "a: ['notes:read']\n")
	status, stdout, stderr := run(nil, "policy", "replay", "--decisions", log)
	require.Zero(t, status, stderr)
	require.Contains(t, stdout, `cannot tell     2026-07-01T12:00:01.000Z "d-1" "GET" "/notes\x1b" route "/notes" agent "a": allowed capability, needs token.scope`)
	require.Contains(t, stdout, "2 decisions of a policy: 1 the same, 0 would change, 1 cannot be told, 0 not reproduced\n")
	require.Contains(t, stdout, "left out: 1 that never came to a policy, 0 ends of streams, 0 gaps, 1 unreadable\n")
	status, _, _ = run(nil, "policy", "replay", "--decisions", log, "--fail-on-change")
	require.Equal(t, 1, status, "what cannot be told is no success")
	status, _, stderr = run(nil, "policy", "replay", "--decisions", log, "--agents", agents, "--fail-on-change")
	require.Zero(t, status, stderr)

	status, stdout, stderr = run(nil, "policy", "replay", "--decisions", log, "--policy-dir", folder(t, closed, ""), "--fail-on-change")
	require.Equal(t, 1, status)
	require.Contains(t, stdout, ": allowed public → denied closed\n")
	require.Contains(t, stderr, "2 decisions would change, 0 cannot be told")
	status, stdout, _ = run(nil, "policy", "replay", "--decisions", log, "--policy-dir", folder(t, closed, ""), "--against", folder(t, closed, ""))
	require.Zero(t, status)
	require.Contains(t, stdout, "2 the same")

	for _, wrong := range [][]string{{"--decisions", log + "x"}, {"--decisions", file(t, "x", "nonsense\n")}, {"--decisions", log, "--policy-dir", log + "x"}, {"--decisions", log, "--against", log + "x"}, {"--decisions", log, "--agents", log + "x"}} {
		status, _, _ = run(nil, append([]string{"policy", "replay"}, wrong...)...)
		require.Equal(t, 1, status, wrong)
	}
	status, _, _ = run(nil, "policy", "replay")
	require.Equal(t, 2, status)
}
