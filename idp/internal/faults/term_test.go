package faults

import (
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// F23: SIGTERM under load. Health says so first, requests under way are
// answered, the last checkpoint is signed, the status is 0.
func TestF23Terminated(t *testing.T) {
	tr := newTrial(t, plain, onSQLite(t), "AGENTIDP_DRAIN_DELAY=4s", "AGENTIDP_ADMIN_ADDR="+freeAddr(t))
	tr.process.everywhere() // on loopback nobody balances load, and there is no delay
	var cut []string
	unsaid := 0
	for range pick(2, 20) {
		tr.process.Start()
		load := tr.load()
		tr.flowing(10)
		from := len(tr.ledger.all())
		said := make(chan bool)
		go func() {
			heard := false
			for tr.process.Running() {
				if tr.process.health() == http.StatusServiceUnavailable {
					heard = true
					load.ended.Store(true) // as a load balancer does: nothing new, what is under way goes on
				}
				time.Sleep(pause)
			}
			said <- heard
		}()
		begun := time.Now()
		tr.process.Signal(syscall.SIGTERM)
		require.Zero(t, tr.process.Wait(), tr.process.LogTail())
		tr.figures.downtime = max(tr.figures.downtime, time.Since(begun))
		if !<-said {
			unsaid++
		}
		load.stop()
		for _, d := range tr.ledger.all()[from:] {
			if d.told == unknown && !strings.Contains(d.reply, "connection refused") {
				cut = append(cut, string(d.kind)+" "+d.reply)
			}
		}
		tr.process.verify()
		tr.figures.runs++
	}
	figures := tr.verdict()
	figures.extra = "cut=" + itoa(len(cut)) + " unannounced=" + itoa(unsaid)
	report(t, "F23", figures)
	require.Empty(t, cut)
	require.Zero(t, unsaid)
}
