package faults

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/shared/command/commandtest"
)

const (
	adminID     = "aidp_c_faultsADMIN00000000000"
	adminSecret = "fault-harness-secret-0123456789abcdefghij"
	audience    = "https://notes.example.com"
)

// idp is a real IdP on a data folder of its own.
type idp struct {
	*process
	url   string
	token string // the administrator's
}

func newIdP(t *testing.T, env ...string) *idp {
	t.Helper()
	dir, addr := t.TempDir(), freeAddr(t)
	p := &idp{url: "http://" + addr, process: &process{commandtest.Process{
		T: t, Name: "the IdP", Path: program(t, "idp/cmd/agentidp"), ReadyAt: "http://" + addr + "/health", LogPath: filepath.Join(dir, "idp.log"),
		Env: append([]string{
			"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "AGENTIDP_ADDR=" + addr, "AGENTIDP_DATA_DIR=" + filepath.Join(dir, "data"),
			"AGENTIDP_MASTER_KEY=000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
			"AGENTIDP_BOOTSTRAP_CLIENT_ID=" + adminID, "AGENTIDP_BOOTSTRAP_CLIENT_SECRET=" + adminSecret,
			"AGENTIDP_LIMITS_AGENTS=0", "AGENTIDP_LIMITS_TOKENS_PER_MONTH=0", "AGENTIDP_LIMITS_REQUESTS_PER_MINUTE=0", "AGENTIDP_LOG_LEVEL=warn",
		}, env...),
	}}}
	p.Tracked()
	p.Start()
	return p
}

// credential of an agent, and its id.
type credential struct {
	AgentID, ClientID, ClientSecret string
}

var client = &http.Client{Timeout: time.Minute}

// post sends a form or JSON, which make makes, and decodes the answer, which must
// be 2xx. An IdP that the machine has no time for says 503, and perhaps has done it:
// it is asked again, for something else.
func (p *idp) post(path, media, authorization string, make func() []byte, out any) {
	p.T.Helper()
	awaitFor(p.T, 2*time.Minute, path+" is answered", func() bool {
		request, err := http.NewRequest(http.MethodPost, p.url+path, bytes.NewReader(make()))
		require.NoError(p.T, err)
		request.Header.Set("Content-Type", media)
		if authorization != "" {
			request.Header.Set("Authorization", authorization)
		}
		response, err := client.Do(request)
		require.NoError(p.T, err)
		defer response.Body.Close()
		content, err := io.ReadAll(response.Body)
		require.NoError(p.T, err)
		if response.StatusCode == http.StatusServiceUnavailable {
			return false
		}
		require.Equal(p.T, 2, response.StatusCode/100, "%s: %d %s", path, response.StatusCode, content)
		require.NoError(p.T, json.Unmarshal(content, out))
		return true
	})
}

// tokenFor gets an agent's token, for the API or, without a resource, for the IdP itself.
func (p *idp) tokenFor(c credential, resource string) string {
	p.T.Helper()
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {c.ClientID}, "client_secret": {c.ClientSecret}}
	if resource != "" {
		form.Set("resource", resource)
	}
	var answer struct {
		Token string `json:"access_token"`
	}
	p.post("/api/v1/token", "application/x-www-form-urlencoded", "", func() []byte { return []byte(form.Encode()) }, &answer)
	return answer.Token
}

// register makes an agent with a credential.
func (p *idp) register(kind string, capabilities ...string) (c credential) {
	p.T.Helper()
	if p.token == "" {
		p.token = p.tokenFor(credential{ClientID: adminID, ClientSecret: adminSecret}, "")
	}
	agent := func() []byte {
		body, err := json.Marshal(map[string]any{
			"email": fmt.Sprintf("%s-%s@example.com", kind, strings.ToLower(rand.Text())), "agentType": kind, "version": "1.0.0", "owner": "faults",
			"deploymentEnv": "staging", "capabilities": capabilities,
		})
		require.NoError(p.T, err)
		return body
	}
	p.post("/api/v1/agents", "application/json", "Bearer "+p.token, agent, &c)
	p.post("/api/v1/agents/"+c.AgentID+"/credentials", "application/json", "Bearer "+p.token, func() []byte { return []byte("{}") }, &c)
	return c
}

// reader is the token of a new agent that may read notes.
func (p *idp) reader() string {
	p.T.Helper()
	return p.tokenFor(p.register("custom", "notes:read"), audience)
}

// event is a decision in the audit log.
type event struct {
	Action    string
	Reason    string
	AgentID   string
	RequestID string
	Metadata  struct {
		SidecarID       string
		SidecarSequence int64
		FirstSequence   *int64
		DecisionID      string
		Path            string
		PolicyRevision  string
		Status          int
		Count           int64
		BytesOut        int64
	}
}

// decisions verifies the log of the stopped IdP, and reads the decisions in it.
func (p *idp) decisions() (found []event) {
	p.T.Helper()
	output, err := p.command("audit", "verify", "--offline")
	require.NoError(p.T, err, output)
	file := filepath.Join(p.T.TempDir(), "audit.ndjson")
	output, err = p.command("audit", "export", "--offline", "--out", file)
	require.NoError(p.T, err, output)
	log, err := os.Open(file)
	require.NoError(p.T, err)
	defer log.Close()
	for lines := json.NewDecoder(log); ; {
		var e event
		err := lines.Decode(&e)
		if errors.Is(err, io.EOF) {
			return found
		}
		require.NoError(p.T, err)
		if strings.HasPrefix(e.Action, "decision.") {
			found = append(found, e)
		}
	}
}

// command runs another agentidp command with the process's settings.
func (p *idp) command(args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, p.Path, args...)
	cmd.Env = p.Env
	output, err := cmd.CombinedOutput()
	return string(output), err
}
