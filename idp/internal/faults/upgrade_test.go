package faults

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// Migrations that a later release could have: one that adds, one that fails half-way.
const (
	adding  = "-- +goose Up\nCREATE TABLE faults_extra (id INTEGER PRIMARY KEY);\nALTER TABLE agents ADD COLUMN faults_note TEXT;\n"
	failing = "-- +goose Up\nCREATE TABLE faults_half (id INTEGER PRIMARY KEY);\nALTER TABLE there_is_none ADD COLUMN faults_note TEXT;\n"
)

// release builds a later release: this one and a migration more.
func release(t *testing.T, name, migration string) string {
	t.Helper()
	root, err := filepath.Abs("../../..")
	require.NoError(t, err)
	dir := t.TempDir()
	content := filepath.Join(dir, name+".sql")
	require.NoError(t, os.WriteFile(content, []byte(migration), 0o600))
	replace := map[string]string{}
	for _, backend := range []string{"sqlite", "postgres"} {
		replace[filepath.Join(root, "migrations", backend, "9001_"+name+".sql")] = content
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	require.NoError(t, err)
	file := filepath.Join(dir, "overlay.json")
	require.NoError(t, os.WriteFile(file, overlay, 0o600))
	return program(t, name, "-overlay="+file)
}

func hasTable(t *testing.T, s *site, name string) bool {
	t.Helper()
	db := s.open(t)
	defer db.Close()
	_, err := db.Exec("SELECT count(*) FROM " + name)
	return err == nil
}

// refusedMigration expects the failing release to change nothing.
func refusedMigration(t *testing.T, s *site) {
	t.Helper()
	output, err := newProcessOf(t, release(t, "failing", failing), s).command("migrate", "up")
	require.Error(t, err, output)
	require.Contains(t, output, "9001")
	require.False(t, hasTable(t, s, "faults_half"), "it is rolled back")
}

func (l *ledger) errors(from int) (found []string) {
	for _, d := range l.all()[from:] {
		if d.told != yes && !d.excused() {
			found = append(found, fmt.Sprintf("%s %d %s", d.kind, d.status, d.reply))
		}
	}
	return found
}

// F25: the schema goes forward under replicas of the release before, which serve
// on; a migration that fails leaves nothing behind.
func TestF25UpgradedBesideReplicas(t *testing.T) {
	s := onPostgres(t)
	tr := newTrial(t, plain, s)
	tr.process.Start()
	load := startLoad(tr.client, 2)
	tr.flowing(10)
	refusedMigration(t, s)
	tr.flowing(10)
	later := newProcessOf(t, release(t, "adding", adding), s)
	output, err := later.command("migrate", "up")
	require.NoError(t, err, output)
	require.True(t, hasTable(t, s, "faults_extra"))
	tr.flowing(10)
	tr.figures.downtime = later.Start()
	beside := newClient(later.url, tr.ledger)
	defer beside.close()
	more := startLoad(beside, 1)
	tr.flowing(20)
	load.stop()
	more.stop()
	tr.figures.runs = 2
	errors := tr.ledger.errors(0)
	later.Stop()
	tr.process.Stop()
	later.verify()
	view := look(t, s)
	tr.figures.add(judge(&view, tr.ledger.all()))
	tr.figures.extra = "backend=postgres errors=" + itoa(len(errors))
	report(t, "F25", tr.figures)
	require.Empty(t, errors)
}

// F25 on a file: one release after the other.
func TestF25UpgradedFile(t *testing.T) {
	s := onSQLite(t)
	tr := newTrial(t, plain, s)
	serve := func() {
		tr.figures.downtime = max(tr.figures.downtime, tr.process.Start())
		load := startLoad(tr.client, 2)
		tr.flowing(10)
		load.stop()
		tr.process.Stop()
	}
	serve()
	refusedMigration(t, s)
	serve()
	tr.process.Path = release(t, "adding", adding)
	serve()
	require.True(t, hasTable(t, s, "faults_extra"))
	tr.figures.runs = 2
	errors := tr.ledger.errors(0)
	figures := tr.verdict()
	figures.extra = "backend=sqlite errors=" + itoa(len(errors))
	report(t, "F25", figures)
	require.Empty(t, errors)
}
