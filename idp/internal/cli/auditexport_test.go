package cli_test

import (
	"encoding/csv"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp/internal/app"
	"github.com/sentryagent/agentidp/shared/obs/obstest"
)

func read(t *testing.T, file string) string {
	t.Helper()
	content, err := os.ReadFile(file)
	require.NoError(t, err)
	return string(content)
}

// bearer gets a token for the administrator of the data folder.
func bearer(t *testing.T, issuer, data string) string {
	t.Helper()
	var admin struct{ ClientID, ClientSecret string }
	require.NoError(t, json.Unmarshal([]byte(read(t, filepath.Join(data, "admin.json"))), &admin))
	answer, err := http.PostForm(issuer+"/api/v1/token", url.Values{"grant_type": {"client_credentials"}, "client_id": {admin.ClientID}, "client_secret": {admin.ClientSecret}})
	require.NoError(t, err)
	defer answer.Body.Close()
	var token struct {
		Token string `json:"access_token"`
	}
	require.NoError(t, json.NewDecoder(answer.Body).Decode(&token))
	require.NotEmpty(t, token.Token)
	return token.Token
}

func get(t *testing.T, address, token string) []byte {
	t.Helper()
	request, err := http.NewRequest(http.MethodGet, address, nil)
	require.NoError(t, err)
	request.Header.Set("Authorization", "Bearer "+token)
	answer, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, answer.StatusCode, string(body))
	return body
}

// An export is proven where there is neither the store nor the master key.
func TestExportAndVerifyElsewhere(t *testing.T) {
	folder := t.TempDir()
	data, file := filepath.Join(folder, "data"), func(name string) string { return filepath.Join(folder, name) }
	serve(t, data, func(issuer string, _ *obstest.Output) {
		token := bearer(t, issuer, data)
		require.NoError(t, os.WriteFile(file("early"), get(t, issuer+"/api/v1/audit/checkpoint", token), 0o600))
		for range 5 {
			token = bearer(t, issuer, data)
		}
		require.NoError(t, os.WriteFile(file("online"), get(t, issuer+"/api/v1/audit/export?format=ndjson", token), 0o600))
		var keys struct{ VerifierKey string }
		require.NoError(t, json.Unmarshal(get(t, issuer+"/api/v1/keys", token), &keys))
		require.NoError(t, os.WriteFile(file("key"), []byte(keys.VerifierKey+"\n"), 0o600))
	})
	offline := func(args ...string) (int, string, string) {
		return run(t, nil, append(append([]string{"audit", "export", "--offline", "--data-dir", data}, args...), "--log-level", "error")...)
	}
	status, stdout, stderr := offline("--out", file("whole"))
	require.Zero(t, status, stderr)
	require.Empty(t, stdout)
	require.Contains(t, stderr, "exported ")
	status, _, stderr = offline("--out", file("none"), "--to", "2020-01-01T00:00:00Z")
	require.Zero(t, status, stderr)
	status, stdout, stderr = offline("--out", "-", "--format", "csv", "--from", "2020-01-01T00:00:00Z")
	require.Zero(t, status, stderr)
	rows, err := csv.NewReader(strings.NewReader(stdout)).ReadAll()
	require.NoError(t, err)
	require.Equal(t, "eventId", rows[0][0])
	require.Equal(t, "audit.exported", rows[len(rows)-1][5], "the export before")

	status, stdout, stderr = offline("--out", "-", "--format", "csv", "--action", "audit.exported", "--outcome", "success", "--search", "CSV")
	require.Zero(t, status, stderr)
	rows, err = csv.NewReader(strings.NewReader(stdout)).ReadAll()
	require.NoError(t, err)
	require.Len(t, rows, 2, "the export in that form")

	status, stdout, stderr = run(t, nil, "audit", "verify", "--offline", "--data-dir", data)
	require.Zero(t, status, stderr)
	key := regexp.MustCompile(`verifier key: (\S+)`).FindStringSubmatch(stdout)[1]
	require.Equal(t, key+"\n", read(t, file("key")), "the API shows the same")
	checkpoint := filepath.Join(data, "audit.checkpoint")
	moved := file("checkpoint")
	require.NoError(t, os.Rename(checkpoint, moved))
	require.NoError(t, os.RemoveAll(data))

	verify := func(name string, more ...string) (int, string) {
		status, stdout, stderr := run(t, nil, append([]string{"audit", "verify", "--export", file(name)}, more...)...)
		require.Equal(t, status != 0, stderr != "", stderr)
		return status, stdout
	}
	for _, name := range []string{"online", "whole"} {
		status, stdout = verify(name, "--key", key)
		require.Zero(t, status, stdout)
		require.Contains(t, stdout, "proven: this is the whole log up to the checkpoint; no event is missing, none was altered")
	}
	status, stdout = verify("whole", "--key", file("key"), "--checkpoint", file("early"), "--checkpoint", moved)
	require.Zero(t, status, stdout)
	require.Regexp(t, `(?m)^agrees with the checkpoint of \d+ events kept elsewhere$`, stdout)
	require.Regexp(t, `(?m)^NOT compared with the checkpoint of \d+ events kept elsewhere: it covers more than the file does$`, stdout)
	status, stdout = verify("none", "--key", key, "--checkpoint", file("early"))
	require.Zero(t, status, stdout)
	require.Regexp(t, `(?m)^NOT proven: that no event of the log until 2020-01-01T00:00:00.000Z is missing; the file leaves out \d+ events of the log, and shows only their hashes$`, stdout)
	require.Regexp(t, `it ends amid events that the file leaves out|agrees`, stdout)

	for _, row := range []struct{ old, new, what string }{
		{`"sequence":3,`, `"sequence":4,`, "NOT VALID: line 5: event 4 stands in the place of event 3"},
		{`"sequence":2,"timestamp":"2`, `"sequence":2,"timestamp":"1`, "one of these lines is not what was signed"},
	} {
		changed := strings.Replace(read(t, file("whole")), row.old, row.new, 1)
		require.NoError(t, os.WriteFile(file("changed"), []byte(changed), 0o600))
		status, stdout = verify("changed", "--key", key)
		require.Equal(t, 1, status)
		require.Contains(t, stdout, row.what)
	}
	for _, row := range []struct {
		status int
		args   []string
	}{
		{2, []string{"--export", file("whole")}},
		{1, []string{"--key", key}}, // nobody is logged in
		{2, []string{"--export", file("whole"), "--key", key, "--offline"}},
		{2, []string{"--export", file("whole"), "--key", "nonsense"}},
		{1, []string{"--export", file("whole"), "--key", file("early")}},
		{1, []string{"--export", file("nowhere"), "--key", key}},
		{1, []string{"--export", file("whole"), "--key", key, "--checkpoint", file("nowhere")}},
		{1, []string{"--export", file("whole"), "--key", key, "--checkpoint", file("key")}},
	} {
		status, stdout, stderr := run(t, nil, append([]string{"audit", "verify"}, row.args...)...)
		require.Equal(t, row.status, status, "%v: %s", row.args, stderr)
		require.Empty(t, stdout)
	}
}

func TestExportSaysWhatItCannot(t *testing.T) {
	folder := t.TempDir()
	data := filepath.Join(folder, "data")
	cfg := app.Default()
	cfg.DataDir = data
	store, err := app.OpenOffline(t.Context(), cfg) // with an empty log
	require.NoError(t, err)
	require.NoError(t, store.Close())
	for _, row := range []struct {
		status int
		what   string
		args   []string
	}{
		{2, "--offline", nil},
		{2, "--out", []string{"--offline"}},
		{2, "--format", []string{"--offline", "--out", "-", "--format", "xml"}},
		{2, "--outcome", []string{"--offline", "--out", "-", "--outcome", "maybe"}},
		{2, "--agent must be a UUID in lower case such as 3f2b8c1e-6f0a-4d0e-9a53-0d8b8a7c1f11; --target must be a UUID", []string{"--offline", "--out", "-", "--agent", "screener", "--target", "3F2B8C1E-6F0A-4D0E-9A53-0D8B8A7C1F11"}},
		{2, "--action must be an action such as token.issued", []string{"--offline", "--out", "-", "--action", "Token"}},
		{2, "--search must be 1 to 254 printable characters without a space at either end", []string{"--offline", "--out", "-", "--search", " a"}},
		{2, "take the agent's id", []string{"--offline", "--out", "-", "--target", "a@example.com"}},
		{2, "--from", []string{"--offline", "--out", "-", "--from", "yesterday"}},
		{2, "--to", []string{"--offline", "--out", "-", "--from", "2026-07-02T00:00:00Z", "--to", "2026-07-01T00:00:00Z"}},
		{1, "no checkpoint is signed yet", []string{"--offline", "--out", filepath.Join(folder, "file")}},
		{1, "no such file", []string{"--offline", "--out", filepath.Join(folder, "none", "file")}},
	} {
		status, stdout, stderr := run(t, nil, append([]string{"audit", "export", "--data-dir", data}, row.args...)...)
		require.Equal(t, row.status, status, "%v: %s", row.args, stderr)
		require.Contains(t, stderr, row.what)
		require.Empty(t, stdout)
	}
	require.NoFileExists(t, filepath.Join(folder, "file"))
}
