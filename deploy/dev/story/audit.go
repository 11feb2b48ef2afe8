package story

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// IdPEnv lifts the request limit: the story is one client address that does
// in seconds what an organization does in hours.
var IdPEnv = []string{"AGENTIDP_LIMITS_REQUESTS_PER_MINUTE=10000"}

type event struct {
	Sequence int64          `json:"sequence"`
	AgentID  string         `json:"agentId"`
	Action   string         `json:"action"`
	Outcome  string         `json:"outcome"`
	Reason   string         `json:"reason"`
	Metadata map[string]any `json:"metadata"`
}

// events reads the whole log through the API, oldest first.
func (p *play) events(ctx context.Context) ([]event, error) {
	var all []event
	cursor := ""
	for {
		var page struct {
			Data       []event `json:"data"`
			NextCursor string  `json:"nextCursor"`
		}
		query := url.Values{"limit": {"100"}}
		if cursor != "" {
			query.Set("cursor", cursor)
		}
		if err := p.admin.JSON(ctx, http.MethodGet, "/api/v1/audit?"+query.Encode(), nil, &page); err != nil {
			return nil, err
		}
		all = append(all, page.Data...)
		if cursor = page.NextCursor; cursor == "" {
			slices.Reverse(all)
			return all, nil
		}
	}
}

// catchUp wants every decision that was answered to be in the log exactly once.
func (p *play) catchUp(ctx context.Context) (string, error) {
	if err := p.StartIdP(ctx); err != nil {
		return "", err
	}
	began := time.Now()
	err := p.settled(ctx)
	return fmt.Sprintf("%d allowed and %d denied, all within %s of the IdP's return", p.decided["allowed"], p.decided["denied"], time.Since(began).Round(time.Millisecond)), err
}

// settled waits until the log holds what the sidecar decided.
func (p *play) settled(ctx context.Context) error {
	began := time.Now()
	for {
		arrived, err := p.arrived(ctx)
		if err != nil {
			return err
		}
		if arrived["allowed"] == p.decided["allowed"] && arrived["denied"] == p.decided["denied"] {
			return nil
		}
		if time.Since(began) > 10*time.Second {
			return fmt.Errorf("answered %v, in the log %v", p.decided, arrived)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// arrived counts the decisions in the log and wants their sequences without hole or repeat.
func (p *play) arrived(ctx context.Context) (map[string]int64, error) {
	all, err := p.events(ctx)
	if err != nil {
		return nil, err
	}
	counts, next := map[string]int64{}, int64(0)
	for _, e := range all {
		outcome, isDecision := strings.CutPrefix(e.Action, "decision.")
		if !isDecision {
			continue
		}
		sequence, _ := e.Metadata["sidecarSequence"].(float64)
		if int64(sequence) != next {
			return nil, fmt.Errorf("decision %d follows %d", int64(sequence), next-1)
		}
		next++
		stands := int64(1)
		if count, folded := e.Metadata["count"].(float64); folded {
			stands = int64(count)
		}
		counts[outcome] += stands
	}
	return counts, nil
}

// audit wants every step of the story to stand in the log, in its order.
func (p *play) audit(ctx context.Context) (string, error) {
	if err := p.settled(ctx); err != nil {
		return "", err
	}
	all, err := p.events(ctx)
	if err != nil {
		return "", err
	}
	rest := all
	for _, want := range []struct{ action, reason string }{
		{"key.imported", ""},
		{"administrator.bootstrapped", ""},
		{"agent.created", ""},
		{"credential.created", ""},
		{"token.issued", ""},
		{"agent.updated", ""},
		{"token.revoked", ""},
		{"agent.suspended", ""},
		{"token.refused", "agent_suspended"},
		{"agent.reactivated", ""},
		{"credential.rotated", ""},
		{"token.refused", "secret_wrong"},
		{"organization.created", ""},
	} {
		found := slices.IndexFunc(rest, func(e event) bool { return e.Action == want.action && e.Reason == want.reason })
		if found < 0 {
			return "", fmt.Errorf("no %s %s where the story had it", want.action, want.reason)
		}
		rest = rest[found+1:]
	}
	for _, reason := range []string{"capability_missing", "algorithm", "signature", "expired", "audience_mismatch", "type_mismatch", "agent_revoked", "token_revoked", "organization_not_allowed"} {
		if !slices.ContainsFunc(all, func(e event) bool { return e.Action == "decision.denied" && e.Reason == reason }) {
			return "", fmt.Errorf("no decision was denied for %s", reason)
		}
	}
	raw, err := json.Marshal(all)
	if err != nil {
		return "", fmt.Errorf("events: %w", err)
	}
	for _, secret := range []string{p.screener.ClientSecret, p.token, p.dead} {
		if strings.Contains(string(raw), secret) {
			return "", fmt.Errorf("a secret stands in the log")
		}
	}
	return fmt.Sprintf("%d events, no secret among them", len(all)), nil
}
