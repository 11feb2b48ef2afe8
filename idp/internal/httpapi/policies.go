package httpapi

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/shared/apierr"
	"github.com/sentryagent/agentidp/shared/policy"
)

type policyView struct {
	Revision       string            `json:"revision"`
	Epoch          uint64            `json:"epoch"`
	LoadedAt       string            `json:"loadedAt"`
	Source         string            `json:"source"`
	Tests          int               `json:"tests"`
	Files          []policyFileView  `json:"files"`
	Data           json.RawMessage   `json:"data"`
	ReloadFailures uint64            `json:"reloadFailures"`
	LastError      *reloadFailedView `json:"lastError,omitempty"`
}

type policyFileView struct {
	Name   string `json:"name"`
	SHA256 string `json:"sha256"`
	Text   string `json:"text"`
}

type reloadFailedView struct {
	Message string `json:"message"`
	At      string `json:"at"`
}

// getPolicy shows what a policy is made of to everybody it decides on. What is
// wrong with a folder of the operator's is the operator's matter.
func (a *API) getPolicy(_ context.Context, c *call) error {
	if err := c.noQuery(); err != nil {
		return err
	}
	engine, epoch := a.Policy.Current()
	data, err := engine.Data()
	if err != nil {
		return fmt.Errorf("policy data: %w", err)
	}
	status := a.Policy.Status()
	view := policyView{
		Revision: engine.Revision(), Epoch: epoch, LoadedAt: stamp(status.LoadedAt), Source: "builtIn", Tests: engine.Tests(),
		Files: []policyFileView{}, Data: data, ReloadFailures: status.Failures,
	}
	if a.PolicyFolder {
		view.Source = "folder"
	}
	for _, f := range engine.Files() {
		sum := sha256.Sum256(f.Content)
		view.Files = append(view.Files, policyFileView{f.Name, hex.EncodeToString(sum[:]), string(f.Content)})
	}
	if status.LastError != nil && c.organizationID == idp.OperatorOrganization {
		view.LastError = &reloadFailedView{status.LastError.Error(), stamp(status.LastErrorAt)}
	}
	return c.answer(http.StatusOK, view)
}

type evaluationView struct {
	policy.Decision
	Revision   string  `json:"revision"`
	DurationMs float64 `json:"durationMs"`
	Error      string  `json:"error,omitempty"`
}

// evaluatePolicy asks the policy in force, and acts on nothing.
func (a *API) evaluatePolicy(ctx context.Context, c *call) error {
	if err := c.noQuery(); err != nil {
		return err
	}
	m, err := c.members()
	if err != nil {
		return err
	}
	in := policyInput(m)
	if err := m.done(); err != nil {
		return err
	}
	leave, err := a.evaluating(ctx)
	if err != nil {
		return err
	}
	defer leave()
	began := time.Now()
	decision, err := a.Policy.Decide(ctx, in, understoodAt(in.Route.ID)...)
	view := evaluationView{Decision: decision, Revision: decision.Revision, DurationMs: float64(time.Since(began).Microseconds()) / 1000}
	if err != nil {
		view.Error = firstLine(errors.Unwrap(err))
	}
	return c.answer(http.StatusOK, view)
}

// Dry runs take turns: together they keep one core busy, whatever callers make
// the policy do, so that everybody else's decisions keep their deadline.
const (
	waitingEvaluations = 16
	evaluationWait     = time.Second
)

func (a *API) evaluating(ctx context.Context) (leave func(), err error) {
	ctx, cancel := context.WithTimeout(ctx, evaluationWait)
	defer cancel()
	if err := a.dryRuns.Enter(ctx); err != nil {
		return nil, apierr.New(apierr.Overloaded, "too many dry runs are under way").
			WithReason("evaluation_busy").WithRetryAfter(time.Second).WithCause(err)
	}
	return a.dryRuns.Leave, nil
}

// protocols of messages that sidecars read.
var protocols = []string{"mcp", "a2a"}

// policyInput reads what a policy sees; the broken rules go to m.
func policyInput(m *members) (in policy.Input) {
	m.require("route")
	m.object("agent", func(m *members) {
		in.Agent = policy.Agent{ID: or(m.text("id")), OrganizationID: or(m.text("organizationId")), ClientID: or(m.text("clientId"))}
	})
	m.object("token", func(m *members) {
		in.Token = policy.Token{JTI: or(m.text("jti")), Audience: m.list("aud"), Scope: m.list("scope")}
		m.read("exp", &in.Token.ExpiresAt, "must be an integer")
	})
	m.object("request", func(m *members) {
		in.Request = policy.Request{Method: or(m.text("method")), Host: or(m.text("host")), Path: or(m.text("path")), Peer: or(m.text("peer"))}
	})
	m.object("route", func(m *members) {
		in.Route = policy.Route{ID: or(m.text("id")), Capability: or(m.text("capability"))}
		m.require("id", "capability")
	})
	m.object("rpc", func(m *members) {
		in.RPC = &policy.RPC{Protocol: or(m.text("protocol")), Method: or(m.text("method")), Name: or(m.text("name"))}
		m.require("protocol", "method")
		if in.RPC.Protocol != "" && !slices.Contains(protocols, in.RPC.Protocol) {
			m.breaks("protocol", "must be one of "+strings.Join(protocols, ", "))
		}
	})
	return in
}

// object reads a member that is an object of its own; absent, nothing is read.
func (m *members) object(name string, read func(*members)) {
	inner := &members{}
	if !m.read(name, &inner.raw, "must be an object") {
		return
	}
	read(inner)
	_ = inner.done() // adds the unknown members
	for _, broken := range inner.broken {
		m.breaks(name+"."+broken.Field, broken.Rule)
	}
}

// list is a member that lists strings; empty when absent.
func (m *members) list(name string) []string {
	if texts := m.texts(name); texts != nil {
		return *texts
	}
	return []string{}
}

// understoodAt are the obligations that the route's enforcement point sees to.
func understoodAt(routeID string) []string {
	for _, route := range Routes() {
		if route.OperationID == routeID {
			return route.obligations
		}
	}
	return nil
}

// firstLine is what an error says, without the stack that may follow.
func firstLine(err error) string {
	if err == nil {
		return ""
	}
	line, _, _ := strings.Cut(err.Error(), "\n")
	return clip(line, 512)
}
