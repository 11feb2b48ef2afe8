package policy

import (
	"fmt"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/sentryagent/agentidp/shared/apierr"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const head = "package agentidp.authz\n\n"

// patient is a deadline that a busy machine keeps too.
const patient = time.Minute

// folder makes a policy folder from alternating names and contents.
func folder(namesAndContents ...string) fstest.MapFS {
	files := fstest.MapFS{}
	for i := 0; i < len(namesAndContents); i += 2 {
		files[namesAndContents[i]] = &fstest.MapFile{Data: []byte(namesAndContents[i+1])}
	}
	return files
}

// authz makes a policy of one file with the given rules.
func authz(rules string) fstest.MapFS { return folder("authz.rego", head+rules) }

func engine(t testing.TB, files fstest.MapFS) *Engine {
	t.Helper()
	e, err := New(t.Context(), files, Options{Timeout: patient})
	require.NoError(t, err)
	return e
}

// answer makes a rule that always gives the decision, as "true reason".
func answer(allow bool, reason string) string {
	return fmt.Sprintf("decision := {\"allow\": %v, \"reason\": %q}\n", allow, reason)
}

func requireUnavailable(t *testing.T, reason string, d Decision, err error) {
	t.Helper()
	require.Equal(t, Decision{Reason: reason, Revision: d.Revision}, d)
	require.True(t, apierr.Is(err, apierr.Unavailable), "%v", err)
	require.Equal(t, reason, apierr.From(err).Reason)
	require.NotContains(t, apierr.From(err).Detail, "rego")
}

func sample() Input {
	return Input{
		Agent:   Agent{ID: "a-1", OrganizationID: "o-1", ClientID: "c-1"},
		Token:   Token{JTI: "j-1", Audience: []string{"https://notes.example"}, Scope: []string{"notes:read"}, ExpiresAt: 1_900_000_000},
		Request: Request{Method: "GET", Host: "notes.example", Path: "/notes/7", Peer: "192.0.2.1"},
		Route:   Route{ID: "/notes/{id}", Capability: "notes:read"},
	}
}

func lines(text ...string) string { return strings.Join(text, "\n") + "\n" }
