package app_test

import (
	"context"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp/internal/app"
	"github.com/sentryagent/agentidp/idp/internal/auditlog"
	"github.com/sentryagent/agentidp/idp/internal/store/postgres"
	"github.com/sentryagent/agentidp/idp/internal/store/postgres/pgtest"
	"github.com/sentryagent/agentidp/idp/internal/store/sqlite"
)

// installation is a data folder and what its users hold.
type installation struct {
	t   *testing.T
	cfg app.Config
	a   *app.App
	end func() error
}

func installed(t *testing.T) *installation {
	t.Helper()
	cfg := settings(t)
	cfg.LimitsRequestsPerMinute, cfg.LimitsTokensPerMonth = 0, 0
	i := &installation{t: t, cfg: cfg}
	i.start()
	i.cfg.Addr = i.a.Addr().String() // the same from now on: it names the issuer
	return i
}

func (i *installation) start() {
	i.t.Helper()
	i.a, _, i.end = run(i.t, i.cfg)
}

func (i *installation) stop() {
	i.t.Helper()
	require.NoError(i.t, i.end())
}

// call calls the API with a token and returns status and body.
func (i *installation) call(bearer, method, path string, body any) (int, string) {
	i.t.Helper()
	var content io.Reader
	if body != nil {
		raw, err := json.Marshal(body)
		require.NoError(i.t, err)
		content = strings.NewReader(string(raw))
	}
	request, err := http.NewRequest(method, i.a.Issuer()+path, content)
	require.NoError(i.t, err)
	request.Header.Set("Authorization", "Bearer "+bearer)
	request.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(request)
	require.NoError(i.t, err)
	defer answer.Body.Close()
	read, err := io.ReadAll(answer.Body)
	require.NoError(i.t, err)
	return answer.StatusCode, string(read)
}

// did calls and decodes an answer that must be 2xx.
func (i *installation) did(bearer, method, path string, body any) (answer struct{ AgentID, CredentialID, ClientID, ClientSecret string }) {
	i.t.Helper()
	status, text := i.call(bearer, method, path, body)
	require.Equal(i.t, 2, status/100, "%s %s: %s", method, path, text)
	if text != "" {
		require.NoError(i.t, json.Unmarshal([]byte(text), &answer))
	}
	return answer
}

// register makes an agent with a credential.
func (i *installation) register(bearer, email string) (agentID string, c credential) {
	i.t.Helper()
	agent := i.did(bearer, http.MethodPost, "/api/v1/agents", map[string]any{
		"email": email, "agentType": "custom", "version": "1.0.0", "owner": "test", "deploymentEnv": "development", "capabilities": []string{"notes:read"},
	})
	made := i.did(bearer, http.MethodPost, "/api/v1/agents/"+agent.AgentID+"/credentials", map[string]any{})
	return agent.AgentID, credential{made.ClientID, made.ClientSecret}
}

func (i *installation) login(c credential) string {
	i.t.Helper()
	status, body := token(i.t, i.a, c.ClientID, c.ClientSecret)
	require.Equal(i.t, http.StatusOK, status, body)
	var answer struct {
		AccessToken string `json:"access_token"`
	}
	require.NoError(i.t, json.Unmarshal([]byte(body), &answer))
	return answer.AccessToken
}

// active introspects a token as an administrator.
func (i *installation) active(c credential, bearer string) bool {
	i.t.Helper()
	request, err := http.NewRequest(http.MethodPost, i.a.Issuer()+"/api/v1/token/introspect", strings.NewReader(url.Values{"token": {bearer}}.Encode()))
	require.NoError(i.t, err)
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.SetBasicAuth(c.ClientID, c.ClientSecret)
	answer, err := http.DefaultClient.Do(request)
	require.NoError(i.t, err)
	defer answer.Body.Close()
	require.Equal(i.t, http.StatusOK, answer.StatusCode)
	var told struct{ Active bool }
	require.NoError(i.t, json.NewDecoder(answer.Body).Decode(&told))
	return told.Active
}

// feedCursor is where a follower of the feed stands that has just begun, or went on from after.
func (i *installation) feed(bearer, after string) (cursor, epoch string, snapshot bool) {
	i.t.Helper()
	path := "/api/v1/revocations"
	if after != "" {
		path += "?after=" + url.QueryEscape(after)
	}
	status, body := i.call(bearer, http.MethodGet, path, nil)
	require.Equal(i.t, http.StatusOK, status, body)
	if !strings.HasPrefix(body, "{") {
		payload, err := base64.RawURLEncoding.DecodeString(strings.Split(body, ".")[1])
		require.NoError(i.t, err)
		body, snapshot = string(payload), true
	}
	var page struct{ Cursor, Epoch string }
	require.NoError(i.t, json.Unmarshal([]byte(body), &page), body)
	return page.Cursor, page.Epoch, snapshot
}

// verified is a good report on a stopped installation.
func (i *installation) verified(external ...[]byte) auditlog.Report {
	i.t.Helper()
	o, err := app.OpenOffline(i.t.Context(), i.cfg)
	require.NoError(i.t, err)
	defer o.Close()
	report, err := o.Verify(i.t.Context(), auditlog.VerifyOptions{Checkpoints: external})
	require.NoError(i.t, err)
	require.Nil(i.t, report.Problem)
	return report
}

// masterKeySetting makes the key of the data folder a setting, as replicas need it.
func (i *installation) masterKeySetting() {
	i.t.Helper()
	content, err := os.ReadFile(i.cfg.MasterKeyPath())
	require.NoError(i.t, err)
	i.cfg.MasterKey = strings.TrimSpace(string(content))
}

// An installation with history moves to PostgreSQL; nobody who uses it can tell.
func TestMoveToPostgres(t *testing.T) {
	i := installed(t)
	operator := admin(t, i.cfg)
	bearer := i.login(operator)
	_, worker := i.register(bearer, "worker@example.com")
	cutID, cut := i.register(bearer, "cut@example.com")
	rotatedID, rotated := i.register(bearer, "rotated@example.com")
	keep, revoked, suspended := i.login(worker), i.login(worker), i.login(cut)
	for n := range 40 {
		i.register(bearer, fmt.Sprintf("agent-%d@example.com", n))
		i.login(worker)
	}
	i.did(bearer, http.MethodPatch, "/api/v1/agents/"+cutID, map[string]any{"status": "suspended"})
	_, listed := i.call(bearer, http.MethodGet, "/api/v1/agents/"+rotatedID+"/credentials", nil)
	var credentials struct {
		Data []struct{ CredentialID string }
	}
	require.NoError(t, json.Unmarshal([]byte(listed), &credentials))
	renewed := i.did(bearer, http.MethodPost, "/api/v1/agents/"+rotatedID+"/credentials/"+credentials.Data[0].CredentialID+"/rotate", map[string]any{})
	request, err := http.NewRequest(http.MethodPost, i.a.Issuer()+"/api/v1/token/revoke", strings.NewReader(url.Values{"token": {revoked}}.Encode()))
	require.NoError(t, err)
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.SetBasicAuth(worker.ClientID, worker.ClientSecret)
	answer, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	require.NoError(t, answer.Body.Close())
	require.Equal(t, http.StatusOK, answer.StatusCode)
	i.did(bearer, http.MethodPost, "/api/v1/keys/rotate", map[string]any{})
	cursor, epoch, _ := i.feed(bearer, "")
	_, keys := get(t, i.a.Issuer()+"/.well-known/jwks.json")
	_, tree := get(t, i.a.Issuer()+"/api/v1/audit/checkpoint")

	// Beside the running IdP, without a server to go to, or under another key nothing moves.
	progress := func(string, int64) {}
	_, err = app.MoveToPostgres(t.Context(), i.cfg, progress)
	require.ErrorIs(t, err, app.ErrMove)
	embedded := i.cfg
	i.masterKeySetting()
	i.cfg.DatabaseURL = pgtest.URL(t)
	_, err = app.MoveToPostgres(t.Context(), i.cfg, progress)
	require.ErrorIs(t, err, sqlite.ErrInUse)
	i.stop()
	_, err = app.MoveToPostgres(t.Context(), i.cfg, progress)
	require.ErrorIs(t, err, postgres.ErrSchema, "it is not migrated")
	require.NoError(t, app.Migrate(t.Context(), i.cfg, func(string) {}))
	wrong := i.cfg
	wrong.MasterKey = strings.Repeat("00", 32)
	_, err = app.MoveToPostgres(t.Context(), wrong, progress)
	require.ErrorContains(t, err, "AGENTIDP_MASTER_KEY_FILE")
	nowhere := i.cfg
	nowhere.DataDir = t.TempDir()
	_, err = app.MoveToPostgres(t.Context(), nowhere, progress)
	require.ErrorIs(t, err, os.ErrNotExist)

	copied, err := os.ReadFile(embedded.CheckpointPath())
	require.NoError(t, err)
	seen := map[string]int64{}
	moved, err := app.MoveToPostgres(t.Context(), i.cfg, func(table string, rows int64) { seen[table] = rows })
	require.NoError(t, err)
	require.Equal(t, moved.Source, moved.Target.Root)
	require.Equal(t, moved.Target.Events, seen["verified"])
	require.Equal(t, int64(44), seen["agents"])
	_, err = app.MoveToPostgres(t.Context(), i.cfg, progress)
	require.ErrorIs(t, err, postgres.ErrNotEmpty)
	source := &installation{t: t, cfg: embedded}
	require.Equal(t, moved.Target.Root, source.verified(copied).Root)
	require.Equal(t, moved.Target.Root, i.verified(copied).Root)

	i.start()
	require.True(t, i.active(operator, keep), "a token that is out stays good")
	require.False(t, i.active(operator, revoked))
	require.False(t, i.active(operator, suspended))
	status, _ := token(t, i.a, cut.ClientID, cut.ClientSecret)
	require.NotEqual(t, http.StatusOK, status, "a suspended agent stays so")
	i.login(credential{rotated.ClientID, renewed.ClientSecret})
	bearer = i.login(operator)
	after, sameEpoch, snapshot := i.feed(bearer, cursor)
	require.Equal(t, []any{cursor, epoch, false}, []any{after, sameEpoch, snapshot}, "a follower goes on")
	_, same := get(t, i.a.Issuer()+"/.well-known/jwks.json")
	require.Equal(t, keys, same)
	require.NotEmpty(t, tree)
	i.register(bearer, "after@example.com")
	status, _ = i.call(bearer, http.MethodPost, "/api/v1/agents", map[string]any{
		"email": "worker@example.com", "agentType": "custom", "version": "1.0.0", "owner": "test", "deploymentEnv": "development", "capabilities": []string{"notes:read"},
	})
	require.Equal(t, http.StatusConflict, status)
	i.stop()
	report := i.verified(copied)
	require.Greater(t, report.Events, moved.Target.Events)
}

// A log that was tampered with does not move.
func TestABadLogDoesNotMove(t *testing.T) {
	i := installed(t)
	i.stop()
	tamper(t, i.cfg, "DROP TRIGGER events_never_updated", "UPDATE events SET agent_id = 'other' WHERE sequence = 1")
	i.masterKeySetting()
	i.cfg.DatabaseURL = pgtest.URL(t)
	require.NoError(t, app.Migrate(t.Context(), i.cfg, func(string) {}))
	_, err := app.MoveToPostgres(t.Context(), i.cfg, func(string, int64) {})
	require.ErrorContains(t, err, "nothing is moved: event 1")
	tamper(t, i.cfg, "UPDATE events SET agent_id = '' WHERE sequence = 1")
	_, err = app.MoveToPostgres(t.Context(), i.cfg, func(string, int64) {})
	require.NoError(t, err, "the database is as empty as it was")
}

// In load, cut by whoever asked for it, the whole command leaves both sides as they were.
func TestAMoveThatIsCutOff(t *testing.T) {
	i := installed(t)
	i.stop()
	i.masterKeySetting()
	i.cfg.DatabaseURL = pgtest.URL(t)
	require.NoError(t, app.Migrate(t.Context(), i.cfg, func(string) {}))
	ctx, cancel := context.WithCancel(t.Context())
	_, err := app.MoveToPostgres(ctx, i.cfg, func(table string, _ int64) {
		if table == "verified" {
			cancel()
		}
	})
	require.ErrorIs(t, err, context.Canceled)
	moved, err := app.MoveToPostgres(t.Context(), i.cfg, func(string, int64) {})
	require.NoError(t, err)
	require.Positive(t, moved.Target.Events)
	require.Positive(t, moved.Took)
}

// tamper runs statements on the embedded store past the program.
func tamper(t *testing.T, cfg app.Config, statements ...string) {
	t.Helper()
	db, err := sql.Open("sqlite", cfg.StorePath())
	require.NoError(t, err)
	for _, statement := range statements {
		_, err := db.ExecContext(t.Context(), statement)
		require.NoError(t, err)
	}
	require.NoError(t, db.Close())
}
