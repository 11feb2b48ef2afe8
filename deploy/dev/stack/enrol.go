package stack

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
)

func (s *Stack) sidecarFile() string { return filepath.Join(s.Dir, "sidecar.json") }

// DemoFile is a curl configuration with the credential of an agent that may read notes.
func (s *Stack) DemoFile() string { return filepath.Join(s.Dir, "demo.curl") }

// Enrol registers the sidecar's own agent and one for trying things, once per
// data folder: a sidecar gets its credential from the IdP like any agent.
func (s *Stack) Enrol(ctx context.Context) error {
	if !missing(s.sidecarFile()) && !missing(s.DemoFile()) {
		return nil
	}
	admin, err := s.Administrator()
	if err != nil {
		return err
	}
	client, err := s.Client(ctx, admin)
	if err != nil {
		return err
	}
	if missing(s.sidecarFile()) {
		credential, err := client.Register(ctx, Registration{Email: "notes-sidecar@example.com", AgentType: "sidecar", Capabilities: []string{"revocations:read", "decisions:write"}})
		if err != nil {
			return err
		}
		if err := writeCredential(s.sidecarFile(), credential.Credential); err != nil {
			return err
		}
	}
	if missing(s.DemoFile()) {
		credential, err := client.Register(ctx, Registration{Email: "demo@example.com", AgentType: "custom", Capabilities: []string{"notes:read"}})
		if err != nil {
			return err
		}
		line := fmt.Sprintf("user = \"%s:%s\"\n", credential.ClientID, credential.ClientSecret)
		if err := os.WriteFile(s.DemoFile(), []byte(line), 0o600); err != nil {
			return fmt.Errorf("demo credential: %w", err)
		}
	}
	return nil
}

// Registration is the body of POST /api/v1/agents, with what the stack never varies filled in.
type Registration struct {
	OrganizationID string   `json:"organizationId,omitempty"`
	Email          string   `json:"email"`
	AgentType      string   `json:"agentType"`
	Version        string   `json:"version"`
	Owner          string   `json:"owner"`
	DeploymentEnv  string   `json:"deploymentEnv"`
	Capabilities   []string `json:"capabilities"`
}

// Registered is a new agent and its first credential.
type Registered struct {
	AgentID      string
	CredentialID string
	Credential
}

// Register gives the agent of this registration a credential. Who was cut off
// before the credential was kept asks again: the agent that is there then is taken.
func (c *Client) Register(ctx context.Context, r Registration) (Registered, error) {
	r.Version, r.Owner, r.DeploymentEnv = "1.0.0", "demo", "development"
	agentID, err := c.agent(ctx, r)
	if err != nil {
		return Registered{}, err
	}
	var credential struct {
		CredentialID string `json:"credentialId"`
		Credential
	}
	if err := c.JSON(ctx, http.MethodPost, "/api/v1/agents/"+agentID+"/credentials", struct{}{}, &credential); err != nil {
		return Registered{}, err
	}
	return Registered{AgentID: agentID, CredentialID: credential.CredentialID, Credential: credential.Credential}, nil
}

// agent is the id of the active agent of this registration, which is made if there is none.
func (c *Client) agent(ctx context.Context, r Registration) (string, error) {
	query := url.Values{"q": {r.Email}, "status": {"active"}}
	if r.OrganizationID != "" {
		query.Set("organizationId", r.OrganizationID)
	}
	type agent struct {
		AgentID string `json:"agentId"`
		Registration
	}
	var found struct{ Data []agent }
	if err := c.JSON(ctx, http.MethodGet, "/api/v1/agents?"+query.Encode(), nil, &found); err != nil {
		return "", err
	}
	for _, a := range found.Data {
		if a.Email != r.Email {
			continue
		}
		slices.Sort(a.Capabilities)
		if a.AgentType != r.AgentType || !slices.Equal(a.Capabilities, slices.Sorted(slices.Values(r.Capabilities))) {
			return "", fmt.Errorf("there is another agent %s: a %s with %q", r.Email, a.AgentType, a.Capabilities)
		}
		return a.AgentID, nil
	}
	var made agent
	err := c.JSON(ctx, http.MethodPost, "/api/v1/agents", r, &made)
	return made.AgentID, err
}
