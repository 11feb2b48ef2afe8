package proxy_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/shared/decision"
	"github.com/sentryagent/agentidp/sidecar/internal/proxy"
	"github.com/sentryagent/agentidp/sidecar/internal/spool"
)

// keepsSecret asserts row E15 over everything that the proxy said and kept, and
// E16: one whole JSON line per log entry.
func (w *world) keepsSecret(t *testing.T, secrets ...string) {
	t.Helper()
	records, err := json.Marshal(w.records.all())
	require.NoError(t, err)
	var exposed bytes.Buffer
	w.metrics.WritePrometheus(&exposed)
	w.proxy.WriteMetrics(&exposed)
	for name, text := range map[string]string{"log": w.logs.String(), "records": string(records), "metrics": exposed.String()} {
		keepsSecret(t, name, text, secrets)
	}
	for line := range strings.Lines(w.logs.String()) {
		require.True(t, json.Valid([]byte(line)), line)
		require.Less(t, len(line), 4<<10)
	}
}

// keepsSecret asserts that neither a token nor its signature stands in the text.
func keepsSecret(t *testing.T, name, text string, secrets []string) {
	t.Helper()
	for _, secret := range secrets {
		require.NotContains(t, text, secret, name)
		require.NotContains(t, text, secret[strings.LastIndexByte(secret, '.')+1:], name)
	}
}

// spooled keeps records on disk too, as the sidecar does.
type spooled struct {
	proxy.Recorder
	disk *spool.Spool
	dir  string
}

func newSpooled(t *testing.T) *spooled {
	dir := t.TempDir()
	disk, err := spool.Open(dir, spool.Options{MaxBytes: 16 << 20, BootID: "boot", Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, disk.Close()) })
	return &spooled{disk: disk, dir: dir}
}

// Append implements proxy.Recorder.
func (s *spooled) Append(r *decision.Record) (int64, error) {
	if n, err := s.disk.Append(r); err != nil {
		return n, err
	}
	return s.Recorder.Append(r)
}

// keepsSecret reads every file of the spool, none of which is full and packed yet.
func (s *spooled) keepsSecret(t *testing.T, secrets ...string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(s.dir, "*"))
	require.NoError(t, err)
	var text bytes.Buffer
	for _, file := range files {
		require.NotEqual(t, ".zst", filepath.Ext(file))
		content, err := os.ReadFile(file)
		require.NoError(t, err)
		text.Write(content)
	}
	require.Contains(t, text.String(), agentID, "records are there")
	keepsSecret(t, "spool", text.String(), secrets)
}
