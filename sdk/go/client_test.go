package agentidp_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp/idptest"
	agentidp "github.com/sentryagent/agentidp/sdk/go"
)

func client(t *testing.T, url string, c idptest.Credential) *agentidp.Client {
	t.Helper()
	made, err := agentidp.NewClient(agentidp.Config{URL: url, ClientID: c.ClientID, ClientSecret: c.ClientSecret})
	require.NoError(t, err)
	return made
}

// collect walks a list to its end.
func collect[T any](t *testing.T, entries func(func(T, error) bool)) (all []T) {
	t.Helper()
	entries(func(entry T, err error) bool {
		require.NoError(t, err)
		all = append(all, entry)
		return true
	})
	return all
}

func refusedWith(t *testing.T, err error, status int, code string) *agentidp.Error {
	t.Helper()
	var refused *agentidp.Error
	require.ErrorAs(t, err, &refused)
	require.Equal(t, status, refused.Status)
	require.Equal(t, code, refused.Code)
	require.NotEmpty(t, refused.RequestID)
	return refused
}

func TestTheManagementAPI(t *testing.T) {
	idp := idptest.Start(t)
	admin, ctx := client(t, idp.URL+"/", idp.Admin), t.Context()
	require.Equal(t, idp.URL, admin.URL())

	agent, err := admin.CreateAgent(ctx, agentidp.NewAgent{Email: "a@example.com", AgentType: agentidp.AgentCustom, Version: "1.0.0", Owner: "o", DeploymentEnv: agentidp.EnvStaging, Metadata: json.RawMessage(`{"a":1}`)})
	require.NoError(t, err)
	got, err := admin.Agent(ctx, agent.AgentID)
	require.NoError(t, err)
	require.Equal(t, agent, got)
	_, err = admin.CreateAgent(ctx, agentidp.NewAgent{Email: "a@example.com", AgentType: "x"})
	require.NotEmpty(t, refusedWith(t, err, 400, agentidp.CodeValidationFailed).Details.Fields)
	require.ErrorContains(t, err, "agentType")
	_, err = admin.Agent(ctx, "3f2b8c1e-6f0a-4d0e-9a53-0d8b8a7c1f11")
	refusedWith(t, err, 404, agentidp.CodeNotFound)
	agent, err = admin.UpdateAgent(ctx, agent.AgentID, agentidp.AgentPatch{Capabilities: []string{"notes:read"}, Metadata: json.RawMessage("null")})
	require.NoError(t, err)
	require.Nil(t, agent.Metadata)
	agent, err = admin.UpdateAgent(ctx, agent.AgentID, agentidp.AgentPatch{Capabilities: []string{}})
	require.NoError(t, err)
	require.Empty(t, agent.Capabilities)
	agent, err = admin.SuspendAgent(ctx, agent.AgentID, "incident 4711")
	require.NoError(t, err)
	require.Equal(t, agentidp.StatusSuspended, agent.Status)
	_, err = admin.ReactivateAgent(ctx, agent.AgentID, "")
	require.NoError(t, err)
	usage, err := admin.AgentUsage(ctx, agent.AgentID)
	require.NoError(t, err)
	require.Equal(t, int64(10000), usage.TokensLimit)

	credential, err := admin.CreateCredential(ctx, agent.AgentID, agentidp.NewCredential{ExpiresAt: agentidp.At(time.Now().Add(time.Hour))})
	require.NoError(t, err)
	rotated, err := admin.RotateCredential(ctx, agent.AgentID, credential.CredentialID, agentidp.Overlap(time.Minute))
	require.NoError(t, err)
	require.NotEqual(t, credential.ClientSecret, rotated.ClientSecret)
	token, err := agentidp.Config{URL: idp.URL, ClientID: credential.ClientID, ClientSecret: rotated.ClientSecret}.IssueToken(ctx)
	require.NoError(t, err)
	state, err := admin.Introspect(ctx, token.AccessToken)
	require.NoError(t, err)
	require.Equal(t, agent.AgentID, state.Subject)
	require.Equal(t, agentidp.Audience{idp.URL}, state.Audience)
	require.NoError(t, admin.RevokeToken(ctx, token.AccessToken, "leaked"))
	state, err = admin.Introspect(ctx, token.AccessToken)
	require.NoError(t, err)
	require.Equal(t, agentidp.Introspection{}, state)
	require.Error(t, admin.RevokeToken(ctx, "", ""))
	require.NoError(t, admin.RevokeCredential(ctx, agent.AgentID, credential.CredentialID, agentidp.CredentialRevocation{Tokens: true, Reason: "old"}))
	listed := collect(t, admin.Credentials(ctx, agent.AgentID))
	require.Len(t, listed, 1)
	require.Equal(t, agentidp.CredentialRevoked, listed[0].Status)
	require.NoError(t, admin.DecommissionAgent(ctx, agent.AgentID, "over"))
	for action, reason := range map[string]string{"agent.suspended": "incident 4711", "token.revoked": "leaked", "credential.revoked": "old", "agent.decommissioned": "over"} {
		event := collect(t, admin.Events(ctx, agentidp.EventFilter{Action: action}))[0]
		require.Contains(t, string(event.Metadata), `"reason":"`+reason+`"`, action)
	}

	created, err := admin.CreateOrganization(ctx, agentidp.NewOrganization{OrganizationID: "acme", Name: "Acme", AdministratorEmail: "a@acme.example"})
	require.NoError(t, err)
	require.NotEmpty(t, created.Credential.ClientSecret)
	age := int64(86400)
	_, err = admin.UpdateOrganization(ctx, "acme", agentidp.OrganizationPatch{MaxCredentialAge: &age})
	require.NoError(t, err)
	organization, err := admin.Organization(ctx, "acme")
	require.NoError(t, err)
	require.Equal(t, age, organization.MaxCredentialAge)
	require.Len(t, collect(t, admin.Organizations(ctx)), 2)

	used, err := admin.OrganizationUsage(ctx, "acme")
	require.NoError(t, err)
	require.Equal(t, int64(1), used.AgentsUsed)
	require.Empty(t, used.MostTokens)
	stats, err := admin.Stats(ctx, agentidp.StatsQuery{Step: agentidp.StepMinute, From: time.Now().Add(-10 * time.Minute), OrganizationID: "default"})
	require.NoError(t, err)
	require.Contains(t, stats.Totals, agentidp.StatsCount{Action: "agent.suspended", Outcome: agentidp.OutcomeSuccess, Count: 1})
	require.GreaterOrEqual(t, len(stats.Buckets), 10)
	require.Positive(t, stats.Now.TokensThisMonth)
	preview, err := admin.PreviewRevocation(ctx, agentidp.RevokeOrganization, "acme")
	require.NoError(t, err)
	require.Equal(t, int64(1), preview.Agents)
	require.Equal(t, "acme", preview.OrganizationID)

	entry, err := admin.Revoke(ctx, agentidp.NewRevocation{Type: agentidp.RevokeOrganization, ID: "acme"})
	require.NoError(t, err)
	page, err := admin.Revocations(ctx, "", 0)
	require.NoError(t, err)
	require.Equal(t, entry.Seq, page.Entries[len(page.Entries)-1].Seq)
	more, err := admin.Revocations(ctx, page.Cursor, time.Second)
	require.NoError(t, err)
	require.Empty(t, more.Entries)
	require.Empty(t, collect(t, admin.Sidecars(ctx, "")))

	keys, err := admin.Keys(ctx)
	require.NoError(t, err)
	require.NotEmpty(t, keys.VerifierKey)
	policy, err := admin.Policy(ctx)
	require.NoError(t, err)
	require.Equal(t, agentidp.PolicyBuiltIn, policy.Source)
	decision, err := admin.EvaluatePolicy(ctx, agentidp.PolicyInput{Route: agentidp.PolicyRoute{ID: "x", Capability: "public"}})
	require.NoError(t, err)
	require.True(t, decision.Allow)

	stranger, err := agentidp.NewClient(agentidp.Config{URL: idp.URL})
	require.NoError(t, err)
	health, err := stranger.Health(ctx)
	require.NoError(t, err)
	require.Equal(t, agentidp.HealthOK, health.Status)
	metadata, err := stranger.Metadata(ctx)
	require.NoError(t, err)
	require.Equal(t, idp.URL, metadata.Issuer)
	openid, err := stranger.OpenIDConfiguration(ctx)
	require.NoError(t, err)
	require.Equal(t, metadata.JWKSURI, openid.JWKSURI)
	_, err = stranger.Keys(ctx)
	require.ErrorContains(t, err, "AGENTIDP_CLIENT_ID")
}

func TestTheAuditLog(t *testing.T) {
	idp := idptest.Start(t)
	admin, ctx := client(t, idp.URL, idp.Admin), t.Context()
	_, err := admin.UpdateOrganization(ctx, "default", agentidp.OrganizationPatch{Plan: agentidp.PlanCustom})
	require.NoError(t, err)
	for i := range 120 { // more than a page
		_, err := admin.CreateAgent(ctx, agentidp.NewAgent{
			Email: fmt.Sprintf("agent-%03d@example.com", i), AgentType: agentidp.AgentCustom, Version: "1.0.0", Owner: "o", DeploymentEnv: agentidp.EnvStaging,
		})
		require.NoError(t, err)
	}
	agents := collect(t, admin.Agents(ctx, agentidp.AgentFilter{Search: "agent-", Sort: agentidp.SortEmail}))
	require.Len(t, agents, 120)
	require.Equal(t, "agent-119@example.com", agents[119].Email)
	first, err := admin.AgentPage(ctx, agentidp.AgentFilter{Search: "agent-"}, "", 7)
	require.NoError(t, err)
	require.Len(t, first.Data, 7)

	events := collect(t, admin.Events(ctx, agentidp.EventFilter{Action: "agent.created", From: time.Now().Add(-time.Hour), To: time.Now().Add(time.Hour)}))
	require.GreaterOrEqual(t, len(events), 120)
	done := collect(t, admin.Events(ctx, agentidp.EventFilter{TargetAgentID: agents[119].AgentID}))
	require.Len(t, done, 1)
	require.Equal(t, "agent.created", done[0].Action)
	event, leaf, err := admin.Event(ctx, events[3].EventID)
	require.NoError(t, err)
	require.Equal(t, events[3], event)
	require.Contains(t, string(leaf), event.EventID)
	checkpoint, err := admin.Checkpoint(ctx)
	require.NoError(t, err)
	require.Contains(t, string(checkpoint), "/audit\n")
	inclusion, err := admin.InclusionProof(ctx, event.Sequence, event.Sequence+1)
	require.NoError(t, err)
	require.Equal(t, event.Sequence, inclusion.LeafIndex)
	consistency, err := admin.ConsistencyProof(ctx, 1, event.Sequence)
	require.NoError(t, err)
	require.Equal(t, event.Sequence, consistency.SecondSize)

	require.Eventually(t, func() bool { // the checkpoint covers it
		checkpoint, err := admin.Checkpoint(ctx)
		if err != nil {
			return false
		}
		size, err := strconv.ParseInt(strings.Split(string(checkpoint), "\n")[1], 10, 64)
		return err == nil && size > event.Sequence
	}, time.Minute, 50*time.Millisecond)
	export, err := admin.Export(ctx, agentidp.ExportNDJSON, agentidp.EventFilter{Action: event.Action, Outcome: event.Outcome})
	require.NoError(t, err)
	content, err := io.ReadAll(export)
	require.NoError(t, err)
	require.NoError(t, export.Close())
	require.Contains(t, string(content), event.EventID)
	_, err = admin.Export(ctx, "xml", agentidp.EventFilter{})
	refusedWith(t, err, 400, agentidp.CodeValidationFailed)

	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	var seen []int64
	for event, err := range admin.Tail(ctx, agentidp.EventFilter{Action: "agent.created"}, 2, time.Millisecond) {
		require.NoError(t, err)
		if seen = append(seen, event.Sequence); len(seen) == 2 {
			idp.Register("late@example.com", "notes:read")
		}
		if len(seen) == 3 {
			break
		}
	}
	require.Equal(t, events[0].Sequence, seen[1])
	require.Greater(t, seen[2], seen[1])
	cancel()
	for range admin.Tail(ctx, agentidp.EventFilter{}, 0, time.Millisecond) {
		t.Fatal("nothing after the end")
	}
}

// A scripted IdP: what the real one cannot be made to answer at will.
func scripted(t *testing.T, answer func(n int64, w http.ResponseWriter, r *http.Request)) (c *agentidp.Client, calls *atomic.Int64) {
	t.Helper()
	calls = &atomic.Int64{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/api/v1/token" {
			fmt.Fprint(w, `{"access_token":"t","token_type":"Bearer","expires_in":3600}`)
			return
		}
		answer(calls.Add(1), w, r)
	}))
	t.Cleanup(server.Close)
	return client(t, server.URL, idptest.Credential{ClientID: "id", ClientSecret: "se:cret"}), calls
}

func TestOnlyWhatIsRepeatableIsRepeated(t *testing.T) {
	for name, row := range map[string]struct {
		do     func(context.Context, *agentidp.Client) error
		status int
		calls  int64
	}{
		"GET":    {func(ctx context.Context, c *agentidp.Client) error { _, err := c.Keys(ctx); return err }, 503, 3},
		"DELETE": {func(ctx context.Context, c *agentidp.Client) error { return c.DecommissionAgent(ctx, "a", "") }, 429, 3},
		"POST with its key": {func(ctx context.Context, c *agentidp.Client) error {
			_, err := c.RotateKey(ctx, agentidp.KeyRotation{})
			return err
		}, 503, 3},
		"revocation": {func(ctx context.Context, c *agentidp.Client) error { return c.RevokeToken(ctx, "t", "") }, 503, 3},
		"PATCH": {func(ctx context.Context, c *agentidp.Client) error {
			_, err := c.SuspendAgent(ctx, "a", "")
			return err
		}, 503, 1},
		"our fault":          {func(ctx context.Context, c *agentidp.Client) error { _, err := c.Keys(ctx); return err }, 500, 1},
		"a wrong way called": {func(ctx context.Context, c *agentidp.Client) error { _, err := c.Keys(ctx); return err }, 400, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var keys []string
			c, calls := scripted(t, func(n int64, w http.ResponseWriter, r *http.Request) {
				keys = append(keys, r.Header.Get("Idempotency-Key"))
				if n < 3 {
					w.WriteHeader(row.status)
					return
				}
				fmt.Fprint(w, `{}`)
			})
			err := row.do(t.Context(), c)
			require.Equal(t, row.calls, calls.Load())
			require.Equal(t, row.calls == 1, err != nil, err)
			for _, key := range keys {
				require.Equal(t, keys[0], key, "one key for all attempts")
			}
			require.Equal(t, name == "POST with its key", keys[0] != "")
		})
	}
}

func TestRetryAfterIsHonoured(t *testing.T) {
	c, calls := scripted(t, func(_ int64, w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "60")
		w.WriteHeader(http.StatusTooManyRequests)
		fmt.Fprint(w, `{"code":"RATE_LIMITED","message":"too many requests","details":{}}`)
	})
	_, err := c.Keys(t.Context())
	var refused *agentidp.Error
	require.ErrorAs(t, err, &refused)
	require.Equal(t, time.Minute, refused.RetryAfter)
	require.True(t, refused.Temporary())
	require.EqualValues(t, 1, calls.Load(), "nobody waits for a minute")
}

func TestARefusedTokenIsReplacedOnce(t *testing.T) {
	c, calls := scripted(t, func(n int64, w http.ResponseWriter, _ *http.Request) {
		if n != 2 {
			w.WriteHeader(http.StatusUnauthorized)
			fmt.Fprint(w, `{"code":"UNAUTHENTICATED","message":"the access token is not usable","details":{}}`)
			return
		}
		fmt.Fprint(w, `{"verifierKey":"k"}`)
	})
	keys, err := c.Keys(t.Context())
	require.NoError(t, err)
	require.Equal(t, "k", keys.VerifierKey)
	_, err = c.Keys(t.Context())
	require.Error(t, err)
	require.EqualValues(t, 4, calls.Load())
}

func TestAnswersAreBounded(t *testing.T) {
	c, _ := scripted(t, func(_ int64, w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/api/v1/keys":
			fmt.Fprint(w, strings.Repeat(" ", 17<<20))
		case "/api/v1/policies":
			http.Redirect(w, r, "https://elsewhere.example.com/", http.StatusFound)
		case "/.well-known/jwks.json":
			fmt.Fprint(w, `{"keys":[]}`)
		case "/api/v1/revocations":
			fmt.Fprint(w, "eyJhbGciOiJub25lIiwidHlwIjoiYWdlbnRpZHAtcmV2b2NhdGlvbnMrand0In0.e30.")
		default:
			fmt.Fprint(w, "<html>")
		}
	})
	_, err := c.Keys(t.Context())
	require.ErrorContains(t, err, "larger than")
	_, err = c.Policy(t.Context())
	var refused *agentidp.Error
	require.ErrorAs(t, err, &refused, "no redirect is followed")
	require.Equal(t, http.StatusFound, refused.Status)
	_, err = c.Agent(t.Context(), "../keys")
	require.ErrorContains(t, err, "not what it should be")
	_, err = c.Revocations(t.Context(), "", 0)
	require.ErrorContains(t, err, "not signed by the IdP")
	for _, err := range c.Agents(t.Context(), agentidp.AgentFilter{}) {
		require.Error(t, err)
	}
	for _, err := range c.Organizations(t.Context()) {
		require.Error(t, err)
	}
}

func TestATailThatFallsBehindSaysSo(t *testing.T) {
	sequence := int64(0)
	c, _ := scripted(t, func(n int64, w http.ResponseWriter, _ *http.Request) {
		list := agentidp.AuditList{NextCursor: "more"}
		if n == 1 {
			sequence = 100
		}
		for range 100 {
			list.Data = append(list.Data, agentidp.AuditEvent{Sequence: 1_000_000*min(n, 2) - sequence})
			sequence++
		}
		require.NoError(t, json.NewEncoder(w).Encode(list))
	})
	got, failed := 0, error(nil)
	for _, err := range c.Tail(t.Context(), agentidp.EventFilter{}, 5, time.Millisecond) {
		if failed = err; err == nil {
			got++
		}
	}
	require.Equal(t, 5, got)
	require.ErrorContains(t, failed, "more than 10000 new events")
}

func TestACutExportIsAnError(t *testing.T) {
	c, _ := scripted(t, func(_ int64, w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		fmt.Fprint(w, "half")
	})
	export, err := c.Export(t.Context(), agentidp.ExportCSV, agentidp.EventFilter{From: time.Now(), To: time.Now()})
	require.NoError(t, err)
	_, err = io.ReadAll(export)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	require.ErrorContains(t, err, "incomplete")
	require.NoError(t, export.Close())
}

func TestTheSecretFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "secret")
	require.NoError(t, os.WriteFile(file, []byte("se:cret\n"), 0o600))
	environment := map[string]string{"AGENTIDP_URL": "https://idp.example.com", "AGENTIDP_CLIENT_ID": "id", "AGENTIDP_CLIENT_SECRET_FILE": file}
	config, err := agentidp.FromLookup(func(name string) string { return environment[name] })
	require.NoError(t, err)
	require.Equal(t, "se:cret", config.ClientSecret)
	environment["AGENTIDP_CLIENT_SECRET"] = "x"
	_, err = agentidp.FromLookup(func(name string) string { return environment[name] })
	require.ErrorContains(t, err, "both set")
	delete(environment, "AGENTIDP_CLIENT_SECRET")
	environment["AGENTIDP_CLIENT_SECRET_FILE"] = "/nowhere"
	_, err = agentidp.FromLookup(func(name string) string { return environment[name] })
	require.True(t, errors.Is(err, os.ErrNotExist))
	_, err = agentidp.NewClient(agentidp.Config{URL: "https://user@idp.example.com"})
	require.Error(t, err)
}

func TestTimesKeepTheirForm(t *testing.T) {
	for _, text := range []string{`"2026-07-01T12:00:00.000Z"`, `"2026-07-01T12:00:00.120Z"`} {
		var at agentidp.Time
		require.NoError(t, json.Unmarshal([]byte(text), &at))
		again, err := json.Marshal(at)
		require.NoError(t, err)
		require.Equal(t, text, string(again))
	}
	var at agentidp.Time
	require.Error(t, json.Unmarshal([]byte(`"yesterday"`), &at))
}
