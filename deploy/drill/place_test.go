package drill_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const runbook = "runbooks/restore.md"

// place is where a store is, with the replicas that serve from it. Its backups
// and elsewhere are folders that no disaster reaches.
type place struct {
	name     string
	replicas []*idp
	backup   func(t *testing.T) (printed string)
	destroy  func(t *testing.T)                  // the store; with a file all of the data folder
	prepare  func(t *testing.T)                  // the runbook up to the restore, and what must not work by then
	recover  func(t *testing.T)                  // of prepare: by PostgreSQL's own tools
	restore  func(t *testing.T) (printed string) // the rest of it
}

func onSQLite(t *testing.T, bin string) *place {
	p := newIdP(t, bin, "")
	keep(t, p)
	w := &place{name: "sqlite", replicas: []*idp{p}}
	w.backup = func(t *testing.T) string { return p.sh(documented(t, runbook, "sqlite backup")) }
	w.destroy = func(t *testing.T) { require.NoError(t, os.RemoveAll(p.data())) }
	restore := documented(t, runbook, "sqlite restore")
	w.prepare = func(t *testing.T) {
		p.sh(documented(t, runbook, "sqlite machine"))
		p.refused("the master key is missing", restore, "AGENTIDP_MASTER_KEY=")
		p.refused("master key", restore, "AGENTIDP_MASTER_KEY="+strings.Repeat("ab", 32))
		p.sh("cp backups/agentidp.db data/agentidp.db") // by hand alone
		p.startRefused("not the one that was signed")
	}
	w.restore = func(t *testing.T) string { return p.sh(restore) }
	return w
}

// onDump is PostgreSQL with a dump every now and then.
func onDump(t *testing.T, bin string) *place {
	w, s := onPostgres(t, bin)
	w.name = "postgres"
	first := w.replicas[0]
	w.backup = func(t *testing.T) string { return first.sh(documented(t, runbook, "postgres backup")) }
	w.recover = func(t *testing.T) {
		s.empty()
		s.sql(documented(t, "production.md", "roles"))
		first.sh(documented(t, runbook, "postgres restore"))
	}
	return w
}

// onArchive is PostgreSQL with a base backup and the archive of its log, from
// which it is put back as of the moment when the base backup was there.
func onArchive(t *testing.T, bin string) *place {
	w, s := onPostgres(t, bin)
	w.name = "postgres_archive"
	moment := ""
	w.backup = func(t *testing.T) string {
		s.sh(documented(t, runbook, "postgres base"))
		moment = time.Now().UTC().Format("2006-01-02 15:04:05.000000-07")
		return ""
	}
	destroy := w.destroy
	w.destroy = func(t *testing.T) {
		// What archive_timeout does after a while.
		name := sh(t, s.dir, s.env(), "psql -Atc 'SELECT pg_walfile_name(pg_switch_wal())'")
		await(t, "the log is in the archive", func() bool {
			_, err := os.Stat(filepath.Join(s.dir, "archive", strings.TrimSpace(name)))
			return err == nil
		})
		destroy(t)
	}
	w.recover = func(t *testing.T) {
		s.sh(documented(t, runbook, "postgres recovery"), "MOMENT="+moment)
		s.start()
	}
	return w
}

func onPostgres(t *testing.T, bin string) (*place, *server) {
	s := newServer(t)
	s.sql(documented(t, "production.md", "roles"))
	env := []string{"PATH=" + bin + ":" + s.path(), "DATABASE_URL=" + s.url("agentidp_app"), "AGENTIDP_MIGRATE=false", "OWNER_URL=" + s.url("agentidp_owner")}
	first := newIdP(t, bin, "", env...)
	second := newIdP(t, bin, first.url, env...)
	keep(t, first)
	first.sh(`DATABASE_URL="$OWNER_URL" agentidp migrate up`)
	w := &place{replicas: []*idp{first, second}}
	w.destroy = func(*testing.T) { s.destroy() }
	declare := documented(t, runbook, "postgres declare")
	w.prepare = func(t *testing.T) {
		w.recover(t)
		first.startRefused("not the one that was signed")
		first.refused("the master key is not this log's", declare, "AGENTIDP_MASTER_KEY="+strings.Repeat("ab", 32))
	}
	w.restore = func(t *testing.T) string {
		printed := first.sh(declare)
		second.startRefused("not the one that was signed")
		second.sh(documented(t, runbook, "postgres others"))
		return printed
	}
	return w, s
}

// keep makes the folders that are on other machines, and shows them where the runbook's commands look.
func keep(t *testing.T, p *idp) {
	t.Helper()
	for _, name := range []string{"backups", "elsewhere"} {
		require.NoError(t, os.Symlink(t.TempDir(), filepath.Join(p.machine, name)))
	}
}
