package story

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/sentryagent/agentidp/deploy/dev/stack"
)

const note = `{"text":"written by the story"}`

func (p *play) start(ctx context.Context) (string, error) {
	if err := p.Prepare(); err != nil {
		return "", err
	}
	if err := p.importKey(ctx); err != nil {
		return "", err
	}
	return "IdP " + p.Issuer() + ", sidecar " + p.Resource(), p.Start(ctx)
}

func (p *play) login(ctx context.Context) (string, error) {
	credential, err := p.Administrator()
	if err != nil {
		return "", err
	}
	p.admin, err = p.Client(ctx, credential)
	return "from " + p.AdminFile(), err
}

func (p *play) register(ctx context.Context) (_ string, err error) {
	p.screener, err = p.admin.Register(ctx, stack.Registration{Email: "screener-001@example.com", AgentType: "screener", Capabilities: []string{"notes:read"}})
	return p.screener.AgentID, err
}

func (p *play) getToken(ctx context.Context) (_ string, err error) {
	p.token, err = p.tokenFor(ctx, p.screener.Credential, p.Resource())
	return fmt.Sprintf("%d bytes", len(p.token)), err
}

func (p *play) read(ctx context.Context) (string, error) {
	answer, err := p.expect(ctx, http.MethodGet, "/notes", p.token, "", http.StatusOK, "")
	if err != nil {
		return "", err
	}
	var body struct {
		Caller string `json:"caller"`
	}
	if err := json.Unmarshal(answer.Body, &body); err != nil {
		return "", fmt.Errorf("the API's answer: %w", err)
	}
	if body.Caller != p.screener.AgentID {
		return "", fmt.Errorf("the API saw %q, want %q", body.Caller, p.screener.AgentID)
	}
	return "X-Agent-Id: " + body.Caller, nil
}

func (p *play) writeDenied(ctx context.Context) (string, error) {
	answer, err := p.expect(ctx, http.MethodPost, "/notes", p.token, note, http.StatusForbidden, "capability_missing")
	return strings.TrimSpace(string(answer.Body)), err
}

func (p *play) grant(ctx context.Context) (_ string, err error) {
	if err := p.patch(ctx, p.screener.AgentID, map[string]any{"capabilities": []string{"notes:read", "notes:write"}}); err != nil {
		return "", err
	}
	if _, err := p.expect(ctx, http.MethodPost, "/notes", p.token, note, http.StatusForbidden, "capability_missing"); err != nil {
		return "", fmt.Errorf("the old token must not grow: %w", err)
	}
	if p.token, err = p.tokenFor(ctx, p.screener.Credential, p.Resource()); err != nil {
		return "", err
	}
	answer, err := p.expect(ctx, http.MethodPost, "/notes", p.token, note, http.StatusCreated, "")
	return strings.TrimSpace(string(answer.Body)), err
}

func (p *play) strip(ctx context.Context) (string, error) {
	if err := p.patch(ctx, p.screener.AgentID, map[string]any{"capabilities": []string{"notes:read"}}); err != nil {
		return "", err
	}
	return p.refusedWithin(ctx, p.token, "agent_revoked")
}

func (p *play) revokeToken(ctx context.Context) (string, error) {
	doomed, err := p.tokenFor(ctx, p.screener.Credential, p.Resource())
	if err != nil {
		return "", err
	}
	if p.token, err = p.tokenFor(ctx, p.screener.Credential, p.Resource()); err != nil {
		return "", err
	}
	for _, token := range []string{doomed, p.token} {
		if _, err := p.expect(ctx, http.MethodGet, "/notes", token, "", http.StatusOK, ""); err != nil {
			return "", err
		}
	}
	if err := p.revoke(ctx, p.screener.Credential, doomed); err != nil {
		return "", err
	}
	detail, err := p.refusedWithin(ctx, doomed, "token_revoked")
	if err != nil {
		return "", err
	}
	_, err = p.expect(ctx, http.MethodGet, "/notes", p.token, "", http.StatusOK, "")
	return detail + "; its sibling lives", err
}

func (p *play) suspend(ctx context.Context) (string, error) {
	p.dead = p.token
	if err := p.patch(ctx, p.screener.AgentID, map[string]any{"status": "suspended"}); err != nil {
		return "", err
	}
	if err := p.refusedToken(ctx, p.screener.Credential, http.StatusBadRequest, "unauthorized_client"); err != nil {
		return "", err
	}
	return p.refusedWithin(ctx, p.dead, "agent_revoked")
}

func (p *play) reactivate(ctx context.Context) (_ string, err error) {
	if err := p.patch(ctx, p.screener.AgentID, map[string]any{"status": "active"}); err != nil {
		return "", err
	}
	if p.token, err = p.tokenFor(ctx, p.screener.Credential, p.Resource()); err != nil {
		return "", err
	}
	if _, err := p.expect(ctx, http.MethodGet, "/notes", p.token, "", http.StatusOK, ""); err != nil {
		return "", err
	}
	_, err = p.expect(ctx, http.MethodGet, "/notes", p.dead, "", http.StatusUnauthorized, "agent_revoked")
	return "", err
}

func (p *play) rotate(ctx context.Context) (string, error) {
	old := p.screener.Credential
	path := "/api/v1/agents/" + p.screener.AgentID + "/credentials/" + p.screener.CredentialID + "/rotate"
	if err := p.admin.JSON(ctx, http.MethodPost, path, struct{}{}, &p.screener.Credential); err != nil {
		return "", err
	}
	if old.ClientID != p.screener.ClientID || old.ClientSecret == p.screener.ClientSecret {
		return "", fmt.Errorf("rotation must keep the client id and change the secret")
	}
	if err := p.refusedToken(ctx, old, http.StatusUnauthorized, "invalid_client"); err != nil {
		return "", err
	}
	_, err := p.tokenFor(ctx, p.screener.Credential, p.Resource())
	return "client id kept: " + old.ClientID, err
}

func (p *play) serveAlone(ctx context.Context) (string, error) {
	if err := p.StopIdP(); err != nil {
		return "", err
	}
	if err := p.StopSidecar(); err != nil {
		return "", err
	}
	if err := p.StartSidecar(ctx); err != nil {
		return "", err
	}
	for range 25 {
		if _, err := p.expect(ctx, http.MethodGet, "/notes", p.token, "", http.StatusOK, ""); err != nil {
			return "", err
		}
	}
	if _, err := p.expect(ctx, http.MethodGet, "/notes", p.dead, "", http.StatusUnauthorized, "agent_revoked"); err != nil {
		return "", fmt.Errorf("a restart must forget no revocation: %w", err)
	}
	_, err := p.expect(ctx, http.MethodPost, "/notes", p.token, note, http.StatusForbidden, "capability_missing")
	return "25 allowed, 1 revoked, 1 denied, with the IdP away", err
}

func (p *play) stranger(ctx context.Context) (string, error) {
	var created struct {
		Credential stack.Credential `json:"credential"`
	}
	body := map[string]any{"organizationId": "stranger", "name": "Stranger Ltd", "administratorEmail": "admin@stranger.example"}
	if err := p.admin.JSON(ctx, http.MethodPost, "/api/v1/organizations", body, &created); err != nil {
		return "", err
	}
	theirs, err := p.Client(ctx, created.Credential)
	if err != nil {
		return "", err
	}
	agent, err := theirs.Register(ctx, stack.Registration{Email: "reader@stranger.example", AgentType: "custom", Capabilities: []string{"notes:read"}})
	if err != nil {
		return "", err
	}
	token, err := p.tokenFor(ctx, agent.Credential, p.Resource())
	if err != nil {
		return "", err
	}
	_, err = p.expect(ctx, http.MethodGet, "/notes", token, "", http.StatusForbidden, "organization_not_allowed")
	if err != nil {
		return "", err
	}
	answer, err := theirs.Do(ctx, http.MethodGet, "/api/v1/agents/"+p.screener.AgentID, nil)
	if err == nil && answer.Status != http.StatusNotFound {
		err = fmt.Errorf("the stranger's administrator got %d for an agent of ours", answer.Status)
	}
	return "403 organization_not_allowed at the sidecar, 404 at the IdP", err
}
