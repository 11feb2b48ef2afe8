package agentidp

import (
	"context"
	"encoding/json"
	"net/http"
)

// Policy is the policy in force, whole.
type Policy struct {
	Revision       string          `json:"revision"`
	Epoch          int64           `json:"epoch"`
	LoadedAt       Time            `json:"loadedAt"`
	Source         PolicySource    `json:"source"`
	Tests          int             `json:"tests"` // of the policy's own; all passed
	Files          []PolicyFile    `json:"files"`
	Data           json.RawMessage `json:"data"`           // an object
	ReloadFailures int64           `json:"reloadFailures"` // reloads that kept the old one
	LastError      *PolicyError    `json:"lastError,omitempty"`
}

// PolicySource is where a policy comes from.
type PolicySource string

// The sources.
const (
	PolicyBuiltIn PolicySource = "builtIn"
	PolicyFolder  PolicySource = "folder"
)

// PolicyFile is one file of a policy.
type PolicyFile struct {
	Name   string `json:"name"`
	SHA256 string `json:"sha256"` // hex
	Text   string `json:"text"`
}

// PolicyError is why the latest reload failed.
type PolicyError struct {
	Message string `json:"message"`
	At      Time   `json:"at"`
}

// PolicyInput is what a policy sees as input.
type PolicyInput struct {
	Agent   *PolicyAgent   `json:"agent,omitempty"`
	Token   *PolicyToken   `json:"token,omitempty"`
	Request *PolicyRequest `json:"request,omitempty"`
	Route   PolicyRoute    `json:"route"`
	RPC     *PolicyRPC     `json:"rpc,omitempty"`
}

// PolicyAgent is the caller.
type PolicyAgent struct {
	ID             string `json:"id,omitempty"`
	OrganizationID string `json:"organizationId,omitempty"`
	ClientID       string `json:"clientId,omitempty"`
}

// PolicyToken is its token.
type PolicyToken struct {
	JTI   string   `json:"jti,omitempty"`
	Aud   []string `json:"aud,omitempty"`
	Scope []string `json:"scope,omitempty"`
	Exp   int64    `json:"exp,omitempty"` // Unix seconds
}

// PolicyRequest is what it asks for.
type PolicyRequest struct {
	Method string `json:"method,omitempty"`
	Host   string `json:"host,omitempty"`
	Path   string `json:"path,omitempty"` // without the query
	Peer   string `json:"peer,omitempty"`
}

// PolicyRoute is the route that takes it.
type PolicyRoute struct {
	ID         string `json:"id"`
	Capability string `json:"capability"` // what it demands; public: nothing
}

// PolicyRPC is the JSON-RPC message in the body.
type PolicyRPC struct {
	Protocol RPCProtocol `json:"protocol"`
	Method   string      `json:"method"`
	Name     string      `json:"name,omitempty"` // of the tool or prompt
}

// RPCProtocol is what a message belongs to.
type RPCProtocol string

// The protocols.
const (
	ProtocolMCP RPCProtocol = "mcp"
	ProtocolA2A RPCProtocol = "a2a"
)

// PolicyDecision is what the policy decides.
type PolicyDecision struct {
	Allow       bool            `json:"allow"`
	Reason      string          `json:"reason"`
	Obligations json.RawMessage `json:"obligations,omitempty"` // an object
	Revision    string          `json:"revision"`
	DurationMs  float64         `json:"durationMs"`
	Error       string          `json:"error,omitempty"` // why it could not decide
}

// Policy gets the policy in force.
func (c *Client) Policy(ctx context.Context) (policy Policy, err error) {
	err = c.do(ctx, get("/api/v1/policies", nil), &policy)
	return policy, err
}

// EvaluatePolicy is what the policy in force would decide. It changes nothing.
func (c *Client) EvaluatePolicy(ctx context.Context, input PolicyInput) (decision PolicyDecision, err error) {
	err = c.do(ctx, call{method: http.MethodPost, path: "/api/v1/policies/evaluate", body: input, repeatable: true}, &decision)
	return decision, err
}
