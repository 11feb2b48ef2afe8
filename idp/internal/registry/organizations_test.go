package registry_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/registry"
	"github.com/sentryagent/agentidp/idp/internal/store"
	"github.com/sentryagent/agentidp/shared/apierr"
)

func TestCreateOrganization(t *testing.T) {
	w := newWorld(t, idp.FreeLimits)
	f, err := w.CreateOrganization(w.ctx, w.root, registry.NewOrganization{ID: "acme", Name: "Acme Ltd", AdministratorEmail: "Chief@acme.example"})
	require.NoError(t, err)
	require.Equal(t, idp.PlanFree, f.Organization.Plan)
	require.Equal(t, "chief@acme.example", f.Administrator.Email)
	require.Equal(t, idp.TypeAdministrator, f.Administrator.Type)
	require.True(t, f.Administrator.Administrator())
	require.Equal(t, f.Administrator.ID, f.Credential.AgentID)
	require.NotEmpty(t, f.Credential.ClientSecret)
	for _, e := range w.happened(idp.ActionOrganizationCreated, idp.ActionAgentCreated, idp.ActionCredentialCreated) {
		require.Equal(t, "acme", e.OrganizationID)
		require.NotContains(t, e.raw, f.Credential.ClientSecret)
	}
	w.view(func(tx *store.Tx) {
		gate, err := tx.Credentials.Gate(w.ctx, f.Credential.ClientID)
		require.NoError(t, err)
		require.Equal(t, f.Organization, gate.Organization)
		require.Equal(t, f.Administrator, gate.Agent)
		require.Equal(t, f.Credential.Credential, gate.Credential)
	})

	_, err = w.CreateOrganization(w.ctx, w.root, registry.NewOrganization{ID: "acme", Name: "Other"})
	w.refused(err, apierr.InvalidState, "organization_exists")
	_, err = w.CreateOrganization(w.ctx, w.root, registry.NewOrganization{ID: "A", Plan: "gold", AdministratorEmail: "x"})
	require.Equal(t, "organizationId name plan administratorEmail", fields(w.refused(err, apierr.ValidationFailed, "validation_failed")))

	tenant := w.actor(&f.Administrator)
	_, err = w.CreateOrganization(w.ctx, tenant, registry.NewOrganization{ID: "sub", Name: "Sub"})
	w.refused(err, apierr.Forbidden, "operator_only")
	_, err = w.CreateOrganization(w.ctx, holding(w.root, "organizations:*"), registry.NewOrganization{ID: "sub", Name: "Sub"})
	w.refused(err, apierr.CapabilityCeiling, "capability_ceiling")
}

func TestReadOrganizations(t *testing.T) {
	w := newWorld(t, idp.FreeLimits)
	w.pass(time.Second)
	acme := w.organization("acme")
	w.seen = len(w.events())
	all, total, err := w.ListOrganizations(w.ctx, w.root, firstPage)
	require.NoError(t, err)
	require.Equal(t, 2, total)
	require.Equal(t, "acme", all[0].ID)
	require.Equal(t, idp.OperatorOrganization, all[1].ID)
	_, _, err = w.ListOrganizations(w.ctx, acme, firstPage)
	w.refused(err, apierr.Forbidden, "operator_only")
	_, _, err = w.ListOrganizations(w.ctx, w.root, store.Page{Number: 1, Limit: 101})
	w.refused(err, apierr.ValidationFailed, "validation_failed")

	for _, actor := range []registry.Actor{acme, w.root} {
		o, err := w.GetOrganization(w.ctx, actor, "acme")
		require.NoError(t, err)
		require.Equal(t, all[0], o)
	}
	_, err = w.GetOrganization(w.ctx, w.root, "none")
	w.refused(err, apierr.NotFound, "organization_not_found")
}

func TestUpdateOrganization(t *testing.T) {
	w := newWorld(t, idp.FreeLimits)
	acme := w.organization("acme")
	before, err := w.GetOrganization(w.ctx, w.root, "acme")
	require.NoError(t, err)
	w.seen = len(w.events())
	w.pass(time.Second)
	patch := registry.OrganizationPatch{Name: ptr("Acme 2"), Plan: ptr("custom"), IfMatch: registry.ETag(before.Revision)}
	o, err := w.UpdateOrganization(w.ctx, w.root, "acme", patch)
	require.NoError(t, err)
	require.Equal(t, "Acme 2", o.Name)
	require.Equal(t, idp.PlanCustom, o.Plan)
	require.Equal(t, w.now(), o.UpdatedAt)
	require.Equal(t, before.Revision+1, o.Revision)
	e := w.happened(idp.ActionOrganizationUpdated)[0]
	require.Equal(t, map[string]any{"members": []any{"name", "plan"}, "planFrom": "free", "planTo": "custom"}, e.Metadata)
	require.Equal(t, "acme", e.OrganizationID)

	_, err = w.UpdateOrganization(w.ctx, w.root, "acme", patch)
	w.refused(err, apierr.PreconditionFailed, "precondition_failed")
	patch.IfMatch = ""
	same, err := w.UpdateOrganization(w.ctx, w.root, "acme", patch)
	require.NoError(t, err)
	require.Equal(t, o, same)
	w.happened()

	_, err = w.UpdateOrganization(w.ctx, w.root, "acme", registry.OrganizationPatch{Name: ptr(""), Plan: ptr("")})
	require.Equal(t, "name plan", fields(w.refused(err, apierr.ValidationFailed, "validation_failed")))
	_, err = w.UpdateOrganization(w.ctx, w.root, "none", registry.OrganizationPatch{})
	w.refused(err, apierr.NotFound, "organization_not_found")
	_, err = w.UpdateOrganization(w.ctx, acme, "acme", patch)
	w.refused(err, apierr.Forbidden, "operator_only")
}
