package drill_test

import (
	"fmt"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const failover = "deployment.md"

// standby is another server, which follows s.
func (s *server) standby() *server {
	s.t.Helper()
	other := newServer(s.t)
	other.destroy()
	other.sh("pg_basebackup --pgdata=data --write-recovery-conf --checkpoint=fast", "PGPORT="+strconv.Itoa(s.port))
	other.serve(true)
	await(s.t, "the standby follows", func() bool { return s.ask("SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'") == "1" })
	return other
}

// ask is the one value that a query answers.
func (s *server) ask(query string) string {
	s.t.Helper()
	return strings.TrimSpace(sh(s.t, s.dir, s.env(), `psql -Atc "`+query+`"`))
}

// promote makes the standby the primary, as the page says.
func (s *server) promote(t *testing.T) {
	t.Helper()
	sh(t, s.dir, s.env(), documented(t, failover, "promote"))
	require.Equal(t, "f", s.ask("SELECT pg_is_in_recovery()"))
}

// either of two servers, whichever is the primary, as the service's role.
func either(a, b *server) string {
	return fmt.Sprintf("DATABASE_URL=postgres://agentidp_app@127.0.0.1:%d,127.0.0.1:%d/agentidp?sslmode=disable&target_session_attrs=read-write", a.port, b.port)
}

// onStandby is PostgreSQL with an asynchronous standby, which lacks what came
// after the moment of the backup when it is promoted.
func onStandby(t *testing.T, bin string) *place {
	w, primary := onPostgres(t, bin)
	w.name = "postgres_standby"
	standby := primary.standby()
	for _, p := range w.replicas {
		p.Env = append(p.Env, either(primary, standby))
	}
	w.backup = func(t *testing.T) string {
		written := primary.ask("SELECT pg_current_wal_flush_lsn()")
		await(t, "the standby has it", func() bool {
			return standby.ask("SELECT pg_last_wal_replay_lsn() >= '"+written+"'") == "t"
		})
		standby.sql("ALTER SYSTEM SET primary_conninfo = '';\nSELECT pg_reload_conf();\n")
		await(t, "the way between them is cut", func() bool { return standby.ask("SELECT count(*) FROM pg_stat_wal_receiver") == "0" })
		return ""
	}
	w.recover = standby.promote
	return w
}

// The primary dies under load, a synchronous standby takes its place, and nothing
// that was answered is lost: no secret, no revocation, no token, no key.
func TestFailover(t *testing.T) {
	t.Parallel()
	bin := programs(t)
	primary := newServer(t)
	primary.sql(documented(t, "production.md", "roles"))
	standby := primary.standby()
	primary.sql("ALTER SYSTEM SET synchronous_standby_names = '*';\nSELECT pg_reload_conf();\n")
	await(t, "it is synchronous", func() bool { return primary.ask("SELECT sync_state FROM pg_stat_replication") == "sync" })
	env := []string{"PATH=" + bin + ":" + primary.path(), either(primary, standby), "AGENTIDP_MIGRATE=false"}
	lost := newIdP(t, bin, "", env...)
	lost.sh("DATABASE_URL=" + primary.url("agentidp_owner") + " agentidp migrate up")
	keep(t, lost)
	lost.Start()
	c := newClient(t, lost.url)
	front := startSidecar(t, bin, lost, c.enrol(t, "notes-sidecar", "sidecar", `"revocations:read","decisions:write"`))
	reader := c.enrol(t, "notes-reader", "custom", `"notes:read"`)
	load := startLoad(c, newClient(t, lost.url))
	load.flowing(t, 3)
	_, token := c.tokenOf(t, reader.clientID, reader.secret, audience)
	await(t, "the sidecar takes the token", func() bool { return front.call(t, token) == http.StatusOK })
	newest := sequence(t, c)
	kids := c.kids(t)
	outgrown(t, lost, c, newest)

	// Another region's, with the newest checkpoint and no other state.
	other := newIdP(t, bin, lost.url, env...)
	sh(t, other.data(), nil, "/bin/cp "+filepath.Join(lost.machine, "elsewhere", "audit.checkpoint")+" .")
	disaster := time.Now()
	load.die(func() {
		lost.Kill()
		primary.destroy()
	})
	require.Empty(t, load.refused())
	require.Equal(t, http.StatusOK, front.call(t, token), "what is out goes on without the IdP")
	other.Launch()
	await(t, "it waits for somebody who takes writes", func() bool { return strings.Contains(string(other.Log()), "store_unreachable") })
	standby.promote(t)
	d := newClient(t, other.url)
	await(t, "a token", func() bool {
		a, err := d.send(request{method: http.MethodPost, path: "/api/v1/token", body: "grant_type=client_credentials"}, basic(reader.clientID, reader.secret))
		return err == nil && a.good()
	})
	recovery := time.Since(disaster)

	require.Equal(t, kids, d.kids(t))
	require.True(t, d.active(t, token))
	require.Greater(t, sequence(t, d), newest)
	after := &aftermath{T: t, clients: []*client{d}}
	lives := load.all(everybody)
	for _, one := range lives {
		after.holds(one)
	}
	again := startLoad(d)
	again.flowing(t, 1)
	again.stop()
	require.Empty(t, again.refused())
	other.Stop()
	events := verified(t, other, filepath.Join(lost.machine, "elsewhere", "audit.checkpoint"))
	require.Greater(t, events, newest)
	fmt.Printf("drill failover=synchronous agents=%d events=%d recovery_ms=%d verified=%d\n", len(lives), events, recovery.Milliseconds(), after.facts)
	require.Less(t, recovery, 5*time.Minute)
}
