package faults

import (
	"fmt"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp/internal/store/postgres/pgtest"
)

// ownServer is a PostgreSQL server that the test may hurt, with the address it
// listens on, and a site on it.
func ownServer(t *testing.T) (*pgtest.Server, *site) {
	t.Helper()
	server := pgtest.Start(t, pgtest.Options{})
	server.Exec(t, "postgres", "CREATE DATABASE agentidp")
	return server, postgresAt(server.URL("agentidp"))
}

// slowest of the answered deeds after the first n.
func (l *ledger) slowest(from int) (d deed) {
	for _, next := range l.all()[from:] {
		if next.done.Sub(next.sent) > d.done.Sub(d.sent) {
			d = next
		}
	}
	return d
}

// F3: PostgreSQL crashes and comes back, and is away for a while, under load.
// Writes get 503 meanwhile, soon, and the IdP recovers by itself.
func TestF3DatabaseRestarted(t *testing.T) {
	server, s := ownServer(t)
	tr := newTrial(t, plain, s)
	tr.process.Start()
	load := tr.load()
	tr.flowing(20)
	from := len(tr.ledger.all())
	recovery := time.Duration(0)
	for range pick(2, 20) {
		begun := time.Now()
		server.Restart(t, "immediate")
		recovery = max(recovery, tr.flowing(5))
		tr.figures.downtime = max(tr.figures.downtime, time.Since(begun))
		tr.figures.runs++
	}
	begun := time.Now()
	server.Stop(t, "immediate")
	await(t, "writes are refused", func() bool {
		return tr.ledger.count(func(d *deed) bool { return d.status == http.StatusServiceUnavailable }) > 0
	})
	await(t, "health says so", func() bool { return tr.process.health() == http.StatusServiceUnavailable })
	time.Sleep(pick(5*time.Second, 30*time.Second)) // the fault itself
	server.Start(t)
	recovery = max(recovery, tr.flowing(5))
	await(t, "healthy again", func() bool { return tr.process.health() == http.StatusOK })
	tr.figures.downtime = max(tr.figures.downtime, time.Since(begun))
	tr.figures.runs++
	load.stop()
	slowest := tr.ledger.slowest(from)
	require.Empty(t, tr.wrong())
	figures := tr.close()
	figures.extra = fmt.Sprintf("recovery_ms=%d slowest_ms=%d", recovery.Milliseconds(), slowest.done.Sub(slowest.sent).Milliseconds())
	report(t, "F3", figures)
	within(t, 3*time.Second, recovery)
	within(t, 2*time.Second+500*time.Millisecond, slowest.done.Sub(slowest.sent), "%+v", slowest)
}

// commitSent is the end of the message that carries COMMIT to the server.
const commitSent = "COMMIT\x00"

// F4: the connection is lost around COMMIT: before it arrived, after, or in
// silence. What the client is told is what happened.
func TestF4CommitUnknown(t *testing.T) {
	server, _ := ownServer(t)
	tunnel := newProxy(t, server.Address())
	s := postgresAt(strings.Replace(server.URL("agentidp"), server.Address(), tunnel.addr(), 1))
	s.open = postgresAt(server.URL("agentidp")).open
	tr := newTrial(t, plain, s)
	tr.process.Start()
	tells := map[told]int{}
	for _, v := range []verdict{keep, cut, vanish} {
		for _, k := range pick([]kind{create, issue, rotate, revoke}, kinds) {
			for range pick(1, 10) {
				victim := prepare(t, tr.client, k)
				tr.client.loggedIn(t)
				tunnel.when(commitSent, v)
				begun := time.Now()
				key := fmt.Sprintf("key-%d", requests.Add(1))
				d := ask(tr.client, k, &victim, key)
				for d.busy() && !tunnel.fired() && time.Since(begun) < patience { // it did not come to a COMMIT
					d = ask(tr.client, k, &victim, key)
				}
				require.True(t, tunnel.fired(), "COMMIT was seen: %+v", d)
				tells[d.told]++
				tr.figures.runs++
				tr.figures.downtime = max(tr.figures.downtime, time.Since(begun))
				tunnel.restore()
				await(t, "served again", func() bool { return tr.client.login() })
			}
		}
	}
	require.Empty(t, tr.wrong())
	figures := tr.close()
	figures.extra = fmt.Sprintf("told_yes=%d told_no=%d told_unknown=%d", tells[yes], tells[no], tells[unknown])
	report(t, "F4", figures)
}

// F26: the database is paused under load.
func TestF26DatabasePaused(t *testing.T) {
	server, s := ownServer(t)
	tr := newTrial(t, plain, s)
	tr.process.Start()
	load := tr.load()
	tr.flowing(20)
	from := len(tr.ledger.all())
	for range pick(1, 5) {
		begun := time.Now()
		server.Signal(t, syscall.SIGSTOP)
		time.Sleep(pick(3*time.Second, 30*time.Second)) // the fault itself
		server.Signal(t, syscall.SIGCONT)
		tr.flowing(20)
		tr.figures.downtime = max(tr.figures.downtime, time.Since(begun))
		tr.figures.runs++
	}
	load.stop()
	slowest := tr.ledger.slowest(from)
	require.Empty(t, tr.wrong())
	figures := tr.close()
	figures.extra = fmt.Sprintf("paused=database slowest_ms=%d", slowest.done.Sub(slowest.sent).Milliseconds())
	report(t, "F26", figures)
}
