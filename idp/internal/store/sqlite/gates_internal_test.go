package sqlite

import (
	"context"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/store"
	"github.com/sentryagent/agentidp/shared/capability"
)

// gated is a store with one client, and what changes it.
type gated struct {
	*testing.T
	s        *Store
	clientID string
}

func newGated(t *testing.T) gated {
	s, err := OpenMemory(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	now := time.UnixMilli(1_700_000_000_000).UTC()
	w := gated{t, s, "aidp_c_one"}
	w.update(func(ctx context.Context, tx *store.Tx) error {
		if err := tx.Organizations.Insert(ctx, idp.Organization{ID: "acme", Revision: 1, CreatedAt: now, UpdatedAt: now}); err != nil {
			return err
		}
		if err := tx.Agents.Insert(ctx, idp.Agent{ID: "agent", OrganizationID: "acme", Email: "a@b.c", Status: idp.Active, Capabilities: capability.Set{"notes:read"}, Revision: 1, CreatedAt: now, UpdatedAt: now}); err != nil {
			return err
		}
		if err := tx.Keys.Insert(ctx, store.Key{ID: "signer", Use: store.UseToken, Status: store.KeyActive, Public: []byte{1}, Sealed: []byte{2}, CreatedAt: now}); err != nil {
			return err
		}
		return tx.Credentials.Insert(ctx, idp.Credential{ID: "credential", ClientID: w.clientID, AgentID: "agent", OrganizationID: "acme", Status: idp.CredentialActive, Method: idp.MethodSecret, Version: 1, CreatedAt: now, SecretSetAt: now})
	})
	return w
}

func (w gated) update(fn func(ctx context.Context, tx *store.Tx) error) {
	w.Helper()
	require.NoError(w, w.s.Update(w.Context(), fn))
}

// read is what authentication reads, stored what the rows say.
func (w gated) read() store.Gate   { return w.by(w.s.Read) }
func (w gated) stored() store.Gate { return w.by(w.s.View) }

func (w gated) by(open func(context.Context, func(context.Context, *store.Tx) error) error) (gate store.Gate) {
	w.Helper()
	require.NoError(w, open(w.Context(), func(ctx context.Context, tx *store.Tx) (err error) {
		gate, err = tx.Credentials.Gate(ctx, w.clientID)
		return err
	}))
	return gate
}

func (w gated) held() bool {
	_, _, held := w.s.gates.hold(w.clientID)
	return held
}

func TestAGateIsRememberedUntilARowOfItChanges(t *testing.T) {
	w := newGated(t)
	require.False(t, w.held())
	for name, change := range map[string]func(ctx context.Context, tx *store.Tx, now store.Gate) error{
		"suspended": func(ctx context.Context, tx *store.Tx, now store.Gate) error {
			now.Agent.Status, now.Agent.Epoch = idp.Suspended, now.Agent.Epoch+1
			return tx.Agents.Update(ctx, now.Agent)
		},
		"rotated": func(ctx context.Context, tx *store.Tx, now store.Gate) error {
			now.Credential.Secret = idp.SecretHash{Scheme: "x", Encoded: "y"}
			return tx.Credentials.Update(ctx, now.Credential)
		},
		"renamed": func(ctx context.Context, tx *store.Tx, now store.Gate) error {
			now.Organization.Plan = "custom"
			return tx.Organizations.Update(ctx, now.Organization)
		},
		"cut off": func(ctx context.Context, tx *store.Tx, _ store.Gate) error {
			_, err := tx.Organizations.RaiseEpoch(ctx, "acme")
			return err
		},
		"warned": func(ctx context.Context, tx *store.Tx, now store.Gate) error {
			return tx.Credentials.Warned(ctx, now.Credential.ID, now.Credential.CreatedAt.Add(time.Hour))
		},
	} {
		before := w.read()
		require.True(t, w.held(), name)
		require.Equal(t, before, w.read(), name)
		w.update(func(ctx context.Context, tx *store.Tx) error { return change(ctx, tx, before) })
		require.False(t, w.held(), name)
		require.NotEqual(t, before, w.read(), name)
		require.Equal(t, w.stored(), w.read(), name)
	}
}

// What every token writes leaves the gates, or there would be no use in them.
func TestAdmissionsKeepGates(t *testing.T) {
	w := newGated(t)
	gate := w.read()
	admission := store.Admission{ClientID: w.clientID, AgentID: "agent", Rev: gate.Rev(), CredentialVersion: 1, KeyID: "signer", At: gate.Credential.CreatedAt.Add(time.Hour)}
	events := make([]store.EventRow, rowsAtOnce+1) // what a group of tokens brings
	for i := range events {
		events[i] = store.EventRow{Sequence: int64(i), ID: strconv.Itoa(i), OrganizationID: "acme", AgentID: "agent", Action: "token.issued", Outcome: idp.Success, Timestamp: admission.At, Body: []byte("{}")}
	}
	w.update(func(ctx context.Context, tx *store.Tx) error {
		verdicts, err := tx.Admissions.Admit(ctx, []store.Admission{admission})
		require.Equal(t, []store.AdmissionResult{store.Admitted}, verdicts)
		if err != nil {
			return err
		}
		return tx.Events.Append(ctx, events)
	})
	require.True(t, w.held())
	lagging := w.stored()
	lagging.Credential.LastUsedAt, lagging.Agent.LastAuthAt = gate.Credential.LastUsedAt, gate.Agent.LastAuthAt
	require.Equal(t, lagging, w.read())
	for query := range keepsGates {
		if query == admissionTouchAgent || query == admissionTouchCredential {
			continue
		}
		for _, table := range []string{"agents", "credentials", "organizations"} {
			require.NotRegexp(t, `(?i)(INTO|UPDATE|DELETE FROM)\s+`+table+`\b`, strings.Join(strings.Fields(query), " "))
		}
	}
}

// A gate that somebody remembers admits nobody after a change: the transaction
// reads the rows themselves.
func TestARememberedGateIsHeldAgainstTheRows(t *testing.T) {
	w := newGated(t)
	old := w.read()
	w.update(func(ctx context.Context, tx *store.Tx) error {
		suspended := old.Agent
		suspended.Status, suspended.Epoch = idp.Suspended, 1
		return tx.Agents.Update(ctx, suspended)
	})
	w.update(func(ctx context.Context, tx *store.Tx) error {
		verdicts, err := tx.Admissions.Admit(ctx, []store.Admission{{ClientID: w.clientID, AgentID: "agent", Rev: old.Rev(), CredentialVersion: 1, KeyID: "signer", At: old.Credential.CreatedAt}})
		require.Equal(t, []store.AdmissionResult{store.GateChanged}, verdicts)
		return err
	})
}

// Whoever asks after a change returned is told of it, however many ask meanwhile.
func TestNoGateIsOlderThanTheLastChange(t *testing.T) {
	w := newGated(t)
	var readers sync.WaitGroup
	var older atomic.Bool
	done := make(chan struct{})
	for range 4 {
		readers.Go(func() {
			for last := int64(0); ; {
				select {
				case <-done:
					return
				default:
				}
				_ = w.s.Read(w.Context(), func(ctx context.Context, tx *store.Tx) error {
					gate, err := tx.Credentials.Gate(ctx, w.clientID)
					if err != nil || gate.Credential.Version < last {
						older.Store(true)
					}
					last = gate.Credential.Version
					return err
				})
			}
		})
	}
	for n := int64(1); n <= 100; n++ {
		now := w.stored().Credential
		w.update(func(ctx context.Context, tx *store.Tx) error { return tx.Credentials.Update(ctx, now) })
		require.Equal(t, n+1, w.read().Credential.Version)
	}
	close(done)
	readers.Wait()
	require.False(t, older.Load())
}

func TestGatesRememberedAreBounded(t *testing.T) {
	g := gates{all: map[string]store.Gate{}}
	for n := range 3 * gateLimit {
		g.keep(strings.Repeat("x", n), store.Gate{}, 0)
		require.LessOrEqual(t, len(g.all), gateLimit)
	}
	_, epoch, _ := g.hold("x")
	require.NoError(t, g.over(true, func() error {
		_, during, held := g.hold("x")
		g.keep("x", store.Gate{}, during) // nobody knows what it is of
		require.False(t, held)
		return nil
	}))
	_, after, held := g.hold("x")
	require.False(t, held)
	require.Greater(t, after, epoch)
}
