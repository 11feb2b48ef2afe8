package agentidp

import (
	"context"
	"iter"
	"net/url"
)

// Sidecar is a sidecar that reports to the IdP.
type Sidecar struct {
	SidecarID      string `json:"sidecarId"`
	AgentID        string `json:"agentId"`              // whose credential it uses
	AgentEmail     string `json:"agentEmail,omitempty"` // of that agent
	OrganizationID string `json:"organizationId"`
	Name           string `json:"name,omitempty"` // what it calls itself
	Version        string `json:"version,omitempty"`
	PolicyRevision string `json:"policyRevision,omitempty"`
	FeedCursor     string `json:"feedCursor,omitempty"`   // of the revocations, that it last acknowledged
	FeedSequence   *int64 `json:"feedSequence,omitempty"` // of that cursor; nil when it is of another feed
	FeedCursorAt   *Time  `json:"feedCursorAt,omitempty"` // when it first acknowledged it
	NextSequence   int64  `json:"nextSequence"`           // of its decisions
	LastDecisionAt *Time  `json:"lastDecisionAt,omitempty"`
	SeenAt         Time   `json:"seenAt"`
	Connected      bool   `json:"connected"` // seen less than 5 minutes ago
}

// Sidecars lists sidecars, most recently seen first, of another organization
// than the caller's if it names one and is the operator.
func (c *Client) Sidecars(ctx context.Context, organizationID string) iter.Seq2[Sidecar, error] {
	return pages(ctx, func(ctx context.Context, page Page) (list List[Sidecar], err error) {
		err = c.do(ctx, get("/api/v1/sidecars", set(page.into(url.Values{}), "organizationId", organizationID)), &list)
		return list, err
	})
}
