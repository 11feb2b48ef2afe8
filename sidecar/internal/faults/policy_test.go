package faults

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// rules let holders of the capability pass, unless the path is one of the
// denied; /wait/… takes longer than anybody has.
const rules = `package agentidp.authz

default decision := {"allow": false, "reason": "capability_missing"}

decision := {"allow": true, "reason": "capability"} if {
	input.route.capability in input.token.scope
	not input.request.path in {%s}
	quick
}

quick if not startswith(input.request.path, "/wait/")

# About a second, without a deadline.
quick if {
	startswith(input.request.path, "/wait/")
	count([1 | some i in numbers.range(1, 1000); some j in numbers.range(1, 1000); i * j == -1]) == 0
}
`

const rulesTest = `package agentidp.authz_test

import data.agentidp.authz

test_capability if {
	authz.decision.allow with input as {"token": {"scope": ["notes:read"]}, "request": {"path": "/notes/1"}, "route": {"capability": "notes:read"}}
}

test_nothing if {
	not authz.decision.allow with input as {"token": {"scope": []}, "request": {"path": "/notes/1"}, "route": {"capability": "notes:read"}}
}
`

// policyFolder is a policy that changes as files do: whole or not at all.
type policyFolder struct {
	t    *testing.T
	path string
}

func (p policyFolder) write(name, text string) {
	p.t.Helper()
	hidden := filepath.Join(filepath.Dir(p.path), name+".new")
	require.NoError(p.t, os.WriteFile(hidden, []byte(text), 0o600))
	require.NoError(p.t, os.Rename(hidden, filepath.Join(p.path, name)))
}

// deny makes the policy deny these paths too.
func (p policyFolder) deny(paths ...string) {
	p.t.Helper()
	quoted := make([]string, len(paths))
	for i, path := range paths {
		quoted[i] = fmt.Sprintf("%q", path)
	}
	p.write("authz.rego", fmt.Sprintf(rules, strings.Join(quoted, ", ")))
}

const guarded = "/notes/7" // what one of the two policies denies

// F21: the policy is broken, slow, or replaced under load. What does not load
// changes nothing, what is too slow denies, and no request passes that the policy
// in force denies.
func TestF21Policy(t *testing.T) {
	t.Parallel()
	p, a, l := newIdP(t), newAPI(t), &ledger{}
	token := p.reader()
	folder := policyFolder{t: t, path: filepath.Join(t.TempDir(), "policy")}
	require.NoError(t, os.Mkdir(folder.path, 0o700))
	folder.write("authz_test.rego", rulesTest)
	folder.deny(guarded)
	s := newSidecar(t, p, a.URL, "AGENTIDP_SIDECAR_POLICY_DIR="+folder.path)
	s.Start()
	revision := func() (string, string) { _, r := s.look(); return r.Policy.Revision, r.Policy.Error }
	strict, _ := revision()
	load := start(l, 2, 2*time.Millisecond, at(s), func(n int) (string, string) {
		switch n % 20 {
		case 3:
			return guarded, token
		case 9:
			return "/wait/1", token
		case 13:
			return "/secret", token
		}
		return "/notes/1", token
	})
	late := refusedWith("policy_timeout") // of a quick rule, too, when the machine has no time for it
	denies := func(d *deed) bool { return late(d) || d.told == answers && d.reason == "capability_missing" }
	flowing(t, l, 100)
	runs := 0
	for what, text := range map[string]string{
		"no Rego": "package agentidp.authz\n\ndecision :=", "fails its test": "package agentidp.authz\n\ndecision := {\"allow\": true, \"reason\": \"all\"}",
		"calls out": "package agentidp.authz\n\ndecision := {\"allow\": http.send({\"method\": \"GET\", \"url\": \"http://127.0.0.1\"}).status_code == 200}",
	} {
		folder.write("authz.rego", text)
		s.Signal(syscall.SIGHUP)
		await(t, what+" is refused", func() bool { now, trouble := revision(); return trouble != "" && now == strict })
		flowing(t, l, pick(100, 2000))
		folder.deny(guarded)
		s.Signal(syscall.SIGHUP)
		await(t, "it is mended", func() bool { _, trouble := revision(); return trouble == "" })
		runs++
	}
	flowing(t, l, 50)
	broken := having(l.since(0), except(guarded, denies))
	lax := ""
	for range pick(3, 30) {
		folder.deny()
		s.Signal(syscall.SIGHUP)
		await(t, "the laxer policy is in force", func() bool { now, _ := revision(); return now != strict })
		lax, _ = revision()
		flowing(t, l, pick(60, 500))
		folder.deny(guarded)
		s.Signal(syscall.SIGHUP)
		await(t, "the stricter policy is in force", func() bool { now, _ := revision(); return now == strict })
		// From here on nothing may pass. Requests under way began under the other.
		from := time.Now()
		flowing(t, l, pick(60, 500))
		broken = append(broken, having(l.since(0), except(guarded, func(d *deed) bool { return d.sent.Before(from) || denies(d) }))...)
		runs++
	}
	load.stop()
	deeds := l.since(0)
	slow := having(deeds, except("/wait/", late))
	failed := having(deeds, except("/notes/1", func(d *deed) bool { return served(d) || late(d) }))
	slowest := percentile(deeds, 1, except("/wait/", func(*deed) bool { return false }))
	f, events := verdict(p, l, a, s)
	f.runs = runs
	allows, laxAllows := 0, 0
	for i := range events {
		e := &events[i]
		if e.Action != "decision.allowed" {
			continue
		}
		switch m := &e.Metadata; {
		case strings.HasPrefix(m.Path, "/wait/"), m.Path == "/secret", m.Path == guarded && m.PolicyRevision == strict:
			allows++
		case m.Path == guarded && m.PolicyRevision == lax:
			laxAllows++
		}
	}
	report(t, "F21", f, "wrong_allows=%d after_reload=%d slow_not_denied=%d failed=%d lax_allows=%d slowest_rule_ms=%s", allows, len(broken), len(slow), len(failed), laxAllows, slowest)
	require.Zero(t, allows)
	require.Positive(t, laxAllows)
	require.Empty(t, some(broken))
	require.Empty(t, some(slow))
	require.Empty(t, some(failed))
}
