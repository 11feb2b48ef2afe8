package agentidp

import (
	"context"
	"net/url"
	"time"
)

// Stats is how often what happened, and what there is now. The counts are
// derived: the audit log is the evidence.
type Stats struct {
	From           Time           `json:"from"` // when the first bucket begins
	To             Time           `json:"to"`   // when the last one ends
	Step           StatsStep      `json:"step"`
	KeptFrom       Time           `json:"keptFrom"`                 // since when buckets of this step are whole
	OrganizationID string         `json:"organizationId,omitempty"` // empty: the whole installation
	Buckets        []StatsBucket  `json:"buckets"`                  // all between From and To, oldest first
	Totals         []StatsCount   `json:"totals"`
	TopDenied      StatsTopDenied `json:"topDenied"`
	Now            StatsNow       `json:"now"`
}

// StatsStep is the length of a bucket.
type StatsStep string

// The steps.
const (
	StepMinute StatsStep = "1m"
	StepHour   StatsStep = "1h"
	StepDay    StatsStep = "1d"
)

// StatsBucket is what happened in one step.
type StatsBucket struct {
	At     Time         `json:"at"` // when it begins
	Counts []StatsCount `json:"counts"`
}

// StatsCount is how often an action ended so.
type StatsCount struct {
	Action  string  `json:"action"`
	Outcome Outcome `json:"outcome"`
	Count   int64   `json:"count"`
}

// StatsTopDenied is what the newest denials of sidecars were about, at most ten
// of each, highest counts first.
type StatsTopDenied struct {
	Since        Time               `json:"since"`    // how far back was looked
	Complete     bool               `json:"complete"` // all denials of the window were looked at
	Denials      int64              `json:"denials"`  // that were looked at
	Capabilities []CapabilityDenied `json:"capabilities"`
	Agents       []AgentDenied      `json:"agents"`
}

// CapabilityDenied is how often a capability was missing.
type CapabilityDenied struct {
	Capability string `json:"capability"`
	Count      int64  `json:"count"`
}

// AgentDenied is how often an agent was denied.
type AgentDenied struct {
	AgentID string `json:"agentId"`
	Count   int64  `json:"count"`
}

// StatsNow is what there is at the time of the answer.
type StatsNow struct {
	At              Time           `json:"at"`
	Agents          AgentsNow      `json:"agents"`
	Credentials     CredentialsNow `json:"credentials"`
	TokensThisMonth int64          `json:"tokensThisMonth"` // issued in this UTC calendar month
	Sidecars        SidecarsNow    `json:"sidecars"`
}

// AgentsNow counts agents by status.
type AgentsNow struct {
	Active         int64           `json:"active"`
	Suspended      int64           `json:"suspended"`
	Decommissioned int64           `json:"decommissioned"`
	Environments   EnvironmentsNow `json:"environments"` // of the active and suspended ones
}

// EnvironmentsNow counts agents by where they run.
type EnvironmentsNow struct {
	Development int64 `json:"development"`
	Staging     int64 `json:"staging"`
	Production  int64 `json:"production"`
}

// CredentialsNow counts credentials.
type CredentialsNow struct {
	Active   int64 `json:"active"`   // neither revoked nor past their end
	Expiring int64 `json:"expiring"` // of active agents, ending within 14 days
}

// SidecarsNow counts sidecars by when they were last seen.
type SidecarsNow struct {
	Connected int64 `json:"connected"` // within 5 minutes
	LastHour  int64 `json:"lastHour"`
}

// StatsQuery bounds the counts; empty members leave the API's defaults.
type StatsQuery struct {
	Step           StatsStep // empty: StepHour
	From, To       time.Time // moved outwards to whole steps
	OrganizationID string    // another one than all, for the operator
}

// Stats counts what happened. At most 1,500 buckets.
func (c *Client) Stats(ctx context.Context, query StatsQuery) (stats Stats, err error) {
	values := set(url.Values{}, "step", string(query.Step), "organizationId", query.OrganizationID)
	err = c.do(ctx, get("/api/v1/stats", span(values, query.From, query.To)), &stats)
	return stats, err
}
