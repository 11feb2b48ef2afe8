package registry_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/auditlog"
	"github.com/sentryagent/agentidp/idp/internal/issuer"
	"github.com/sentryagent/agentidp/idp/internal/registry"
	"github.com/sentryagent/agentidp/idp/internal/store"
	"github.com/sentryagent/agentidp/idp/internal/store/sqlite"
	"github.com/sentryagent/agentidp/shared/apierr"
	"github.com/sentryagent/agentidp/shared/capability"
)

// world is a registry over a real store and audit log, with a clock of its own.
type world struct {
	t      *testing.T
	ctx    context.Context
	db     store.DB
	log    *auditlog.Log
	hasher *countingHasher
	clock  *atomic.Int64 // Unix milliseconds
	*registry.Service
	root registry.Actor // the bootstrap administrator with all its capabilities
	seen int            // events that event has consumed
}

// countingHasher is a cheap scheme that counts, so that tests see where the work is.
type countingHasher struct{ calls atomic.Int64 }

func (h *countingHasher) Hash(_ context.Context, _, secret string) (idp.SecretHash, error) {
	h.calls.Add(1)
	return idp.SecretHash{Scheme: "test", Encoded: "hash of " + secret}, nil
}

func newWorld(t *testing.T, limits idp.Limits) *world {
	t.Helper()
	w := emptyWorld(t, limits)
	first, err := w.EnsureBootstrap(w.ctx, registry.BootstrapInput{})
	require.NoError(t, err)
	w.root = w.actor(&first.Administrator)
	w.seen = len(w.events())
	return w
}

func emptyWorld(t *testing.T, limits idp.Limits) *world {
	t.Helper()
	ctx := t.Context()
	db, err := sqlite.OpenMemory(ctx)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })

	clock := &atomic.Int64{}
	clock.Store(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC).UnixMilli())
	now := func() time.Time { return time.UnixMilli(clock.Load()) }
	sealer, err := issuer.NewSealer(make([]byte, 32))
	require.NoError(t, err)
	key, err := auditlog.OpenCheckpointKey(ctx, db, sealer, "log.example.com", now)
	require.NoError(t, err)
	log := auditlog.New(db, key, auditlog.Options{Now: now, Patience: time.Minute})
	running, stop := context.WithCancel(context.Background())
	stopped := make(chan error, 1)
	go func() { stopped <- log.Run(running) }()
	t.Cleanup(func() {
		stop()
		require.NoError(t, <-stopped)
	})
	hasher := &countingHasher{}
	return &world{
		t: t, ctx: ctx, db: db, log: log, hasher: hasher, clock: clock,
		Service: registry.New(registry.Options{DB: db, Log: log, Hasher: hasher, Limits: limits, Now: now}),
	}
}

func (w *world) now() time.Time          { return time.UnixMilli(w.clock.Load()).UTC() }
func (w *world) pass(d time.Duration)    { w.clock.Add(d.Milliseconds()) }
func (w *world) view(fn func(*store.Tx)) { w.tx(w.db.View, fn) }

func (w *world) tx(run func(context.Context, func(context.Context, *store.Tx) error) error, fn func(*store.Tx)) {
	w.t.Helper()
	require.NoError(w.t, run(w.ctx, func(_ context.Context, tx *store.Tx) error { fn(tx); return nil }))
}

// actor acts with a token that carries everything the agent holds, minted now
// for a credential that only it knows: one that makes no event and counts for no limit.
func (w *world) actor(a *idp.Agent) registry.Actor {
	w.t.Helper()
	actor := registry.Actor{
		AgentID: a.ID, OrganizationID: a.OrganizationID, ClientID: "token-of-" + a.ID, JTI: "jti-" + a.ID, KID: "kid-1",
		Capabilities: a.Capabilities, Origin: idp.Origin{IPAddress: "192.0.2.7", RequestID: "req-1"},
	}
	w.tx(w.db.Update, func(tx *store.Tx) {
		gate, err := tx.Credentials.Gate(w.ctx, actor.ClientID)
		if errors.Is(err, idp.ErrNotFound) {
			require.NoError(w.t, tx.Credentials.Insert(w.ctx, idp.Credential{
				ID: actor.ClientID, ClientID: actor.ClientID, AgentID: a.ID, OrganizationID: a.OrganizationID,
				Status: idp.CredentialRevoked, Method: idp.MethodSecret, Version: 1, CreatedAt: time.Unix(0, 0).UTC(), RevokedAt: w.now(),
			}))
			gate, err = tx.Credentials.Gate(w.ctx, actor.ClientID)
		}
		require.NoError(w.t, err)
		actor.Rev = gate.Rev()
	})
	return actor
}

// holding is the same actor with a token of fewer capabilities.
func holding(a registry.Actor, capabilities ...string) registry.Actor {
	set, err := capability.NewSet(capabilities)
	if err != nil {
		panic(err)
	}
	a.Capabilities = set
	return a
}

// keyed is the same actor sending an Idempotency-Key over a body.
func keyed(a registry.Actor, path, key, body string) registry.Actor {
	a.Idempotency = &registry.Idempotency{Path: path, Key: key, BodyHash: hash(body)}
	return a
}

// agent registers an agent of the actor's organization.
func (w *world) agent(by registry.Actor, name string, capabilities ...string) idp.Agent {
	w.t.Helper()
	a, replayed, err := w.CreateAgent(w.ctx, by, newAgent(name, capabilities...))
	require.NoError(w.t, err)
	require.False(w.t, replayed)
	return a
}

func newAgent(name string, capabilities ...string) registry.NewAgent {
	return registry.NewAgent{
		Email: name + "@example.com", Type: "custom", Version: "1.0.0", Owner: "team", Environment: "staging", Capabilities: capabilities,
	}
}

func (w *world) credential(by registry.Actor, agentID string) registry.IssuedCredential {
	w.t.Helper()
	c, err := w.CreateCredential(w.ctx, by, agentID, registry.NewCredential{})
	require.NoError(w.t, err)
	return c
}

// organization founds one and acts as its administrator.
func (w *world) organization(id string) registry.Actor {
	w.t.Helper()
	founded, err := w.CreateOrganization(w.ctx, w.root, registry.NewOrganization{ID: id, Name: id})
	require.NoError(w.t, err)
	return w.actor(&founded.Administrator)
}

// auditEvent is an event as served.
type auditEvent struct {
	Action, Outcome, OrganizationID, AgentID, IPAddress string
	Metadata                                            map[string]any
	raw                                                 string
}

func (w *world) events() []auditEvent {
	w.t.Helper()
	var all []auditEvent
	w.view(func(tx *store.Tx) {
		rows, err := tx.Events.Range(w.ctx, store.AnyOrganization, 0, 1000)
		require.NoError(w.t, err)
		for _, row := range rows {
			e := auditEvent{raw: string(row.Body)}
			require.NoError(w.t, json.Unmarshal(row.Body, &e))
			all = append(all, e)
		}
	})
	return all
}

// happened asserts which events were written since the last call, and returns them.
func (w *world) happened(actions ...idp.Action) []auditEvent {
	w.t.Helper()
	fresh := w.events()[w.seen:]
	w.seen += len(fresh)
	got := []idp.Action{}
	for _, e := range fresh {
		require.Equal(w.t, "success", e.Outcome)
		got = append(got, idp.Action(e.Action))
	}
	require.Equal(w.t, append([]idp.Action{}, actions...), got)
	return fresh
}

// feed lists the whole revocation feed as "type id epoch reason".
func (w *world) feed() (entries []idp.Revocation) {
	w.t.Helper()
	w.view(func(tx *store.Tx) {
		var err error
		entries, err = tx.Revocations.Since(w.ctx, 0, 1000)
		require.NoError(w.t, err)
	})
	return entries
}

// refused asserts code and reason of a refusal, and that nothing happened.
func (w *world) refused(err error, code apierr.Code, reason string) *apierr.Error {
	w.t.Helper()
	require.Error(w.t, err)
	refusal := apierr.From(err)
	require.Equal(w.t, code, refusal.Code, err.Error())
	require.Equal(w.t, reason, refusal.Reason)
	require.NotEmpty(w.t, refusal.Detail)
	w.happened()
	return refusal
}

// fields are the JSON names that a validation error lists.
func fields(refusal *apierr.Error) string {
	names := make([]string, len(refusal.Fields))
	for i, f := range refusal.Fields {
		names[i] = f.Field
	}
	return strings.Join(names, " ")
}

func ptr[T any](v T) *T { return &v }
