package drill_test

import (
	"fmt"
	"net/http"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A store is destroyed under load and put back by the runbook. What was told
// before the backup is so again; all that was out is dead (docs/adr/0014); what
// was lost is named, and done again.
func TestRestore(t *testing.T) {
	t.Parallel()
	bin := programs(t)
	for name, on := range map[string]func(*testing.T, string) *place{"sqlite": onSQLite, "postgres": onDump, "postgres_archive": onArchive, "postgres_standby": onStandby} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			drill(t, on(t, bin), bin)
		})
	}
}

func drill(t *testing.T, w *place, bin string) {
	clients := make([]*client, len(w.replicas))
	for i, p := range w.replicas {
		p.Start()
		clients[i] = newClient(t, p.url)
	}
	first, c := w.replicas[0], clients[0]
	reader := c.enrol(t, "notes-reader", "custom", `"notes:read"`)
	front := startSidecar(t, bin, first, c.enrol(t, "notes-sidecar", "sidecar", `"revocations:read","decisions:write"`))
	load := startLoad(clients[0], clients[len(clients)-1])
	load.flowing(t, 3)
	_, early := c.tokenOf(t, reader.clientID, reader.secret, audience)
	await(t, "the sidecar takes the token", func() bool { return front.call(t, early) == http.StatusOK })
	await(t, "decisions arrive", func() bool { return c.shipped(t) > 0 })
	kids := c.kids(t)
	monitored := kept(t, first, c)
	first.sh("cp elsewhere/audit.checkpoint elsewhere/before")

	begun := time.Now()
	copied := w.backup(t)
	ended := time.Now()
	backup := ended.Sub(begun)

	load.flowing(t, 1)
	known := load.all(func(one *life) bool { return one.done.Before(begun) })
	lost := changeSince(t, c, known)
	_, late := c.tokenOf(t, reader.clientID, reader.secret, audience)
	await(t, "the sidecar takes tokens of the key that signs now", func() bool { return front.call(t, late) == http.StatusOK })
	shipped := c.shipped(t)
	newest := sequence(t, c)
	size := outgrown(t, first, c, newest)
	require.Greater(t, size, monitored)
	first.sh("cp elsewhere/audit.checkpoint elsewhere/lost")

	disaster := time.Now()
	load.die(func() {
		for _, p := range w.replicas {
			p.Kill()
		}
		w.destroy(t)
	})
	require.Empty(t, load.refused())
	require.Equal(t, http.StatusOK, front.call(t, late), "what is out goes on without the IdP")

	w.prepare(t)
	begun = time.Now()
	printed := w.restore(t)
	restore := time.Since(begun)
	for _, p := range w.replicas {
		p.Start()
	}
	for _, c := range clients {
		c.admin = ""
	}
	status, fresh := c.tokenOf(t, reader.clientID, reader.secret, audience)
	require.Equal(t, http.StatusOK, status)
	recovery := time.Since(disaster)

	after := &aftermath{T: t, clients: clients}
	events := after.named(printed, size)
	if w.name == "sqlite" { // pg_dump does not count
		require.Contains(t, copied, restoredLine.FindStringSubmatch(printed)[1], "the tree of the backup")
	}
	for _, token := range []string{early, late, lost.token} {
		after.dead(token)
	}
	for _, kid := range kids {
		require.NotContains(t, c.kids(t), kid, "it may have been revoked as stolen since")
	}
	await(t, "the sidecar refuses what was out", func() bool { return front.call(t, late) == http.StatusUnauthorized })
	await(t, "the sidecar takes what is new", func() bool { return front.call(t, fresh) == http.StatusOK })
	await(t, "its decisions go on where they were", func() bool { return c.shipped(t) > shipped })
	for _, one := range known {
		after.as(one)
	}
	after.again(lost)
	for _, one := range load.all(func(one *life) bool { return one.begun.After(ended) })[:4] {
		after.gone(one)
	}

	again := startLoad(clients...)
	again.flowing(t, 1)
	again.stop()
	require.Empty(t, again.refused())
	for sequence(t, c) <= size { // else nobody could compare
		c.tokenOf(t, reader.clientID, reader.secret, audience)
	}
	outgrown(t, first, c, size)
	for _, p := range w.replicas {
		p.Stop()
	}
	verified(t, first, "elsewhere/before --checkpoint elsewhere/audit.checkpoint")
	first.refused("NOT VALID", "agentidp audit verify --offline --checkpoint elsewhere/lost")
	fmt.Printf("drill store=%s events=%d lost=%d backup_ms=%d restore_ms=%d recovery_ms=%d verified=%d\n",
		w.name, events, size-events, backup.Milliseconds(), restore.Milliseconds(), recovery.Milliseconds(), after.facts)
	require.Less(t, recovery, 5*time.Minute, "docs/deployment.md promises it")
}

// kept fetches the latest checkpoint by the runbook's command, and says how many events it covers.
func kept(t *testing.T, p *idp, c *client) (size int64) {
	t.Helper()
	bearer, err := c.bearer()
	require.NoError(t, err)
	env := append(p.Env[:len(p.Env):len(p.Env)], "ISSUER="+c.base, "TOKEN="+bearer[len("Bearer "):])
	sh(t, p.machine, env, documented(t, runbook, "checkpoint"))
	lines := regexp.MustCompile(`\n(\d+)\n`).FindStringSubmatch(read(t, filepath.Join(p.machine, "elsewhere", "audit.checkpoint")))
	require.NotNil(t, lines)
	return number(t, lines[1])
}

// outgrown waits for a checkpoint that covers the event of that sequence.
func outgrown(t *testing.T, p *idp, c *client, sequence int64) (size int64) {
	t.Helper()
	require.Eventually(t, func() bool { size = kept(t, p, c); return size > sequence }, patience, 200*time.Millisecond)
	return size
}
