package faults

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// replica is one of several IdPs on a database, with the load on it alone.
type replica struct {
	*process
	client *client
	load   *load
	ledger *ledger
}

// fleet starts replicas on one database at once: the first start of all.
func fleet(t *testing.T, s *site, size int) []*replica {
	t.Helper()
	replicas := make([]*replica, size)
	for i := range replicas {
		r := &replica{process: newProcess(t, plain, s), ledger: &ledger{}}
		r.client = newClient(r.url, r.ledger)
		t.Cleanup(r.client.close)
		replicas[i] = r
		r.Launch()
	}
	for _, r := range replicas {
		await(t, "the replica is healthy", func() bool { return r.health() == 200 })
	}
	return replicas
}

func (r *replica) flowing(t *testing.T, more int) {
	t.Helper()
	before := r.ledger.answered()
	await(t, "the replica serves", func() bool { return r.ledger.answered() >= before+more })
}

// F19: replicas on one database serve side by side on one tree. One is killed
// under load: only its own requests under way are lost.
func TestF19Replicas(t *testing.T) {
	s := onPostgres(t)
	replicas := fleet(t, s, 3)
	for _, r := range replicas {
		r.load = startLoad(r.client, 1) // more would wait for the cores, not for the fault
	}
	for _, r := range replicas {
		r.flowing(t, 20)
	}
	var f figures
	for range pick(2, 20) {
		begun := time.Now()
		replicas[2].Kill()
		for _, r := range replicas[:2] {
			r.flowing(t, 10)
		}
		replicas[2].Start()
		replicas[2].flowing(t, 5)
		f.downtime = max(f.downtime, time.Since(begun))
		f.runs++
	}
	var deeds []deed
	failed := 0
	for i, r := range replicas {
		r.load.stop()
		deeds = append(deeds, r.ledger.all()...)
		for _, d := range r.ledger.all() {
			if i < 2 && d.told != yes && !d.excused() {
				failed++
				t.Logf("survivor: %+v", d)
			}
		}
	}
	for _, r := range replicas {
		r.Stop()
	}
	replicas[0].verify()
	view := look(t, s)
	f.add(judge(&view, deeds))
	f.extra = fmt.Sprintf("replicas=3 forks=%d failed_at_survivors=%d", f.forks, failed)
	report(t, "F19", f)
	require.Zero(t, f.forks)
	require.Zero(t, failed)
}
