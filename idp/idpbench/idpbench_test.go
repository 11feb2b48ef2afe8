package idpbench_test

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp/idpbench"
	"github.com/sentryagent/agentidp/shared/command"
	"github.com/sentryagent/agentidp/shared/command/commandtest"
)

func TestTheSignerSigns(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	_, _, _, err = idpbench.Signer(key, "fast")
	require.ErrorContains(t, err, "must be one of")
	signer, name, callers, err := idpbench.Signer(key, "auto")
	require.NoError(t, err)
	require.NotEmpty(t, name)
	require.Positive(t, callers)
	digest := sha256.Sum256([]byte("x"))
	signature, err := signer.Sign(rand.Reader, digest[:], crypto.SHA256)
	require.NoError(t, err)
	require.NoError(t, rsa.VerifyPKCS1v15(&key.PublicKey, crypto.SHA256, digest[:], signature))
}

func TestTheLogKeepsWhatIsAppended(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log.db")
	log, err := idpbench.OpenLog(t.Context(), "", path)
	require.NoError(t, err)
	before, err := log.Size(t.Context())
	require.NoError(t, err)
	for range 5 {
		require.NoError(t, log.Append(t.Context()))
	}
	after, err := log.Size(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 5, after-before)
	require.NoError(t, log.Close())
	require.Error(t, log.Append(t.Context()))

	again, err := idpbench.OpenLog(t.Context(), "", path)
	require.NoError(t, err)
	require.NoError(t, again.Close())
	_, err = idpbench.OpenLog(t.Context(), "postgres://127.0.0.1:1/none?connect_timeout=1", "")
	require.Error(t, err)
}

// The stub is an IdP in all but the record of its tokens.
func TestTheStubIssuesAndRecordsNothing(t *testing.T) {
	addr, dir := fmt.Sprintf("127.0.0.1:%d", commandtest.FreePort(t, 10_000)), t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	status := make(chan int, 1)
	go func() {
		status <- idpbench.Run(ctx, command.Process{
			Args: []string{"serve"}, Environ: []string{"AGENTIDP_ADDR=" + addr, "AGENTIDP_DATA_DIR=" + dir}, Stdout: io.Discard, Stderr: io.Discard,
		})
	}()
	t.Cleanup(func() {
		cancel()
		require.Zero(t, <-status)
	})
	var admin struct{ ClientID, ClientSecret string }
	require.Eventually(t, func() bool {
		content, err := os.ReadFile(filepath.Join(dir, "admin.json"))
		if err != nil || json.Unmarshal(content, &admin) != nil {
			return false
		}
		answer, err := http.Get("http://" + addr + "/health")
		return err == nil && answer.Body.Close() == nil && answer.StatusCode == http.StatusOK
	}, time.Minute, 10*time.Millisecond)
	before := written(t, addr)
	for range 3 {
		request, err := http.NewRequest(http.MethodPost, "http://"+addr+"/api/v1/token", strings.NewReader(url.Values{"grant_type": {"client_credentials"}}.Encode()))
		require.NoError(t, err)
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		request.SetBasicAuth(admin.ClientID, admin.ClientSecret)
		answer, err := http.DefaultClient.Do(request)
		require.NoError(t, err)
		require.NoError(t, answer.Body.Close())
		require.Equal(t, http.StatusOK, answer.StatusCode)
	}
	require.Equal(t, before, written(t, addr))
}

// written is the line of /metrics that counts the events of the log.
func written(t *testing.T, addr string) string {
	t.Helper()
	answer, err := http.Get("http://" + addr + "/metrics")
	require.NoError(t, err)
	defer answer.Body.Close()
	page, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	for line := range strings.Lines(string(page)) {
		if strings.HasPrefix(line, "agentidp_audit_events_total ") {
			return line
		}
	}
	t.Fatal("no metric agentidp_audit_events_total")
	return ""
}

func TestTheLogTakesABatchOnce(t *testing.T) {
	log, err := idpbench.OpenLog(t.Context(), "", filepath.Join(t.TempDir(), "log.db"))
	require.NoError(t, err)
	defer func() { require.NoError(t, log.Close()) }()
	before, err := log.Size(t.Context())
	require.NoError(t, err)
	batch := []byte(`{"sequence":0,"prevHash":"","time":"2026-01-01T00:00:00.000Z","outcome":"allowed"}` + "\n")
	for _, fresh := range []int{1, 0} {
		n, err := log.Ingest(t.Context(), "0b7f0c52-2c0f-4bb0-8a53-64f3f0d6e001", batch)
		require.NoError(t, err)
		require.Equal(t, fresh, n)
	}
	after, err := log.Size(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 1, after-before)
	_, err = log.Ingest(t.Context(), "0b7f0c52-2c0f-4bb0-8a53-64f3f0d6e001", []byte("{}\n"))
	require.Error(t, err)
}

func TestTheFeedTellsWhoWaits(t *testing.T) {
	feed, err := idpbench.OpenFeed(t.Context(), "", filepath.Join(t.TempDir(), "feed.db"))
	require.NoError(t, err)
	defer func() { require.NoError(t, feed.Close()) }()
	require.NoError(t, feed.Revoke(t.Context()))
	cursor, snapshot, err := feed.Start(t.Context())
	require.NoError(t, err)
	require.Positive(t, snapshot)
	idle, err := feed.Poll(t.Context(), cursor, 0)
	require.NoError(t, err)
	require.Zero(t, idle.Entries)
	require.Equal(t, cursor, idle.Cursor)

	told := make(chan idpbench.News, 1)
	failed := make(chan error, 1)
	go func() {
		news, err := feed.Poll(t.Context(), cursor, 30*time.Second)
		failed <- err
		told <- news
	}()
	require.NoError(t, feed.Revoke(t.Context()))
	require.NoError(t, <-failed)
	news := <-told
	require.Equal(t, 1, news.Entries)
	require.Positive(t, news.Bytes)
	require.NotEqual(t, cursor, news.Cursor)
	_, err = feed.Poll(t.Context(), "another.1", 0)
	require.ErrorContains(t, err, "snapshot")
}
