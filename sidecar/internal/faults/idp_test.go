package faults

import (
	"bytes"
	"context"
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
	p := &idp{url: "http://" + addr, process: &process{
		t: t, name: "the IdP", path: program(t, "idp/cmd/agentidp"), readyAt: "http://" + addr + "/health", logPath: filepath.Join(dir, "idp.log"),
		env: append([]string{
			"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "AGENTIDP_ADDR=" + addr, "AGENTIDP_DATA_DIR=" + filepath.Join(dir, "data"),
			"AGENTIDP_MASTER_KEY=000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
			"AGENTIDP_BOOTSTRAP_CLIENT_ID=" + adminID, "AGENTIDP_BOOTSTRAP_CLIENT_SECRET=" + adminSecret,
			"AGENTIDP_LIMITS_AGENTS=0", "AGENTIDP_LIMITS_TOKENS_PER_MONTH=0", "AGENTIDP_LIMITS_REQUESTS_PER_MINUTE=0", "AGENTIDP_LOG_LEVEL=warn",
		}, env...),
	}}
	p.tracked()
	p.start()
	return p
}

// credential of an agent, and its id.
type credential struct {
	AgentID, ClientID, ClientSecret string
}

var client = &http.Client{Timeout: 15 * time.Second}

// post sends a form or JSON and decodes the answer, which must be 2xx.
func (p *idp) post(path, media, authorization string, body []byte, out any) {
	p.t.Helper()
	request, err := http.NewRequest(http.MethodPost, p.url+path, bytes.NewReader(body))
	require.NoError(p.t, err)
	request.Header.Set("Content-Type", media)
	if authorization != "" {
		request.Header.Set("Authorization", authorization)
	}
	response, err := client.Do(request)
	require.NoError(p.t, err)
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	require.NoError(p.t, err)
	require.Equal(p.t, 2, response.StatusCode/100, "%s: %d %s", path, response.StatusCode, content)
	require.NoError(p.t, json.Unmarshal(content, out))
}

// tokenFor gets an agent's token, for the API or, without a resource, for the IdP itself.
func (p *idp) tokenFor(c credential, resource string) string {
	p.t.Helper()
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {c.ClientID}, "client_secret": {c.ClientSecret}}
	if resource != "" {
		form.Set("resource", resource)
	}
	var answer struct {
		Token string `json:"access_token"`
	}
	p.post("/api/v1/token", "application/x-www-form-urlencoded", "", []byte(form.Encode()), &answer)
	return answer.Token
}

// register makes an agent with a credential.
func (p *idp) register(kind string, capabilities ...string) (c credential) {
	p.t.Helper()
	if p.token == "" {
		p.token = p.tokenFor(credential{ClientID: adminID, ClientSecret: adminSecret}, "")
	}
	body, err := json.Marshal(map[string]any{
		"email": fmt.Sprintf("%s-%d@example.com", kind, freePort(p.t)), "agentType": kind, "version": "1.0.0", "owner": "faults",
		"deploymentEnv": "staging", "capabilities": capabilities,
	})
	require.NoError(p.t, err)
	p.post("/api/v1/agents", "application/json", "Bearer "+p.token, body, &c)
	p.post("/api/v1/agents/"+c.AgentID+"/credentials", "application/json", "Bearer "+p.token, []byte("{}"), &c)
	return c
}

// reader is the token of a new agent that may read notes.
func (p *idp) reader() string {
	p.t.Helper()
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
	p.t.Helper()
	output, err := p.command("audit", "verify", "--offline")
	require.NoError(p.t, err, output)
	file := filepath.Join(p.t.TempDir(), "audit.ndjson")
	output, err = p.command("audit", "export", "--offline", "--out", file)
	require.NoError(p.t, err, output)
	log, err := os.Open(file)
	require.NoError(p.t, err)
	defer log.Close()
	for lines := json.NewDecoder(log); ; {
		var e event
		err := lines.Decode(&e)
		if errors.Is(err, io.EOF) {
			return found
		}
		require.NoError(p.t, err)
		if strings.HasPrefix(e.Action, "decision.") {
			found = append(found, e)
		}
	}
}

// command runs another agentidp command with the process's settings.
func (p *idp) command(args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, p.path, args...)
	cmd.Env = p.env
	output, err := cmd.CombinedOutput()
	return string(output), err
}
