package pgtest

import (
	"context"
	"os"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestDatabasesAreFresh(t *testing.T) {
	one, two := URL(t), URL(t)
	require.NotEqual(t, one, two)
	for _, address := range []string{one, two} {
		require.NoError(t, run(t.Context(), address, "CREATE TABLE a (x text)"))
	}
}

// What keeps the server alive is not collected between two tests.
func TestTheServerIsKept(t *testing.T) {
	address := URL(t)
	for range 3 {
		runtime.GC()
	}
	require.Never(t, func() bool { return run(context.Background(), address, "SELECT 1") != nil }, 300*time.Millisecond, 50*time.Millisecond)
}

func TestMigratesOnce(t *testing.T) {
	runs := 0
	migrate := func(ctx context.Context, address string) error {
		runs++
		return run(ctx, address, "CREATE TABLE a (x text)")
	}
	for range 3 {
		require.NoError(t, run(t.Context(), Migrated(t, migrate), "INSERT INTO a VALUES ('x')"))
	}
	require.Equal(t, 1, runs)
}

func TestServerSurvivesWhatTestsDoToIt(t *testing.T) {
	s := Start(t, Options{Conf: []string{"work_mem = '5MB'"}})
	s.Exec(t, "postgres", "CREATE TABLE a (x text)")
	for _, mode := range []string{"fast", "immediate"} {
		s.Restart(t, mode)
		s.Exec(t, "postgres", "INSERT INTO a VALUES ('x')")
	}
	s.Signal(t, syscall.SIGSTOP)
	hurried, done := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer done()
	require.Error(t, run(hurried, s.URL("postgres"), "SELECT 1"))
	s.Signal(t, syscall.SIGCONT)
	s.Exec(t, "postgres", "SELECT 1")
	s.Stop(t, "fast")
	s.Standby(t, true)
	s.Start(t)
	require.ErrorContains(t, run(t.Context(), s.URL("postgres"), "INSERT INTO a VALUES ('x')"), "read-only")
	s.Stop(t, "fast")
	s.Standby(t, false)
	s.Start(t)
	require.Contains(t, s.URL("postgres"), s.Address())
	s.Signal(t, syscall.SIGSTOP) // it can be removed in any state
	s.remove()
	require.Eventually(t, func() bool {
		_, err := os.Stat(s.folder)
		return os.IsNotExist(err)
	}, patience, 10*time.Millisecond)
}

func TestServerThatDoesNotStartSaysWhy(t *testing.T) {
	_, err := launch(Options{Conf: []string{"nonsense = 1"}})
	require.ErrorContains(t, err, "nonsense")
}

func TestServerOfTheEnvironmentIsUsed(t *testing.T) {
	s := Start(t, Options{})
	t.Setenv(Variable, s.URL("postgres"))
	require.Contains(t, URL(t), s.Address())
	runs := 0
	for range 2 { // no template is left behind there
		Migrated(t, func(context.Context, string) error { runs++; return nil })
	}
	require.Equal(t, 2, runs)
	require.Panics(t, func() { database("\x00", "x") })
}
