package faults

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// clockFile moves the clock of processes that were started with its environment.
type clockFile string

func newClock(t *testing.T) clockFile { return clockFile(filepath.Join(t.TempDir(), "clock")) }

func (c clockFile) env() string { return "AGENTIDP_FAULT_CLOCK=" + string(c) }

func (c clockFile) set(t *testing.T, offset string) {
	t.Helper()
	require.NoError(t, os.WriteFile(string(c)+".new", []byte(offset), 0o600))
	require.NoError(t, os.Rename(string(c)+".new", string(c)))
}

// F26: the IdP is paused under load. Nothing is issued twice, and a token that
// expired meanwhile is not accepted.
func TestF26Paused(t *testing.T) {
	clock := newClock(t)
	tr := newTrial(t, faultful, onSQLite(t), clock.env(), "AGENTIDP_TOKEN_TTL=60s")
	tr.process.Start()
	var stale string
	insist(t, func() (d deed) { d, stale = tr.client.issue(holder{clientID: adminID, secret: adminSecret}); return d })
	load := tr.load()
	tr.flowing(20)
	for range pick(1, 5) {
		begun := time.Now()
		tr.process.Signal(syscall.SIGSTOP)
		time.Sleep(pick(3*time.Second, 30*time.Second)) // the fault itself
		tr.process.Signal(syscall.SIGCONT)
		tr.flowing(20)
		tr.figures.downtime = max(tr.figures.downtime, time.Since(begun))
		tr.figures.runs++
	}
	load.stop()
	clock.set(t, "+90s") // as if the pause had been longer than a token lives
	accepted := 0
	if tr.client.known(t, stale) {
		accepted++
	}
	require.Empty(t, tr.wrong())
	figures := tr.close()
	figures.extra = "wrong_accepts=" + itoa(accepted)
	report(t, "F26", figures)
	require.Zero(t, accepted)
}
