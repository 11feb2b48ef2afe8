package storetest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/store"
	"github.com/sentryagent/agentidp/shared/capability"
)

// noon is when samples are made; its milliseconds tell whether precision is kept.
var noon = time.Date(2026, time.March, 14, 12, 0, 0, 589_000_000, time.UTC)

// zoned is noon as a clock in another place, with nanoseconds, shows it.
var zoned = noon.Add(123_456).In(time.FixedZone("there", 5*3600+1800))

func organization(id string) idp.Organization {
	return idp.Organization{ID: id, Name: "Name of " + id, Plan: idp.PlanFree, MaxCredentialAge: 36 * time.Hour, CreatedAt: noon, UpdatedAt: noon, Epoch: 3, Revision: 7}
}

func agent(organizationID, id string) idp.Agent {
	return idp.Agent{
		ID: id, OrganizationID: organizationID, Email: id + "@example.com", Type: idp.TypeScreener, Version: "1.2.3",
		Capabilities: capability.Set{"notes:read", "notes:write"}, Owner: "team", Environment: "production", Status: idp.Active,
		Metadata: []byte(`{"k":"v"}`), JWKS: []byte(`{"keys":[]}`), JWKSURI: "https://keys.example.com/jwks", CreatedAt: noon, UpdatedAt: noon, Epoch: 5, Revision: 1,
	}
}

func credential(a idp.Agent, id string) idp.Credential {
	return idp.Credential{
		ID: id, ClientID: "aidp_c_" + id, AgentID: a.ID, OrganizationID: a.OrganizationID, Status: idp.CredentialActive, Method: idp.MethodSecret,
		Secret: idp.SecretHash{Scheme: "bcrypt", Encoded: "$2a$10$" + id}, Version: 1, Epoch: 2, CreatedAt: noon, SecretSetAt: noon,
	}
}

// signer is the active signing key that seed inserts.
const signer = "signer"

func insertSigner(t *testing.T, db store.DB) {
	t.Helper()
	update(t, db, func(ctx context.Context, tx *store.Tx) error {
		return tx.Keys.Insert(ctx, store.Key{ID: signer, Use: store.UseToken, Status: store.KeyActive, Public: []byte{1}, Sealed: []byte{2}, CreatedAt: noon, ActivatedAt: noon})
	})
}

// seed inserts organization "acme" with agent "agent" and credential
// "credential", and an active signing key.
func seed(t *testing.T, db store.DB) (idp.Organization, idp.Agent, idp.Credential) {
	t.Helper()
	o := organization("acme")
	a := agent("acme", "agent")
	c := credential(a, "credential")
	insertSigner(t, db)
	update(t, db, func(ctx context.Context, tx *store.Tx) error {
		if err := tx.Organizations.Insert(ctx, o); err != nil {
			return err
		}
		if err := tx.Agents.Insert(ctx, a); err != nil {
			return err
		}
		return tx.Credentials.Insert(ctx, c)
	})
	return o, a, c
}

func insertOrganizations(t *testing.T, db store.DB, all ...idp.Organization) {
	t.Helper()
	update(t, db, func(ctx context.Context, tx *store.Tx) error {
		for _, o := range all {
			if err := tx.Organizations.Insert(ctx, o); err != nil {
				return err
			}
		}
		return nil
	})
}

func insertAgents(t *testing.T, db store.DB, all ...idp.Agent) {
	t.Helper()
	update(t, db, func(ctx context.Context, tx *store.Tx) error {
		for _, a := range all {
			if err := tx.Agents.Insert(ctx, a); err != nil {
				return err
			}
		}
		return nil
	})
}

func getAgent(t *testing.T, db store.DB, organizationID, id string) idp.Agent {
	t.Helper()
	return read(t, db, func(ctx context.Context, tx *store.Tx) (idp.Agent, error) {
		return tx.Agents.Get(ctx, organizationID, id)
	})
}

func getCredential(t *testing.T, db store.DB, agentID, id string) idp.Credential {
	t.Helper()
	return read(t, db, func(ctx context.Context, tx *store.Tx) (idp.Credential, error) {
		return tx.Credentials.Get(ctx, agentID, id)
	})
}

// event is the sample at a sequence.
func event(sequence int64) store.EventRow {
	return store.EventRow{
		Sequence: sequence, ID: fmt.Sprintf("event-%08d", sequence), OrganizationID: "acme", AgentID: "agent",
		Action: idp.ActionTokenIssued, Outcome: idp.Success, Timestamp: noon.Add(time.Duration(sequence) * time.Second),
		Body: fmt.Appendf(nil, `{"sequence":%d}`, sequence),
	}
}

// listed is a page and its total.
type listed[T any] struct {
	Rows  []T
	Total int
}

// page wraps a list call for read; no rows are nil.
func page[T any](rows []T, total int, err error) (listed[T], error) {
	if len(rows) == 0 {
		rows = nil
	}
	return listed[T]{rows, total}, err
}

// ids names the rows of a list, in order.
func ids[T any](rows []T, id func(T) string) []string {
	names := make([]string, len(rows))
	for i, r := range rows {
		names[i] = id(r)
	}
	return names
}
