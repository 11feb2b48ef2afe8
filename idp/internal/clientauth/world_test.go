package clientauth_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/clientauth"
	"github.com/sentryagent/agentidp/idp/internal/store"
	"github.com/sentryagent/agentidp/idp/internal/store/sqlite"
	"github.com/sentryagent/agentidp/shared/apierr"
	"github.com/sentryagent/agentidp/shared/capability"
)

// counting is a cheap scheme with marks, like bcrypt's, that counts its work.
type counting struct {
	mu     sync.Mutex
	calls  int
	during func() // runs inside every Verify
	err    error
}

const markOf = 2

func digest(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

func (*counting) Scheme() string { return "counting" }

func (*counting) Hash(_ context.Context, _, secret string) (idp.SecretHash, error) {
	return idp.SecretHash{Scheme: "counting", Encoded: digest(secret)}, nil
}

func (c *counting) Verify(_ context.Context, _ string, hash idp.SecretHash, secret string) (bool, error) {
	c.mu.Lock()
	c.calls++
	during, err := c.during, c.err
	c.mu.Unlock()
	if during != nil {
		during()
	}
	return strings.TrimSuffix(hash.Encoded, "old") == digest(secret), err
}

func (*counting) Candidate(hash idp.SecretHash, secret string) bool {
	return strings.HasPrefix(hash.Encoded, digest(secret)[:markOf])
}

func (*counting) Current(hash idp.SecretHash) bool { return !strings.HasSuffix(hash.Encoded, "old") }

func (*counting) Decoys(tried ...idp.SecretHash) []idp.SecretHash {
	if len(tried) > 0 {
		return nil
	}
	return []idp.SecretHash{{Scheme: "counting", Encoded: "of no secret"}}
}

func (c *counting) since(do func()) int {
	c.mu.Lock()
	before := c.calls
	c.mu.Unlock()
	do()
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.calls - before
}

// world is one store with one client.
type world struct {
	t          testing.TB
	db         *sqlite.Store
	hasher     *counting
	auth       *clientauth.Authenticator
	credential idp.Credential
	agent      idp.Agent
	set        *metrics.Set

	mu sync.Mutex
	at time.Time
}

const right = "aidp_sk_right"

func newWorld(t testing.TB, change func(*clientauth.Options)) *world {
	w := &world{t: t, hasher: &counting{}, at: time.UnixMilli(1_700_000_000_000).UTC(), set: metrics.NewSet()}
	var err error
	w.db, err = sqlite.OpenMemory(context.Background())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, w.db.Close()) })
	hash, err := w.hasher.Hash(context.Background(), "", right)
	require.NoError(t, err)
	w.agent = idp.Agent{
		ID: uuid.NewString(), OrganizationID: idp.OperatorOrganization, Email: "a@example.com", Type: idp.TypeCustom, Version: "1.0.0",
		Capabilities: capability.Set{"notes:read"}, Owner: "o", Environment: "production", Status: idp.Active, CreatedAt: w.at, UpdatedAt: w.at, Revision: 1,
	}
	w.credential = idp.Credential{
		ID: uuid.NewString(), ClientID: clientauth.NewClientID(), AgentID: w.agent.ID, OrganizationID: w.agent.OrganizationID,
		Status: idp.CredentialActive, Method: idp.MethodSecret, Secret: hash, Version: 1, CreatedAt: w.at,
	}
	w.update(func(ctx context.Context, tx *store.Tx) error {
		organization := idp.Organization{ID: idp.OperatorOrganization, Name: "Default", Plan: idp.PlanFree, CreatedAt: w.at, UpdatedAt: w.at, Revision: 1}
		return errors.Join(tx.Organizations.Insert(ctx, organization), tx.Agents.Insert(ctx, w.agent), tx.Credentials.Insert(ctx, w.credential))
	})
	options := clientauth.Options{DB: w.db, Hasher: w.hasher, Now: w.now, Metrics: w.set}
	if change != nil {
		change(&options)
	}
	w.auth, err = clientauth.New(options)
	require.NoError(t, err)
	t.Cleanup(w.auth.Close)
	return w
}

func (w *world) now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.at
}

func (w *world) forward(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.at = w.at.Add(d)
}

func (w *world) update(fn func(ctx context.Context, tx *store.Tx) error) {
	w.t.Helper()
	require.NoError(w.t, w.db.Update(context.Background(), fn))
}

// changeCredential stores a change as the registry does: the version rises.
func (w *world) changeCredential(change func(c *idp.Credential)) {
	w.t.Helper()
	w.update(func(ctx context.Context, tx *store.Tx) error {
		c, err := tx.Credentials.Get(ctx, w.agent.ID, w.credential.ID)
		if err != nil {
			return err
		}
		change(&c)
		return tx.Credentials.Update(ctx, c)
	})
}

func (w *world) setStatus(status idp.Status) {
	w.t.Helper()
	w.update(func(ctx context.Context, tx *store.Tx) error {
		a, err := tx.Agents.Get(ctx, w.agent.OrganizationID, w.agent.ID)
		if err != nil {
			return err
		}
		a.Status = status
		return tx.Agents.Update(ctx, a)
	})
}

func (w *world) rotate(secret string, overlap time.Duration) {
	w.t.Helper()
	hash, err := w.hasher.Hash(context.Background(), "", secret)
	require.NoError(w.t, err)
	w.changeCredential(func(c *idp.Credential) { c.Rotate(hash, overlap, w.now()) })
}

func (w *world) try(clientID, secret string) (store.Gate, error) {
	return w.auth.Authenticate(context.Background(), clientauth.Attempt{ClientID: clientID, Secret: secret})
}

// accepted demands that the secret is good and says how many hashes that took.
func (w *world) accepted(secret string) (hashes int) {
	w.t.Helper()
	return w.hasher.since(func() {
		gate, err := w.try(w.credential.ClientID, secret)
		require.NoError(w.t, err)
		require.Equal(w.t, w.agent.ID, gate.Agent.ID)
	})
}

// refused demands INVALID_CLIENT after exactly one hash.
func (w *world) refused(reason, clientID, secret string) store.Gate {
	w.t.Helper()
	var gate store.Gate
	require.Equal(w.t, 1, w.hasher.since(func() {
		var err error
		gate, err = w.try(clientID, secret)
		sameRefusal(w.t, reason, err)
	}), "hashes")
	return gate
}

func sameRefusal(t testing.TB, reason string, err error) {
	t.Helper()
	require.True(t, apierr.Is(err, apierr.InvalidClient), "%v", err)
	refusal := apierr.From(err)
	require.Equal(t, reason, refusal.Reason)
	require.Equal(t, "client authentication failed", refusal.Detail)
	require.Empty(t, refusal.Details)
	require.Empty(t, refusal.Fields)
}

// remembered waits until the secret costs nothing any more.
func (w *world) remembered(secret string) {
	w.t.Helper()
	require.Eventually(w.t, func() bool { return w.accepted(secret) == 0 }, time.Minute, time.Millisecond)
}
