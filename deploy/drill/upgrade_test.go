package drill_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The schema changes under replicas of the version before, which go on serving;
// then both versions serve side by side, then the new one alone. The way back
// ends where docs/operations.md says that it does.
func TestUpgradePostgres(t *testing.T) {
	t.Parallel()
	now := programs(t)
	then, commit := previous(t, "postgres")
	s := newServer(t)
	s.sql(documented(t, "production.md", "roles"))
	env, issuer := []string{"DATABASE_URL=" + s.url("agentidp_app"), "AGENTIDP_MIGRATE=false"}, ""
	migrate := "DATABASE_URL=" + s.url("agentidp_owner") + " agentidp migrate up"
	replica := func(bin string) (*idp, *client) {
		p := newIdP(t, bin, issuer, env...)
		if issuer == "" {
			issuer = p.url
			p.sh(migrate)
		}
		return p, newClient(t, p.url)
	}
	old1, a := replica(then)
	old2, b := replica(then)
	new1, c := replica(now)
	new2, d := replica(now)
	old1.Start()
	old2.Start()
	load := startLoad(a, b)
	ship := startShipping(t, load, a)
	load.flowing(t, 2)

	new1.startRefused("migrate up") // nothing is served on a schema that is too old
	load.dense.Store(true)
	load.flowing(t, 1)
	begun := time.Now()
	steps := strings.Count(new1.sh(migrate), "applied ")
	ended := time.Now()
	load.dense.Store(false)
	require.Positive(t, steps, "%s is one change behind", commit)
	load.flowing(t, 1)
	require.Empty(t, load.refused(), "the version before serves on the new schema")
	longest, busy, requests := load.longest(begun, ended)
	require.Positive(t, requests)
	require.Zero(t, busy, "writers may wait, but none is turned away; the longest took %s", longest)

	new1.Start()
	new2.Start()
	beside := startLoad(c, d)
	beside.flowing(t, 1)
	for i, pair := range [][2]*client{{a, c}, {d, b}} {
		agree(t, fmt.Sprint("moved-", i), pair[0], pair[1])
	}
	new1.sh("agentidp audit verify --offline")

	// Back, as far as it goes: the new ones stop, and the old ones serve on.
	beside.stop() // its requests end before their replicas do
	new1.Stop()
	new2.Stop()
	load.flowing(t, 1)
	ship.stop(t)
	load.stop()
	old2.Stop()
	old2.startRefused("this release knows")

	// And forth again: the last old one ends while a new one serves.
	new1.Start()
	after := startLoad(c)
	after.flowing(t, 1)
	old1.Stop()
	after.flowing(t, 1)
	after.stop()
	facts := &aftermath{T: t, clients: []*client{c}}
	lives := append(load.all(everybody), beside.all(everybody)...)
	for _, one := range lives {
		facts.holds(one)
	}
	require.Equal(t, ship.sequence, c.shipped(t), "of the decisions")
	new1.Stop()
	events := verified(t, new1, "")
	require.Empty(t, append(append(load.refused(), beside.refused()...), after.refused()...))
	fmt.Printf("upgrade store=postgres from=%.7s steps=%d migrate_ms=%d requests=%d longest_wait_ms=%d refused=%d lives=%d decisions=%d events=%d\n",
		commit, steps, ended.Sub(begun).Milliseconds(), requests, longest.Milliseconds(), busy, len(lives), ship.sequence, events)
}

// agree changes things at one replica that the other must know at once.
func agree(t *testing.T, name string, here, there *client) {
	t.Helper()
	e := here.enrol(t, name, "custom", `"notes:read"`)
	both := &aftermath{T: t, clients: []*client{here, there}}
	both.served(e.clientID, e.secret)
	_, token := there.tokenOf(t, e.clientID, e.secret, "")
	there.must(t, request{method: "PATCH", path: "/api/v1/agents/" + e.agent, body: `{"status":"suspended"}`})
	both.refused(e.clientID, e.secret)
	both.dead(token)
	here.must(t, request{method: "PATCH", path: "/api/v1/agents/" + e.agent, body: `{"status":"active"}`})
	both.served(e.clientID, e.secret)
}

// On a file one release follows the other. There is no way back but the backup
// that was made before, by the release that made it.
func TestUpgradeSQLite(t *testing.T) {
	t.Parallel()
	now := programs(t)
	then, commit := previous(t, "sqlite")
	p := newIdP(t, then, "")
	keep(t, p)
	c := newClient(t, p.url)
	live := func() (lives []*life) {
		t.Helper()
		l := startLoad(c)
		l.flowing(t, 1)
		l.stop()
		require.Empty(t, l.refused())
		return l.all(everybody)
	}
	p.Start()
	lives := live()
	backup := documented(t, runbook, "sqlite backup")
	p.sh(backup)
	known := len(lives)
	lives = append(lives, live()...)
	outgrown(t, p, c, 0)
	p.Kill() // its write-ahead log is for the next one

	p.use(now)
	pending, err := try(p.machine, p.Env, "agentidp migrate status")
	require.Error(t, err, pending)
	steps := strings.Count(pending, " pending ")
	require.Positive(t, steps, "%s is one change behind: %s", commit, pending)
	took := p.Start()
	facts := &aftermath{T: t, clients: []*client{c}}
	for _, one := range lives {
		facts.holds(one)
	}
	lives = append(lives, live()...)
	p.Stop()
	events := verified(t, p, "elsewhere/audit.checkpoint")

	p.use(then)
	p.startRefused("this release knows")
	p.sh("agentidp restore --from backups/agentidp.db") // AGENTIDP_DATA_DIR is absolute: not every release took ./data
	p.Start()
	c.admin = ""
	for _, one := range lives[:known] {
		facts.as(one)
	}
	p.Stop()
	fmt.Printf("upgrade store=sqlite from=%.7s steps=%d start_ms=%d lives=%d events=%d facts=%d\n", commit, steps, took.Milliseconds(), len(lives), events, facts.facts)
}

// use makes the next start that of another version.
func (p *idp) use(bin string) {
	p.Path = filepath.Join(bin, "agentidp")
	p.Env = append(p.Env, "PATH="+bin+":/usr/bin:/bin") // the last one counts
}
