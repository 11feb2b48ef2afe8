package vaulttest_test

import (
	"encoding/json"
	"flag"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/sentryagent/agentidp/idp/internal/vault/vaulttest"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("net/http.(*persistConn).readLoop"), goleak.IgnoreAnyFunction("net/http.(*persistConn).writeLoop"))
}

var record = flag.Bool("record", false, "write testdata/recorded.json from the real server")

const recording = "testdata/recorded.json"

// The double answers as a real server did when it was recorded.
func TestDoubleAnswersAsRecorded(t *testing.T) {
	s := vaulttest.NewDouble(t)
	same(t, s, vaulttest.Exchanges(t, s))
}

// A real server, where there is one, answers so still.
func TestRealAnswersAsRecorded(t *testing.T) {
	s, stop, err := vaulttest.Real(t.Context())
	require.NoError(t, err)
	t.Cleanup(stop)
	if s == nil {
		t.Log("no real server here: the recording stands unproven")
		return
	}
	got := vaulttest.Exchanges(t, s)
	if *record {
		text, err := json.MarshalIndent(got, "", "\t")
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(recording, append(text, '\n'), 0o644))
	}
	same(t, s, got)
}

// same compares; the exchanges of a sealed server come last. Another version
// than the recorded one may say more, in other words, with the same status.
func same(t *testing.T, s *vaulttest.Server, got []vaulttest.Exchange) {
	t.Helper()
	text, err := os.ReadFile(recording)
	require.NoError(t, err)
	var want []vaulttest.Exchange
	require.NoError(t, json.Unmarshal(text, &want))
	// Numbers and lists as JSON has them.
	text, err = json.Marshal(got)
	require.NoError(t, err)
	var plain []vaulttest.Exchange
	require.NoError(t, json.Unmarshal(text, &plain))
	for i := range min(len(want), len(plain)) {
		if !s.Pinned {
			want[i].Answer, plain[i].Answer = nil, nil
		}
		require.Equal(t, want[i], plain[i])
	}
	if s.CanSeal() {
		require.Len(t, plain, len(want))
	}
}
