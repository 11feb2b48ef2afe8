package faults

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp/internal/failpoint"
)

// victim is what one request needs to be asked.
type victim struct {
	holder
	token string
}

// kinds are the operations that faults hit.
var kinds = []kind{create, credential, issue, rotate, revoke, withdraw, suspend, remove}

// prepare makes what a request of the kind needs.
func prepare(t *testing.T, c *client, k kind) (v victim) {
	t.Helper()
	if k == create {
		v.email = fmt.Sprintf("victim-%d@example.com", emails.Add(1))
		return v
	}
	insist(t, func() (d deed) { d, v.holder = c.create("", ""); return d })
	if k == credential || k == suspend || k == remove {
		return v
	}
	agent := v.holder
	insist(t, func() (d deed) { d, v.holder = c.credential(agent, ""); return d })
	if k == revoke {
		insist(t, func() (d deed) { d, v.token = c.issue(v.holder); return d })
	}
	return v
}

// insist repeats a request while the machine is too busy for it.
func insist(t *testing.T, attempt func() deed) {
	t.Helper()
	d := attempt()
	for begun := time.Now(); d.busy() && time.Since(begun) < patience; d = attempt() {
		time.Sleep(pause)
	}
	require.Equal(t, yes, d.told, "%+v", d)
}

// ask makes the request; v becomes what the client knows then.
func ask(c *client, k kind, v *victim, key string) (d deed) {
	switch k {
	case create:
		d, v.holder = c.create(v.email, key)
	case credential:
		var h holder
		if d, h = c.credential(v.holder, key); d.told == yes {
			v.holder = h
		}
	case issue:
		d, v.token = c.issue(v.holder)
	case rotate:
		d, v.holder = c.rotate(v.holder, key)
	case revoke:
		d = c.revoke(v.holder, v.token)
	case withdraw:
		d = c.withdraw(v.holder)
	case suspend:
		d = c.suspend(v.holder)
	case remove:
		d = c.remove(v.holder)
	}
	return d
}

// trial is one IdP under test with the client that keeps the ledger.
type trial struct {
	*testing.T
	site    *site
	process *process
	client  *client
	ledger  *ledger
	figures figures
}

func newTrial(t *testing.T, tags string, s *site, env ...string) *trial {
	t.Helper()
	tr := &trial{T: t, site: s, process: newProcess(t, tags, s, env...), ledger: &ledger{}}
	tr.client = newClient(tr.process.url, tr.ledger)
	t.Cleanup(tr.client.close)
	return tr
}

// restart starts the IdP after its end and counts the time it was away since begun.
func (tr *trial) restart(begun time.Time) {
	tr.Helper()
	tr.process.Start()
	tr.figures.downtime = max(tr.figures.downtime, time.Since(begun))
}

// close stops the IdP, verifies the log and judges.
func (tr *trial) close() figures {
	tr.Helper()
	tr.process.Stop()
	return tr.verdict()
}

// verdict verifies and judges what a stopped IdP left.
func (tr *trial) verdict() figures {
	tr.Helper()
	tr.process.verify()
	view := look(tr.T, tr.site)
	tr.figures.add(judge(&view, tr.ledger.all()))
	return tr.figures
}

// F1: kill -9 at every point of every operation. What was acknowledged is
// there; what was not is there whole or not at all; the same request then works.
func TestF1KilledAtEveryPoint(t *testing.T) {
	onEach(t, func(t *testing.T, s *site) {
		tr := newTrial(t, faultful, s)
		tr.process.Start()
		for _, k := range kinds {
			for _, point := range s.points {
				for range pick(1, 10) {
					killedAt(tr, k, point)
				}
			}
		}
		figures := tr.close()
		figures.extra = "backend=" + s.backend
		report(t, "F1", figures)
		within(t, 5*time.Second, figures.downtime)
	})
}

func killedAt(tr *trial, k kind, point failpoint.Point) {
	v := prepare(tr.T, tr.client, k)
	key := fmt.Sprintf("key-%d", requests.Add(1))
	tr.client.loggedIn(tr.T)
	tr.process.arm(point.String() + "=kill")
	d := ask(tr.client, k, &v, key)
	for begun := time.Now(); d.busy() && time.Since(begun) < patience; d = ask(tr.client, k, &v, key) {
		time.Sleep(pause)
	}
	require.Equal(tr, unknown, d.told, "%s at %s: %+v", k, point, d)
	begun := time.Now()
	require.Equal(tr, -1, tr.process.Wait(), "%s at %s", k, point)
	tr.process.arm("")
	tr.restart(begun)
	tr.figures.runs++
	tr.askAgain(k, &v, key, point.String())
}

// askAgain makes the request a second time, after a restart: it works, or the
// first one did take place, and its secret is gone with the answer.
func (tr *trial) askAgain(k kind, v *victim, key, after string) {
	tr.Helper()
	again := ask(tr.client, k, v, key)
	for begun := time.Now(); again.busy() && time.Since(begun) < patience; again = ask(tr.client, k, v, key) {
		time.Sleep(pause)
	}
	if again.told == yes {
		return
	}
	require.Equal(tr, 409, again.status, "%s at %s: %+v", k, after, again)
	switch k {
	case credential:
		require.Contains(tr, again.reply, "credentialId")
	case rotate:
		d, h := tr.client.rotate(v.holder, "")
		require.Equal(tr, yes, d.told, "%+v", d)
		d, _ = tr.client.issue(h)
		require.Equal(tr, yes, d.told, "the credential is recovered by rotating again: %+v", d)
	default:
		require.Contains(tr, []kind{suspend, withdraw, remove}, k, "%+v", again)
	}
}

// F2: kill -9 between commit and answer. Who asks again with the same
// Idempotency-Key has one agent; a credential whose secret went with the answer
// is recovered by rotating it.
func TestF2AnswerLost(t *testing.T) {
	tr := newTrial(t, faultful, onSQLite(t))
	tr.process.Start()
	for _, k := range []kind{create, credential, rotate} {
		for _, point := range []failpoint.Point{failpoint.StoreCommitted, failpoint.AuditCommitted, failpoint.RequestDone} {
			for range pick(2, 20) {
				killedAt(tr, k, point)
			}
		}
	}
	tr.close()
	view := look(t, tr.site)
	tr.figures.extra = fmt.Sprintf("duplicates=%d", len(twins(&view, tr.ledger.all())))
	report(t, "F2", tr.figures)
}
