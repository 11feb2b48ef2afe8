package vault_test

import (
	"context"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/VictoriaMetrics/metrics"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/sentryagent/agentidp/idp/internal/vault"
	"github.com/sentryagent/agentidp/idp/internal/vault/vaulttest"
	"github.com/sentryagent/agentidp/shared/obs/obstest"
)

// real is a real server, started when it is first needed; nil where none can be had.
var real = sync.OnceValue(func() *vaulttest.Server {
	server, stop, err := vaulttest.Real(context.Background())
	if err != nil {
		panic(err)
	}
	stopReal = stop
	return server
})

var stopReal = func() {}

func TestMain(m *testing.M) {
	code := m.Run()
	stopReal()
	connections := []goleak.Option{
		goleak.IgnoreAnyFunction("net/http.(*persistConn).writeLoop"), goleak.IgnoreAnyFunction("net/http.(*persistConn).readLoop"),
	}
	if err := goleak.Find(connections...); err != nil && code == 0 {
		_, _ = os.Stderr.WriteString(err.Error())
		code = 1
	}
	os.Exit(code)
}

// each runs a fact on the double, and on a real server where there is one.
func each(t *testing.T, fact func(t *testing.T, w *world)) {
	servers := []*vaulttest.Server{vaulttest.NewDouble(t)}
	if s := real(); s != nil {
		servers = append(servers, s)
	}
	for _, s := range servers {
		t.Run(s.Name, func(t *testing.T) { fact(t, newWorld(t, s)) })
	}
}

// world is a server, a proxy before it, and a client that may not tell a secret.
type world struct {
	*testing.T
	server  *vaulttest.Server
	proxy   *vaulttest.Proxy
	mount   string
	options vault.Options
	said    *obstest.Output // what went to logs and errors
	hidden  []string        // what must not be in there
}

func newWorld(t *testing.T, s *vaulttest.Server) *world {
	w := &world{T: t, server: s, proxy: s.NewProxy(t), said: &obstest.Output{}, mount: s.Mount(t)}
	w.options = vault.Options{
		Addr: w.proxy.Addr, Mount: w.mount, Token: s.Token,
		Logger: slog.New(slog.NewTextHandler(w.said, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	w.options.SetCallTimeout(soon)
	w.hide(s.Token)
	t.Cleanup(func() {
		for _, secret := range w.hidden {
			require.NotContains(t, w.said.String(), secret)
		}
	})
	return w
}

// open makes a client as the options say now.
func (w *world) open() *vault.Client {
	w.Helper()
	w.options.Metrics = metrics.NewSet()
	client, err := vault.Open(w.Context(), w.options)
	require.NoError(w, err)
	set := w.options.Metrics
	w.Cleanup(func() {
		client.Close()
		set.WritePrometheus(w.said)
	})
	return client
}

func (w *world) hide(secrets ...string) { w.hidden = append(w.hidden, secrets...) }

// err notes what an error says, and returns it.
func (w *world) err(err error) error {
	if err != nil {
		_, _ = w.said.Write([]byte(err.Error() + "\n"))
	}
	return err
}

func (w *world) hash(s *vault.Secrets, id, secret string) string {
	w.Helper()
	w.hide(secret)
	encoded, err := s.Hash(w.Context(), id, secret)
	require.NoError(w, w.err(err))
	require.NotContains(w, encoded, secret)
	w.hide(encoded, encoded[strings.LastIndex(encoded, "$")+1:])
	return encoded
}

func (w *world) verifies(s *vault.Secrets, encoded, secret string) bool {
	w.Helper()
	right, err := s.Verify(w.Context(), encoded, secret)
	require.NoError(w, w.err(err))
	return right
}

// unavailable demands ErrUnavailable, and never a verdict.
func (w *world) unavailable(s *vault.Secrets, encoded, secret string) {
	w.Helper()
	right, err := s.Verify(w.Context(), encoded, secret)
	require.ErrorIs(w, w.err(err), vault.ErrUnavailable)
	require.False(w, right)
}

// lost demands ErrLost, and never a verdict.
func (w *world) lost(s *vault.Secrets, encoded, secret string) {
	w.Helper()
	right, err := s.Verify(w.Context(), encoded, secret)
	require.ErrorIs(w, w.err(err), vault.ErrLost)
	require.False(w, right)
}

func newID() string { return uuid.NewString() }
