package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/sentryagent/agentidp/bench/seed"
	"github.com/sentryagent/agentidp/deploy/dev/stack"
)

// question is something that the dashboard asks.
type question struct{ name, method, path, body string }

// order is that of the table.
var order []string

func questions(ctx context.Context, admin *stack.Client) ([]question, error) {
	key, err := signingKey(ctx, admin)
	if err != nil {
		return nil, err
	}
	organization := seed.OrganizationAt(0)
	agents, post := "/api/v1/agents?limit=20&organizationId="+organization, fmt.Sprintf(
		`{"email":"listed-%%d-%d@example.com","agentType":"custom","version":"1.0.0","capabilities":["notes:read"],"owner":"bench","deploymentEnv":"production"}`,
		time.Now().UnixNano())
	asked := []question{
		{name: "agents, first page", path: agents},
		{name: "oldest first", path: agents + "&sort=createdAt"},
		{name: "by email", path: agents + "&sort=email"},
		{name: "by email, downwards", path: agents + "&sort=-email"},
		{name: "status active", path: agents + "&status=active"},
		{name: "status suspended, the oldest 0.1 %", path: agents + "&status=suspended"},
		{name: "status decommissioned, the newest half", path: agents + "&status=decommissioned"},
		{name: "environment staging", path: agents + "&deploymentEnv=staging"},
		{name: "type router, 0.1 %", path: agents + "&agentType=router"},
		{name: "type router, by email", path: agents + "&agentType=router&sort=email"},
		{name: "owner of 2 %", path: agents + "&owner=team-7"},
		{name: "owner of one", path: agents + "&owner=alone"},
		{name: "capability of all", path: agents + "&capability=notes%3Aread"},
		{name: "capability of nobody", path: agents + "&capability=notes%3Aburn"},
		{name: "owner of 2 %, capability, status, by email", path: agents + "&owner=team-7&capability=notes%3Aread&status=active&sort=email"},
		{name: "search by a prefix of all", path: agents + "&q=seed"},
		{name: "page 5000", path: agents + "&page=5000"},
		{name: "organization usage", path: "/api/v1/organizations/" + organization + "/usage"},
		{name: "revocation preview, signing key", path: "/api/v1/revocations/preview?type=kid&id=" + key},
		{name: "revocation preview, organization", path: "/api/v1/revocations/preview?type=organization&id=" + organization},
		{name: "stats by the hour, a day", path: "/api/v1/stats"},
		{name: "stats by the minute, an hour", path: "/api/v1/stats?step=1m"},
		{name: "stats by the minute, a day", path: "/api/v1/stats?step=1m&from=" + time.Now().UTC().Add(-24*time.Hour).Format("2006-01-02T15:04:05Z")},
		{name: "registration", method: http.MethodPost, path: "/api/v1/agents", body: post},
	}
	order = nil
	for _, q := range asked {
		order = append(order, q.name)
	}
	return asked, nil
}

func signingKey(ctx context.Context, admin *stack.Client) (string, error) {
	answer, err := admin.Do(ctx, http.MethodGet, "/.well-known/jwks.json", nil)
	if err != nil {
		return "", err
	}
	var set struct {
		Keys []struct {
			ID string `json:"kid"`
		} `json:"keys"`
	}
	if err := json.Unmarshal(answer.Body, &set); err != nil || len(set.Keys) == 0 {
		return "", fmt.Errorf("no signing key: %d %.200s", answer.Status, answer.Body)
	}
	return set.Keys[0].ID, nil
}

// ask asks once unmeasured and then some times in a row.
func ask(ctx context.Context, admin *stack.Client, q question, often int) (times, error) {
	var took []time.Duration
	refused := 0
	for n := range often + 1 {
		method, want, body := http.MethodGet, http.StatusOK, any(nil)
		if q.method != "" {
			method, want, body = q.method, http.StatusCreated, json.RawMessage(fmt.Sprintf(q.body, n))
		}
		began := time.Now()
		answer, err := admin.Do(ctx, method, q.path, body)
		if err != nil {
			return times{}, err
		}
		if answer.Status == http.StatusServiceUnavailable {
			refused++
		} else if answer.Status != want {
			return times{}, fmt.Errorf("%s: %d %.300s", q.path, answer.Status, answer.Body)
		}
		if n > 0 {
			took = append(took, time.Since(began))
		}
	}
	slices.Sort(took)
	return times{took[0], took[len(took)/2], refused}, nil
}
