package httpapi

import (
	"encoding/json"
	"time"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/registry"
	"github.com/sentryagent/agentidp/idp/internal/store"
)

// The JSON forms of what the API serves, as docs/openapi.yaml describes them.

// stamp writes a time; zero is the empty string, which omitempty leaves out.
func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(idp.TimeLayout)
}

type agentView struct {
	AgentID        string          `json:"agentId"`
	OrganizationID string          `json:"organizationId"`
	Email          string          `json:"email"`
	AgentType      string          `json:"agentType"`
	Version        string          `json:"version"`
	Capabilities   []string        `json:"capabilities"`
	Owner          string          `json:"owner"`
	DeploymentEnv  string          `json:"deploymentEnv"`
	Status         string          `json:"status"`
	Metadata       json.RawMessage `json:"metadata,omitempty"`
	JWKS           json.RawMessage `json:"jwks,omitempty"`
	JWKSURI        string          `json:"jwksUri,omitempty"`
	CreatedAt      string          `json:"createdAt"`
	UpdatedAt      string          `json:"updatedAt"`
	LastAuthAt     string          `json:"lastAuthAt,omitempty"`
}

func viewAgent(a idp.Agent) agentView {
	return agentView{
		AgentID: a.ID, OrganizationID: a.OrganizationID, Email: a.Email, AgentType: string(a.Type), Version: a.Version,
		Capabilities: a.Capabilities.Strings(), Owner: a.Owner, DeploymentEnv: string(a.Environment), Status: string(a.Status),
		Metadata: a.Metadata, JWKS: a.JWKS, JWKSURI: a.JWKSURI, CreatedAt: stamp(a.CreatedAt), UpdatedAt: stamp(a.UpdatedAt), LastAuthAt: stamp(a.LastAuthAt),
	}
}

type credentialView struct {
	CredentialID string `json:"credentialId"`
	ClientID     string `json:"clientId"`
	ClientSecret string `json:"clientSecret,omitempty"` // at creation and rotation alone
	AgentID      string `json:"agentId"`
	AuthMethod   string `json:"authMethod"`
	Status       string `json:"status"`
	CreatedAt    string `json:"createdAt"`
	ExpiresAt    string `json:"expiresAt,omitempty"`
	RevokedAt    string `json:"revokedAt,omitempty"`
	LastUsedAt   string `json:"lastUsedAt,omitempty"`
	PreviousEnd  string `json:"previousSecretExpiresAt,omitempty"`
}

func viewCredential(c idp.Credential) credentialView {
	return credentialView{
		CredentialID: c.ID, ClientID: c.ClientID, AgentID: c.AgentID, AuthMethod: string(c.Method), Status: string(c.Status), CreatedAt: stamp(c.CreatedAt),
		ExpiresAt: stamp(c.ExpiresAt), RevokedAt: stamp(c.RevokedAt), LastUsedAt: stamp(c.LastUsedAt),
		PreviousEnd: stamp(c.PreviousUntil),
	}
}

func viewIssued(c registry.IssuedCredential) credentialView {
	view := viewCredential(c.Credential)
	view.ClientSecret = c.ClientSecret
	return view
}

type organizationView struct {
	OrganizationID   string `json:"organizationId"`
	Name             string `json:"name"`
	Plan             string `json:"plan"`
	MaxCredentialAge int64  `json:"maxCredentialAge"` // seconds; 0: none
	CreatedAt        string `json:"createdAt"`
	UpdatedAt        string `json:"updatedAt"`
}

func viewOrganization(o idp.Organization) organizationView {
	return organizationView{
		OrganizationID: o.ID, Name: o.Name, Plan: string(o.Plan), MaxCredentialAge: int64(o.MaxCredentialAge / time.Second),
		CreatedAt: stamp(o.CreatedAt), UpdatedAt: stamp(o.UpdatedAt),
	}
}

type foundedView struct {
	Organization  organizationView `json:"organization"`
	Administrator agentView        `json:"administrator"`
	Credential    credentialView   `json:"credential"`
}

type keyView struct {
	KID         string `json:"kid"`
	Algorithm   string `json:"alg"`
	Bits        int    `json:"bits"`
	Status      string `json:"status"`
	CreatedAt   string `json:"createdAt"`
	ActivateAt  string `json:"activateAt,omitempty"`
	ActivatedAt string `json:"activatedAt,omitempty"`
	RotateAt    string `json:"rotateAt,omitempty"`
	RetiredAt   string `json:"retiredAt,omitempty"`
	LeavesAt    string `json:"leavesAt,omitempty"`
}

type sidecarView struct {
	SidecarID      string `json:"sidecarId"`
	AgentID        string `json:"agentId"`
	AgentEmail     string `json:"agentEmail,omitempty"`
	OrganizationID string `json:"organizationId"`
	Name           string `json:"name,omitempty"`
	Version        string `json:"version,omitempty"`
	PolicyRevision string `json:"policyRevision,omitempty"`
	FeedCursor     string `json:"feedCursor,omitempty"`
	FeedSequence   *int64 `json:"feedSequence,omitempty"`
	FeedCursorAt   string `json:"feedCursorAt,omitempty"`
	NextSequence   int64  `json:"nextSequence"`
	LastDecisionAt string `json:"lastDecisionAt,omitempty"`
	SeenAt         string `json:"seenAt"`
	Connected      bool   `json:"connected"`
}

func viewSidecar(s store.Sidecar, now time.Time) sidecarView {
	return sidecarView{
		SidecarID: s.ID, AgentID: s.AgentID, OrganizationID: s.OrganizationID, Name: s.Name, Version: s.Version, PolicyRevision: s.PolicyRevision,
		FeedCursor: s.FeedCursor, FeedCursorAt: stamp(s.FeedCursorAt), NextSequence: s.NextSequence, LastDecisionAt: stamp(s.LastDecisionAt), SeenAt: stamp(s.SeenAt),
		Connected: now.Sub(s.SeenAt) < store.ConnectedWithin,
	}
}

// listView is one page of anything.
type listView[T any] struct {
	Data  []T `json:"data"`
	Total int `json:"total"`
	Page  int `json:"page"`
	Limit int `json:"limit"`
}

func viewList[From, To any](items []From, total int, page store.Page, view func(From) To) listView[To] {
	list := listView[To]{Data: make([]To, len(items)), Total: total, Page: page.Number, Limit: page.Limit}
	for i, item := range items {
		list.Data[i] = view(item)
	}
	return list
}
