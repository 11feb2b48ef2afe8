package revocation_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/auditlog"
	"github.com/sentryagent/agentidp/idp/internal/issuer"
	"github.com/sentryagent/agentidp/idp/internal/registry"
	"github.com/sentryagent/agentidp/idp/internal/revocation"
	"github.com/sentryagent/agentidp/idp/internal/store"
	"github.com/sentryagent/agentidp/idp/internal/store/sqlite"
	"github.com/sentryagent/agentidp/shared/capability"
	"github.com/sentryagent/agentidp/shared/token"
)

const issuerURL = "https://idp.example"

type capabilityName = capability.Capability

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// signingKey is one key for all tests: making one takes long.
var signingKey = sync.OnceValue(makePEM)

func makePEM() []byte {
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(private)})
}

// world is the service over a real store, audit log, registry and issuer.
type world struct {
	t        *testing.T
	ctx      context.Context
	db       store.DB
	log      *auditlog.Log
	stopLog  func()
	issuer   *issuer.Issuer
	signer   *countingSigner
	registry *registry.Service
	clock    *atomic.Int64 // Unix milliseconds
	*revocation.Service
	root registry.Actor
	seen int // events that happened has consumed
}

// cheapHasher keeps bcrypt out of these tests.
type cheapHasher struct{}

func (cheapHasher) Hash(_ context.Context, _, secret string) (idp.SecretHash, error) {
	return idp.SecretHash{Scheme: "test", Encoded: secret}, nil
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, ctx: t.Context(), clock: &atomic.Int64{}}
	w.clock.Store(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC).UnixMilli())
	db, err := sqlite.OpenMemory(w.ctx)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	w.db = db
	sealer, err := issuer.NewSealer(make([]byte, 32))
	require.NoError(t, err)
	w.startLog(sealer)

	w.issuer, err = issuer.Open(w.ctx, db, sealer, issuer.Auto, w.now)
	require.NoError(t, err)
	commit := func(ctx context.Context, change func(context.Context, *store.Tx) ([]idp.Event, error)) error {
		return w.log.Commit(ctx, change)
	}
	_, err = w.issuer.Import(w.ctx, commit, signingKey())
	require.NoError(t, err)

	w.registry = registry.New(registry.Options{DB: db, Log: w.log, Hasher: cheapHasher{}, Now: w.now})
	first, err := w.registry.EnsureBootstrap(w.ctx, registry.BootstrapInput{})
	require.NoError(t, err)
	w.root = w.actor(&first.Administrator, first.Credential.ClientID)
	w.signer = &countingSigner{Signer: w.issuer}
	w.Service = w.open()
	w.mark()
	return w
}

func (w *world) startLog(sealer *issuer.Sealer) {
	key, err := auditlog.OpenCheckpointKey(w.ctx, w.db, sealer, "log.example.com", w.now)
	require.NoError(w.t, err)
	w.log = auditlog.New(w.db, key, auditlog.Options{Now: w.now, Patience: time.Minute})
	running, cancel := context.WithCancel(context.Background())
	stopped := make(chan error, 1)
	go func() { stopped <- w.log.Run(running) }()
	w.stopLog = sync.OnceFunc(func() {
		cancel()
		require.NoError(w.t, <-stopped)
	})
	w.t.Cleanup(w.stopLog)
}

// open makes another service on the same store, as another replica would.
func (w *world) open() *revocation.Service {
	w.t.Helper()
	s, err := revocation.Open(w.ctx, revocation.Options{
		DB: w.db, Log: w.log, Keys: w.issuer.Keys(), Signer: w.signer, Issuer: issuerURL, Now: w.now,
	})
	require.NoError(w.t, err)
	return s
}

func (w *world) now() time.Time       { return time.UnixMilli(w.clock.Load()).UTC() }
func (w *world) pass(d time.Duration) { w.clock.Add(d.Milliseconds()) }
func (w *world) kid() string          { return w.issuer.ActiveKID() }

// actor acts with a token of the credential that carries everything the agent holds.
func (w *world) actor(a *idp.Agent, clientID string) registry.Actor {
	w.t.Helper()
	actor := registry.Actor{AgentID: a.ID, OrganizationID: a.OrganizationID, ClientID: clientID, JTI: "jti-" + a.ID, Capabilities: a.Capabilities}
	w.refresh(&actor)
	return actor
}

// refresh gives the actor a token minted now.
func (w *world) refresh(a *registry.Actor) {
	w.t.Helper()
	require.NoError(w.t, w.db.View(w.ctx, func(ctx context.Context, tx *store.Tx) error {
		gate, err := tx.Credentials.Gate(ctx, a.ClientID)
		a.Rev, a.KID = gate.Rev(), w.kid()
		return err
	}))
}

// client is an agent with a credential.
type client struct {
	agent      idp.Agent
	credential registry.IssuedCredential
}

func (c client) own() revocation.Caller {
	return revocation.Caller{Actor: registry.Actor{AgentID: c.agent.ID, OrganizationID: c.agent.OrganizationID, ClientID: c.credential.ClientID}}
}

func (c client) all() revocation.Caller {
	caller := c.own()
	caller.Organization = true
	return caller
}

func (w *world) client(by registry.Actor, name string, capabilities ...string) client {
	w.t.Helper()
	a, _, err := w.registry.CreateAgent(w.ctx, by, registry.NewAgent{
		Email: name + "@example.com", Type: "custom", Version: "1.0.0", Owner: "team", Environment: "staging", Capabilities: capabilities,
	})
	require.NoError(w.t, err)
	c, err := w.registry.CreateCredential(w.ctx, by, a.ID, registry.NewCredential{})
	require.NoError(w.t, err)
	return client{agent: a, credential: c}
}

func (w *world) organization(id string) registry.Actor {
	w.t.Helper()
	founded, err := w.registry.CreateOrganization(w.ctx, w.root, registry.NewOrganization{ID: id, Name: id})
	require.NoError(w.t, err)
	return w.actor(&founded.Administrator, founded.Credential.ClientID)
}

// claims are what a token of the client says, minted now.
func (w *world) claims(c client) token.Claims {
	w.t.Helper()
	claims := token.Claims{
		Issuer: issuerURL, Subject: c.agent.ID, Audience: []string{"https://notes.example"}, ClientID: c.credential.ClientID,
		Scope: c.agent.Capabilities.String(), IssuedAt: w.now().Unix(), ExpiresAt: w.now().Unix() + 3600,
		JTI: uuid.NewString(), Organization: c.agent.OrganizationID,
	}
	require.NoError(w.t, w.db.View(w.ctx, func(ctx context.Context, tx *store.Tx) error {
		gate, err := tx.Credentials.Gate(ctx, c.credential.ClientID)
		rev := gate.Rev()
		claims.Rev = [3]int64{rev.Organization, rev.Agent, rev.Credential}
		return err
	}))
	return claims
}

// verified are the claims as a verifier returns them.
func (w *world) verified(claims token.Claims) token.Claims {
	claims.KID = w.kid()
	return claims
}

func (w *world) mint(claims token.Claims) string {
	w.t.Helper()
	raw, err := w.issuer.Mint(w.ctx, claims, nil)
	require.NoError(w.t, err)
	return raw
}

func (w *world) token(c client) string { return w.mint(w.claims(c)) }

func (w *world) active(c client, raw string) bool {
	w.t.Helper()
	got, err := w.Introspect(w.ctx, c.own(), raw)
	require.NoError(w.t, err)
	return got.Active
}

func (w *world) entries() (all []idp.Revocation) {
	w.t.Helper()
	require.NoError(w.t, w.db.View(w.ctx, func(ctx context.Context, tx *store.Tx) (err error) {
		all, err = tx.Revocations.Since(ctx, 0, 1000)
		return err
	}))
	return all
}

// auditEvent is an event as served.
type auditEvent struct {
	Action, OrganizationID, AgentID string
	Metadata                        map[string]any
}

func (w *world) events() (all []auditEvent) {
	w.t.Helper()
	require.NoError(w.t, w.db.View(w.ctx, func(ctx context.Context, tx *store.Tx) error {
		rows, err := tx.Events.Range(ctx, store.AnyOrganization, 0, 1000)
		for _, row := range rows {
			var e auditEvent
			require.NoError(w.t, json.Unmarshal(row.Body, &e))
			all = append(all, e)
		}
		return err
	}))
	return all
}

// mark makes happened speak of what comes from here on.
func (w *world) mark() { w.seen = len(w.events()) }

// happened asserts which events were written since the last mark, and returns them.
func (w *world) happened(actions ...idp.Action) []auditEvent {
	w.t.Helper()
	fresh := w.events()[w.seen:]
	w.seen += len(fresh)
	got := []idp.Action{}
	for _, e := range fresh {
		got = append(got, idp.Action(e.Action))
	}
	require.Equal(w.t, append([]idp.Action{}, actions...), got)
	return fresh
}
