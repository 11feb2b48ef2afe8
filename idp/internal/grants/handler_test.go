package grants

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/auditlog"
	"github.com/sentryagent/agentidp/idp/internal/clientauth"
	"github.com/sentryagent/agentidp/idp/internal/store"
	"github.com/sentryagent/agentidp/shared/apierr"
	"github.com/sentryagent/agentidp/shared/capability"
	"github.com/sentryagent/agentidp/shared/token"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const issuer = "https://idp.example"

var now = time.Date(2026, 11, 30, 23, 59, 0, 0, time.UTC)

// world is every collaborator of a handler, with a switch for each failure.
type world struct {
	mu        sync.Mutex
	recalled  *store.Gate  // what is remembered of the client; nil: nothing
	gates     []store.Gate // one per authentication; the last stays
	authErr   error
	verdicts  []store.AdmissionResult // one per admission; Admitted when used up
	admitErr  error
	mintErr   error
	auditErr  error
	reloadErr error

	attempts   []clientauth.Attempt
	admissions []store.Admission
	admitted   []idp.Event
	appended   []idp.Event
	refused    []idp.Event
	minted     []token.Claims
	reloads    int
	used       []string // assertions, by refusals
	useErr     error
	indexErr   error
}

func (w *world) Recall(clientauth.Attempt) (store.Gate, bool) {
	if w.recalled == nil {
		return store.Gate{}, false
	}
	return *w.recalled, true
}

func (w *world) Authenticate(_ context.Context, a clientauth.Attempt) (store.Gate, error) {
	w.attempts = append(w.attempts, a)
	gate := w.gates[0]
	if len(w.gates) > 1 {
		w.gates = w.gates[1:]
	}
	return gate, w.authErr
}

func (w *world) ActiveKID() string { return "kid-1" }

var place = token.Status{URI: issuer + "/statuslists/2", Index: 7}

func (w *world) Next(context.Context) (int64, token.Status, error) {
	return 2<<20 + 7, place, w.indexErr
}

func (w *world) Reload(context.Context) error {
	w.reloads++
	return w.reloadErr
}

func (w *world) Mint(_ context.Context, c token.Claims, begun func() bool) (string, error) {
	if !begun() {
		return "", errors.New("not wanted")
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.minted = append(w.minted, c)
	return "signed." + c.JTI, w.mintErr
}

// Admit decides before the signature begins.
func (w *world) Admit(_ context.Context, a store.Admission, e idp.Event, meanwhile auditlog.Meanwhile) (store.AdmissionResult, error) {
	w.admissions = append(w.admissions, a)
	verdict := store.Admitted
	if len(w.verdicts) > 0 {
		verdict, w.verdicts = w.verdicts[0], w.verdicts[1:]
	}
	if verdict == store.Admitted && w.admitErr == nil {
		w.admitted = append(w.admitted, e)
	}
	meanwhile(func() bool { return verdict == store.Admitted && w.admitErr == nil })
	return verdict, w.admitErr
}

// Commit runs the change against assertions alone.
func (w *world) Commit(ctx context.Context, change auditlog.Change) error {
	events, err := change(ctx, &store.Tx{Assertions: w})
	if err == nil {
		w.appended = append(w.appended, events...)
	}
	return errors.Join(err, w.auditErr)
}

func (w *world) Use(_ context.Context, clientID, jti string, _ time.Time) error {
	w.used = append(w.used, clientID+" "+jti)
	return w.useErr
}

func (*world) Prune(context.Context, time.Time) (bool, error) { return false, nil }

func (w *world) Append(_ context.Context, events ...idp.Event) error {
	w.appended = append(w.appended, events...)
	return w.auditErr
}

func (w *world) Refuse(_ context.Context, e idp.Event) error {
	w.refused = append(w.refused, e)
	return w.auditErr
}

func gate() store.Gate {
	return store.Gate{
		Credential:   idp.Credential{ClientID: "id", Version: 7, Epoch: 3},
		Agent:        idp.Agent{ID: "agent", OrganizationID: "acme", Status: idp.Active, Epoch: 2, Revision: 6, Capabilities: capability.Set{"notes:*", "tasks:read"}},
		Organization: idp.Organization{ID: "acme", Plan: idp.PlanFree, Epoch: 1, Revision: 5},
	}
}

func newWorld() (*world, *Handler) {
	w := &world{gates: []store.Gate{gate()}}
	return w, New(Options{
		Issuer: issuer, TTL: time.Hour, Limits: idp.Limits{TokensPerMonth: 10}, Authenticator: w, Minter: w, Indexes: w, Log: w,
		Grants: []Grant{ClientCredentials{Audiences: Audiences{Issuer: issuer, Allowed: []string{"https://a.example", "https://b.example"}}}},
		Now:    func() time.Time { return now },
	})
}

func request(more string) Wire {
	return form("grant_type=client_credentials"+more, basic("id", "secret"))
}

func TestIssue(t *testing.T) {
	w, h := newWorld()
	caller := &Caller{Origin: idp.Origin{IPAddress: "192.0.2.1", RequestID: "r"}, Gone: func() bool { return false }}
	issued, err := h.Issue(t.Context(), request("&scope=tasks:read+notes:read&resource=https://b.example&resource=https://a.example"), caller)
	require.NoError(t, err)
	claims := w.minted[0]
	require.NotEmpty(t, claims.JTI)
	require.Equal(t, token.Claims{
		Issuer: issuer, Subject: "agent", Audience: []string{"https://b.example", "https://a.example"}, ClientID: "id",
		Scope: "notes:read tasks:read", IssuedAt: now.Unix(), ExpiresAt: now.Unix() + 3600, JTI: claims.JTI,
		Organization: "acme", Rev: [3]int64{1, 2, 3}, Status: place, KID: "kid-1",
	}, claims)
	require.Equal(t, Issued{AccessToken: "signed." + claims.JTI, ExpiresIn: 3600, Scope: "notes:read tasks:read"}, issued)
	require.Equal(t, store.Admission{ClientID: "id", AgentID: "agent", Gate: store.GateVersion{Rev: idp.Rev{Organization: 1, Agent: 2, Credential: 3}, Organization: 5, Agent: 6, Credential: 7}, KeyID: "kid-1", At: now, MonthlyLimit: 10}, w.admissions[0])
	require.Equal(t, []idp.Event{{
		OrganizationID: "acme", AgentID: "agent", Action: idp.ActionTokenIssued, Outcome: idp.Success, Origin: caller.Origin,
		Metadata: map[string]any{"jti": claims.JTI, "scope": claims.Scope, "aud": claims.Audience, "exp": claims.ExpiresAt, "kid": "kid-1", "clientId": "id", "rev": []any{int64(1), int64(2), int64(3)}, "statusIndex": int64(2<<20 + 7)},
	}}, w.admitted)
	require.Equal(t, "secret", w.attempts[0].Secret)
	require.NotNil(t, w.attempts[0].Gone)
	require.Equal(t, []string{"id", "agent", "acme", claims.JTI}, []string{caller.ClientID, caller.AgentID, caller.OrganizationID, caller.JTI})
	require.Empty(t, w.refused)
	require.Empty(t, w.appended)
	require.Equal(t, []string{"client_credentials"}, h.Types())
}

// A token that no status list could revoke is none.
func TestNoTokenWithoutAnIndex(t *testing.T) {
	w, h := newWorld()
	w.indexErr = apierr.New(apierr.Unavailable, "tokens cannot be issued now").WithReason("status_index_missing")
	_, err := h.Issue(t.Context(), request(""), &Caller{})
	require.Equal(t, "status_index_missing", apierr.From(err).Reason)
	require.Empty(t, w.admissions)
	require.Empty(t, w.minted)
	require.Empty(t, w.refused)
}

func TestScopeAndAudience(t *testing.T) {
	for _, fact := range []struct{ more, scope, audience string }{
		{"", "notes:* tasks:read", issuer},
		{"&scope=&resource=", "notes:* tasks:read", issuer},
		{"&scope=notes:write", "notes:write", issuer},
		{"&scope=notes:*", "notes:*", issuer},
		{"&resource=" + issuer, "notes:* tasks:read", issuer},
		{"&resource=https://a.example&resource=https://a.example", "notes:* tasks:read", "https://a.example"},
	} {
		w, h := newWorld()
		issued, err := h.Issue(t.Context(), request(fact.more), &Caller{})
		require.NoError(t, err, fact.more)
		require.Equal(t, fact.scope, issued.Scope, fact.more)
		require.Equal(t, []string{fact.audience}, w.minted[0].Audience, fact.more)
	}
}

func TestDefaultAudience(t *testing.T) {
	open := Audiences{Issuer: issuer, Default: "https://api.example"}
	got, err := open.For(nil)
	require.NoError(t, err)
	require.Equal(t, []string{"https://api.example"}, got)
	got, err = open.For([]string{"https://anything.example"})
	require.NoError(t, err)
	require.Equal(t, []string{"https://anything.example"}, got, "without a list every resource is good")
}

func TestAgentWithoutCapabilities(t *testing.T) {
	w, h := newWorld()
	w.gates[0].Agent.Capabilities = nil
	issued, err := h.Issue(t.Context(), request(""), &Caller{})
	require.NoError(t, err)
	require.Empty(t, issued.Scope)
}

// Refusals before authentication are folded, those after are events of their own.
func TestRefusals(t *testing.T) {
	var long capability.Set
	for range 60 {
		long = append(long, capability.Capability(strings.Repeat("x", 100)+":y"))
	}
	for _, fact := range []struct {
		name   string
		wire   Wire
		change func(*world)
		code   apierr.Code
		reason string
		before bool
	}{
		{"malformed", form("grant_type=client_credentials&grant_type=x", basic("id", "s")), nil, apierr.InvalidRequest, "repeated_parameter", true},
		{"other grant", form("grant_type=password", basic("id", "s")), nil, apierr.UnsupportedGrantType, "unsupported_grant_type", true},
		{"grant in another case", form("grant_type=Client_Credentials", basic("id", "s")), nil, apierr.UnsupportedGrantType, "unsupported_grant_type", true},
		{"no credentials", form("grant_type=client_credentials&client_id=id"), nil, apierr.InvalidClient, "no_credentials", true},
		{"wrong secret", request(""), func(w *world) { w.authErr = InvalidClient("secret_wrong") }, apierr.InvalidClient, "secret_wrong", true},
		{"suspended", request(""), func(w *world) { w.gates[0].Agent.Status = idp.Suspended }, apierr.UnauthorizedClient, "agent_suspended", false},
		{"scope beyond", request("&scope=tasks:write"), nil, apierr.InvalidScope, "scope_not_covered", false},
		{"scope partly beyond is not narrowed", request("&scope=tasks:read+tasks:write"), nil, apierr.InvalidScope, "scope_not_covered", false},
		{"wildcard beyond", request("&scope=tasks:*"), nil, apierr.InvalidScope, "scope_not_covered", false},
		{"resource unlisted", request("&resource=https://c.example"), nil, apierr.InvalidTarget, "resource_not_allowed", false},
		{"resource compared byte for byte", request("&resource=https://A.example"), nil, apierr.InvalidTarget, "resource_not_allowed", false},
		{"issuer combined", request("&resource=https://a.example&resource=" + issuer), nil, apierr.InvalidTarget, "issuer_combined", false},
		{"too long a token", request(""), func(w *world) { w.gates[0].Agent.Capabilities = long }, apierr.InvalidScope, "token_too_long", false},
		{"quota", request(""), func(w *world) { w.verdicts = []store.AdmissionResult{store.QuotaExceeded} }, apierr.QuotaExceeded, "quota_exceeded", false},
	} {
		t.Run(fact.name, func(t *testing.T) {
			w, h := newWorld()
			if fact.change != nil {
				fact.change(w)
			}
			caller := &Caller{Origin: idp.Origin{IPAddress: "192.0.2.1"}}
			issued, err := h.Issue(t.Context(), fact.wire, caller)
			refusal(t, err, fact.code, fact.reason)
			require.Zero(t, issued)
			require.Empty(t, w.admitted)
			events, others := w.appended, w.refused
			if fact.before {
				events, others = w.refused, w.appended
			}
			require.Len(t, events, 1)
			require.Empty(t, others)
			event := events[0]
			require.Equal(t, idp.ActionTokenRefused, event.Action)
			require.Equal(t, idp.Denied, event.Outcome)
			require.Equal(t, fact.reason, event.Reason)
			require.Equal(t, caller.Origin, event.Origin)
			require.Empty(t, event.Metadata, "no client has such an id")
			want := "acme"
			if caller.OrganizationID == "" {
				want = idp.OperatorOrganization
			}
			require.Equal(t, want, event.OrganizationID)

			w.auditErr = apierr.New(apierr.AuditUnavailable, "no audit")
			_, err = h.Issue(t.Context(), fact.wire, &Caller{})
			require.True(t, apierr.Is(err, apierr.AuditUnavailable), "a refusal that cannot be recorded is a 503")
		})
	}
}

func TestClaimedIDsInTheLog(t *testing.T) {
	const good = "aidp_c_0123456789abcdefghijAZ"
	secret := clientauth.NewSecret()
	for _, id := range []string{"", "id", "a b", good + "\n", good + "x", good[1:], strings.ToUpper(good), "aidp_c_0123456789abcdefghij-Z", secret} {
		w, h := newWorld()
		_, err := h.Issue(t.Context(), form("grant_type=x", basic(good, "s")), &Caller{})
		require.Error(t, err)
		require.Equal(t, map[string]any{"clientId": good}, w.refused[0].Metadata)
		require.Empty(t, h.refused(&Caller{ClientID: id}, idp.Denied, "x").Metadata, "%q", id)
	}
}

func TestQuotaWaitsForTheNextMonth(t *testing.T) {
	w, h := newWorld()
	w.verdicts = []store.AdmissionResult{store.QuotaExceeded}
	_, err := h.Issue(t.Context(), request(""), &Caller{})
	require.Equal(t, time.Minute, apierr.From(err).RetryAfter)

	w.gates[0].Organization.Plan = idp.PlanCustom
	_, err = h.Issue(t.Context(), request(""), &Caller{})
	require.NoError(t, err)
	require.Zero(t, w.admissions[1].MonthlyLimit, "the custom plan has no quota")
}

// What changed between authentication and admission is asked again, secret included.
func TestGateChanged(t *testing.T) {
	w, h := newWorld()
	w.verdicts = []store.AdmissionResult{store.GateChanged, store.GateChanged}
	issued, err := h.Issue(t.Context(), request(""), &Caller{})
	require.NoError(t, err)
	require.Len(t, w.attempts, 3)
	require.Len(t, w.admitted, 1)
	require.Equal(t, "signed."+w.admitted[0].Metadata["jti"].(string), issued.AccessToken, "the token is the admitted one")

	w, h = newWorld()
	w.verdicts = []store.AdmissionResult{store.GateChanged, store.GateChanged, store.GateChanged}
	_, err = h.Issue(t.Context(), request(""), &Caller{})
	refusal(t, err, apierr.Overloaded, "gate_unstable")
	require.Positive(t, apierr.From(err).RetryAfter)
	require.Empty(t, w.admitted)

	w, h = newWorld()
	suspended := gate()
	suspended.Agent.Status = idp.Suspended
	w.gates, w.verdicts = append(w.gates, suspended), []store.AdmissionResult{store.GateChanged}
	_, err = h.Issue(t.Context(), request(""), &Caller{})
	refusal(t, err, apierr.UnauthorizedClient, "agent_suspended")
}

// A client that is remembered is admitted as it was, and refused only as it is.
func TestRecalled(t *testing.T) {
	remembered := func(change func(*store.Gate)) (*world, *Handler) {
		w, h := newWorld()
		old := gate()
		change(&old)
		w.recalled = &old
		return w, h
	}
	suspended := func(g *store.Gate) { g.Agent.Status = idp.Suspended }

	w, h := remembered(func(g *store.Gate) { g.Agent.Revision = 1 })
	caller := &Caller{}
	issued, err := h.Issue(t.Context(), request(""), caller)
	require.NoError(t, err)
	require.NotEmpty(t, issued.AccessToken)
	require.Empty(t, w.attempts, "nothing was read")
	require.EqualValues(t, 1, w.admissions[0].Gate.Agent, "the store judges what was remembered")
	require.Equal(t, []string{"agent", "acme"}, []string{caller.AgentID, caller.OrganizationID})

	w, h = remembered(func(*store.Gate) {})
	w.verdicts = []store.AdmissionResult{store.GateChanged}
	_, err = h.Issue(t.Context(), request(""), &Caller{})
	require.NoError(t, err)
	require.Len(t, w.attempts, 1, "what changed is read")
	require.Len(t, w.admissions, 2)

	for name, outdated := range map[string]func(*store.Gate){
		"suspended":      suspended,
		"less may it do": func(g *store.Gate) { g.Agent.Capabilities = capability.Set{"other:read"} },
	} {
		w, h = remembered(outdated)
		_, err = h.Issue(t.Context(), request("&scope=tasks:read"), &Caller{})
		require.NoError(t, err, name)
		require.Len(t, w.attempts, 1, name)
		require.Empty(t, w.refused, name)
		require.Empty(t, w.appended, name)
	}

	w, h = remembered(func(*store.Gate) {})
	suspended(&w.gates[0])
	w.verdicts = []store.AdmissionResult{store.GateChanged}
	_, err = h.Issue(t.Context(), request(""), &Caller{})
	refusal(t, err, apierr.UnauthorizedClient, "agent_suspended")
	require.Empty(t, w.admitted)

	w, h = remembered(func(*store.Gate) {})
	w.verdicts = []store.AdmissionResult{store.GateChanged, store.GateChanged, store.GateChanged}
	_, err = h.Issue(t.Context(), request(""), &Caller{})
	require.NoError(t, err, "memory takes no attempt away")
}

// No event, no token: and what could not be signed is taken back in the log.
func TestFailures(t *testing.T) {
	unavailable := apierr.New(apierr.AuditUnavailable, "no audit").WithReason("audit_unavailable")
	w, h := newWorld()
	w.admitErr = unavailable
	issued, err := h.Issue(t.Context(), request(""), &Caller{})
	require.ErrorIs(t, err, unavailable)
	require.Zero(t, issued)

	for _, code := range []apierr.Code{apierr.StoreUnavailable, apierr.Overloaded} {
		w, h = newWorld()
		w.authErr = apierr.New(code, "not now")
		_, err = h.Issue(t.Context(), request(""), &Caller{})
		require.True(t, apierr.Is(err, code))
		require.Empty(t, w.refused, "what is not the caller's doing is no refusal")
	}

	w, h = newWorld()
	w.mintErr = errors.New("the signer broke")
	_, err = h.Issue(t.Context(), request(""), &Caller{})
	require.Equal(t, apierr.Internal, apierr.From(err).Code)
	require.Equal(t, idp.Failure, w.appended[0].Outcome)
	require.Equal(t, "not_signed", w.appended[0].Reason)
	require.Equal(t, w.admitted[0].Metadata["jti"], w.appended[0].Metadata["jti"])

	w.auditErr = unavailable
	_, err = h.Issue(t.Context(), request(""), &Caller{})
	require.ErrorIs(t, err, unavailable)
}

// A signature for a token that is not admitted is given up.
func TestMintingStopsWithoutAdmission(t *testing.T) {
	w, h := newWorld()
	w.verdicts = []store.AdmissionResult{store.QuotaExceeded}
	_, err := h.Issue(t.Context(), request(""), &Caller{})
	refusal(t, err, apierr.QuotaExceeded, "quota_exceeded")
	require.Empty(t, w.minted)
}

// Who is turned away for load is neither counted nor recorded as issued.
func TestMintingIsBounded(t *testing.T) {
	w, h := newWorld()
	for range cap(h.minting) {
		h.minting <- struct{}{}
	}
	_, err := h.Issue(t.Context(), request(""), &Caller{})
	refusal(t, err, apierr.Overloaded, "minting_full")
	require.Empty(t, w.admissions)
	require.Empty(t, w.attempts, "nothing is read or proved for who is turned away")
	<-h.minting
	_, err = h.Issue(t.Context(), request(""), &Caller{})
	require.NoError(t, err)
	require.Len(t, h.minting, cap(h.minting)-1, "the place is given back")
}

func TestDistinctIdentifiers(t *testing.T) {
	_, h := newWorld()
	seen := map[string]bool{}
	for range 100 {
		caller := &Caller{}
		_, err := h.Issue(t.Context(), request(""), caller)
		require.NoError(t, err)
		require.False(t, seen[caller.JTI])
		seen[caller.JTI] = true
	}
	require.Len(t, seen, 100)
}

func TestTheClockIsOptional(t *testing.T) {
	require.WithinDuration(t, time.Now(), New(Options{}).options.Now(), time.Minute)
}

func TestAKeyThatAnotherReplicaReplacedIsReadAgain(t *testing.T) {
	w, h := newWorld()
	w.verdicts = []store.AdmissionResult{store.KeyChanged}
	_, err := h.Issue(t.Context(), request(""), &Caller{})
	require.NoError(t, err)
	require.Equal(t, 1, w.reloads)
	require.Len(t, w.admitted, 1)

	w.verdicts, w.reloadErr = []store.AdmissionResult{store.KeyChanged}, errors.New("no store")
	_, err = h.Issue(t.Context(), request(""), &Caller{})
	require.Equal(t, "signing_key_missing", apierr.From(err).Reason)
	require.Len(t, w.admitted, 1)
}

func TestAUsedUpMonthIsRemembered(t *testing.T) {
	w, h := newWorld()
	w.verdicts = []store.AdmissionResult{store.QuotaExceeded}
	for range 3 {
		_, err := h.Issue(t.Context(), request(""), &Caller{})
		refusal(t, err, apierr.QuotaExceeded, "quota_exceeded")
	}
	require.Len(t, w.admissions, 1, "the store was asked once")
	require.Len(t, w.appended, 3, "each refusal is in the log")

	unlimited := gate()
	unlimited.Organization.Plan = idp.PlanCustom
	w.gates = []store.Gate{unlimited}
	_, err := h.Issue(t.Context(), request(""), &Caller{})
	require.NoError(t, err, "another limit is asked anew")
}
