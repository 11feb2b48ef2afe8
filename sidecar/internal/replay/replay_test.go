package replay_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/policies"
	"github.com/sentryagent/agentidp/shared/decision"
	"github.com/sentryagent/agentidp/shared/policy"
	"github.com/sentryagent/agentidp/sidecar/internal/replay"
	"github.com/sentryagent/agentidp/sidecar/internal/spool"
)

// onCall denies DELETE before it looks at the scope.
const onCall = `package agentidp.authz

default decision := {"allow": false, "reason": "capability_missing"}

decision := {"allow": false, "reason": "not_on_call"} if input.request.method == "DELETE"

else := {"allow": true, "reason": "public"} if input.route.capability == "public"

else := {"allow": true, "reason": "capability"} if input.route.capability in input.token.scope
`

func load(t *testing.T, text string) *policy.Engine {
	t.Helper()
	e, err := policy.New(t.Context(), fstest.MapFS{"authz.rego": {Data: []byte(text)}}, policy.Options{Timeout: time.Minute, Sidecar: true})
	require.NoError(t, err)
	return e
}

func builtIn(t *testing.T) *policy.Engine {
	t.Helper()
	e, err := policy.New(t.Context(), policies.Sidecar, policy.Options{Timeout: time.Minute, Sidecar: true})
	require.NoError(t, err)
	return e
}

// record is a permitted read by agent a.
func record(change ...func(*decision.Record)) decision.Record {
	r := decision.Record{
		DecisionID: "d-1", Time: "2026-07-01T12:00:00.000Z", AgentID: "a", OrganizationID: "default", ClientID: "c", JTI: "j", Method: "GET", Host: "notes.example.com",
		Path: "/notes/7", RouteID: "/notes/{id}", Capability: "notes:read", Outcome: decision.Allowed, Reason: "capability", Status: 200, PolicyRevision: "r-1", Peer: "192.0.2.1",
	}
	for _, c := range change {
		c(&r)
	}
	return r
}

func deletes(r *decision.Record)   { r.Method = "DELETE" }
func anonymous(r *decision.Record) { r.AgentID, r.OrganizationID, r.ClientID, r.JTI = "", "", "", "" }

func public(r *decision.Record) {
	anonymous(r)
	r.Capability, r.Reason = "public", "public"
}

func TestWithoutTheScope(t *testing.T) {
	r := &replay.Replayer{Candidate: load(t, onCall)}
	got := r.Judge(t.Context(), record())
	require.Equal(t, replay.Undecidable, got.Kind)
	require.Equal(t, []string{"token.scope"}, got.Lacks)

	got = r.Judge(t.Context(), record(deletes))
	require.Equal(t, replay.Changed, got.Kind, "the scope plays no part")
	require.Equal(t, "allowed capability", got.Old.String())
	require.Equal(t, "denied not_on_call", got.New.String())

	require.Equal(t, replay.Same, r.Judge(t.Context(), record(public)).Kind, "there was no token")

	byExpiry := load(t, "package agentidp.authz\n\ndecision := {\"allow\": input.token.exp > 1, \"reason\": \"capability\"}\n")
	require.Equal(t, []string{"token.exp"}, (&replay.Replayer{Candidate: byExpiry}).Judge(t.Context(), record()).Lacks)
	byTool := load(t, "package agentidp.authz\n\ndecision := {\"allow\": input.rpc.name == \"x\", \"reason\": \"capability\"}\n")
	require.Equal(t, []string{"rpc"}, (&replay.Replayer{Candidate: byTool}).Judge(t.Context(), record()).Lacks)
	byPath := load(t, "package agentidp.authz\n\ndecision := {\"allow\": endswith(input.request.path, \"x\"), \"reason\": \"capability\"}\n")
	long := record(func(r *decision.Record) { r.Path = "/" + string(bytes.Repeat([]byte("x"), decision.MaxPathBytes-1)) })
	require.Equal(t, []string{"request.path"}, (&replay.Replayer{Candidate: byPath}).Judge(t.Context(), long).Lacks, "it may have been cut")
	folded := record(public, func(r *decision.Record) { r.Count = 7 })
	require.Equal(t, []string{"request"}, r.Judge(t.Context(), folded).Lacks)
}

func TestWithScopes(t *testing.T) {
	r := &replay.Replayer{Candidate: load(t, onCall), Scopes: map[string][]string{"a": {"notes:read"}, "b": {"notes:*"}}}
	require.Equal(t, replay.Same, r.Judge(t.Context(), record()).Kind)
	got := r.Judge(t.Context(), record(func(r *decision.Record) { r.AgentID = "b" }))
	require.Equal(t, replay.Changed, got.Kind, "this policy knows no wildcards")
	require.Equal(t, "denied capability_missing", got.New.String())
	require.Equal(t, replay.Undecidable, r.Judge(t.Context(), record(func(r *decision.Record) { r.AgentID = "c" })).Kind)
}

func TestAgainst(t *testing.T) {
	built := builtIn(t)
	r := &replay.Replayer{Candidate: load(t, onCall), Against: built, Scopes: map[string][]string{"a": {"notes:*"}, "x": {"x:y"}}}
	ours := func(rec *decision.Record) { rec.PolicyRevision = built.Revision() }
	got := r.Judge(t.Context(), record(ours))
	require.Equal(t, replay.Changed, got.Kind)
	got = r.Judge(t.Context(), record(ours, func(r *decision.Record) { r.AgentID = "x" }))
	require.Equal(t, replay.NotReproduced, got.Kind, "with this scope it was not permitted")
	require.Equal(t, "allowed capability", got.Old.String())
	got = r.Judge(t.Context(), record(func(r *decision.Record) { r.AgentID = "x" }))
	require.Equal(t, replay.Same, got.Kind, "of another revision: compared with the policy, not with the record")
	require.Equal(t, replay.Undecidable, r.Judge(t.Context(), record(ours, func(r *decision.Record) { r.AgentID = "y" })).Kind)
}

func TestWhatThePolicySaid(t *testing.T) {
	for want, change := range map[string]func(*decision.Record){
		"allowed capability":        func(*decision.Record) {},
		"allowed":                   func(r *decision.Record) { r.Reason = "stream_started" },
		"denied capability_missing": func(r *decision.Record) { r.Reason = "shadow_capability_missing" },
		"error policy_timeout":      func(r *decision.Record) { r.Reason = "shadow_policy_timeout" },
		"denied not_on_call":        func(r *decision.Record) { r.Outcome, r.Status, r.Reason = decision.Denied, 403, "not_on_call" },
		"error policy_error":        func(r *decision.Record) { r.Outcome, r.Status, r.Reason = decision.Error, 503, "policy_error" },
	} {
		require.Equal(t, want, replay.Recorded(record(change)).String())
	}
	require.Equal(t, "allowed", replay.Recorded(record(func(r *decision.Record) {
		r.Outcome, r.Status, r.Reason = decision.Error, 502, "upstream_unreachable"
	})).String())
}

func TestRecordsThatAreNoDecisions(t *testing.T) {
	r := &replay.Replayer{Candidate: builtIn(t), Scopes: map[string][]string{"a": {"notes:read"}}}
	judge := func(change ...func(*decision.Record)) replay.Kind {
		return r.Judge(t.Context(), record(change...)).Kind
	}
	require.Equal(t, replay.Gap, judge(func(r *decision.Record) { r.Outcome = decision.Gap }))
	require.Equal(t, replay.NotJudged, judge(func(r *decision.Record) {
		r.PolicyRevision, r.Outcome, r.Status, r.Reason = "", decision.Denied, 401, "expired"
	}))
	require.Equal(t, replay.Same, judge(func(r *decision.Record) { r.Reason = "stream_started" }))
	require.Equal(t, replay.Continued, judge(func(r *decision.Record) { r.Outcome, r.Status, r.Reason = decision.Denied, 401, "agent_revoked" }))
	require.Equal(t, replay.Same, judge(), "the id is free again")
}

func line(t *testing.T, r decision.Record) []byte {
	t.Helper()
	text, err := json.Marshal(r)
	require.NoError(t, err)
	return append(text, '\n')
}

func read(t *testing.T, path string) (ids []string, unreadable int) {
	t.Helper()
	unreadable, err := replay.Read(path, func(r decision.Record) { ids = append(ids, r.DecisionID) })
	require.NoError(t, err)
	return ids, unreadable
}

func TestRead(t *testing.T) {
	dir := t.TempDir()
	text := append(line(t, record()), "not a record\n\n"...)
	plain, zipped := filepath.Join(dir, "a.ndjson"), filepath.Join(dir, "b")
	require.NoError(t, os.WriteFile(plain, text, 0o600))
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	_, err := w.Write(text)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	require.NoError(t, os.WriteFile(zipped, packed.Bytes(), 0o600))
	for _, path := range []string{plain, zipped} {
		ids, unreadable := read(t, path)
		require.Equal(t, []string{"d-1"}, ids)
		require.Equal(t, 1, unreadable)
	}
	_, err = replay.Read(filepath.Join(dir, "none"), nil)
	require.Error(t, err)
	require.NoError(t, os.WriteFile(zipped, packed.Bytes()[:20], 0o600))
	_, err = replay.Read(zipped, func(decision.Record) {})
	require.Error(t, err)
}

// A spool is read beside the sidecar that writes it, packed segments and all.
func TestReadSpool(t *testing.T) {
	data := t.TempDir()
	sp, err := spool.Open(filepath.Join(data, "spool"), spool.Options{MaxBytes: spool.MinMaxBytes * 16, Policy: spool.DropOldest, Local: true})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, sp.Close()) })
	const n = 6000
	for range n {
		r := record()
		_, err := sp.Append(&r)
		require.NoError(t, err)
	}
	require.Eventually(t, func() bool {
		packed, err := filepath.Glob(filepath.Join(data, "spool", "*.ndjson.zst"))
		require.NoError(t, err)
		return len(packed) > 0
	}, time.Minute, 10*time.Millisecond)
	for _, path := range []string{data, filepath.Join(data, "spool")} {
		ids, unreadable := read(t, path)
		require.Zero(t, unreadable)
		require.Equal(t, n, len(ids)) //nolint:testifylint // Len would print them all
	}
	packed, err := filepath.Glob(filepath.Join(data, "spool", "*.ndjson.zst"))
	require.NoError(t, err)
	alone, unreadable := read(t, packed[0])
	require.NotEmpty(t, alone)
	require.Zero(t, unreadable)
	require.NoError(t, os.WriteFile(packed[0], []byte("damaged"), 0o600))
	ids, unreadable := read(t, data)
	require.Equal(t, 1, unreadable)
	require.Less(t, len(ids), n)
}

func TestReadScopes(t *testing.T) {
	file := filepath.Join(t.TempDir(), "agents")
	for text, want := range map[string]map[string][]string{
		`{"data": [{"agentId": "a", "email": "a@example.com", "capabilities": ["notes:read"]}], "total": 1}`: {"a": {"notes:read"}},
		"a: ['notes:*']\nb: []\n": {"a": {"notes:*"}, "b": {}},
	} {
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
		got, err := replay.ReadScopes(file)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	require.NoError(t, os.WriteFile(file, []byte("- a\n"), 0o600))
	_, err := replay.ReadScopes(file)
	require.Error(t, err)
	_, err = replay.ReadScopes(file + "x")
	require.Error(t, err)
}
