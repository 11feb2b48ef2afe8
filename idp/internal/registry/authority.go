package registry

import (
	"context"
	"errors"
	"slices"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/store"
	"github.com/sentryagent/agentidp/shared/apierr"
	"github.com/sentryagent/agentidp/shared/capability"
)

// This file holds every rule about who may do what to whom, beyond the
// capability that policy demanded before a use case was called:
//
//   - Another organization's objects do not exist, except for the operator's agents.
//   - Reserved capabilities are given, taken and touched only by who holds them;
//     an agent's keys are as good as its credentials.
//   - Operator capabilities stay in the operator's organization.
//   - An organization never loses its last active administrator.
//   - An actor with an obligation touches only the members it names.

// Operator reports whether the actor belongs to the operator's organization.
func (a *Actor) Operator() bool { return a.OrganizationID == idp.OperatorOrganization }

// Sees reports whether objects of the organization exist for the actor.
func (a *Actor) Sees(organizationID string) bool {
	return a.Operator() || a.OrganizationID == organizationID
}

// organization resolves what an input names; naming nothing means the actor's own.
func (a *Actor) organization(named string) (string, error) {
	if named == "" {
		return a.OrganizationID, nil
	}
	if !a.Sees(named) {
		return "", noOrganization("other_organization")
	}
	return named, nil
}

// Agent reads an agent that exists for the actor. An agent of another
// organization gives the same answer as none; only the audit reason differs.
func (a *Actor) Agent(ctx context.Context, tx *store.Tx, id string) (idp.Agent, error) {
	agent, err := tx.Agents.Get(ctx, store.AnyOrganization, id)
	switch {
	case errors.Is(err, idp.ErrNotFound):
		return idp.Agent{}, noAgent("agent_not_found")
	case err != nil:
		return idp.Agent{}, err
	case !a.Sees(agent.OrganizationID):
		return idp.Agent{}, noAgent("other_organization")
	}
	return agent, nil
}

func noAgent(reason string) error {
	return apierr.New(apierr.NotFound, "no such agent").WithReason(reason)
}

func noOrganization(reason string) error {
	return apierr.New(apierr.NotFound, "no such organization").WithReason(reason)
}

// Ceiling demands that the actor's token covers the reserved part of set.
func (a *Actor) Ceiling(set capability.Set) error {
	missing := a.Capabilities.Missing(set.Reserved())
	if len(missing) == 0 {
		return nil
	}
	return apierr.New(apierr.CapabilityCeiling, "this needs reserved capabilities that the caller does not hold").
		WithReason("capability_ceiling").WithDetail("missing", missing.Strings())
}

// mayGrant decides on giving set to an agent of the organization.
func (a *Actor) mayGrant(organizationID string, set capability.Set) error {
	if organizationID != idp.OperatorOrganization {
		if found := idp.OperatorOnly(set); len(found) > 0 {
			return apierr.New(apierr.CapabilityCeiling, "only agents of the operator's organization can hold these capabilities").
				WithReason("operator_capability").WithDetail("capabilities", found.Strings())
		}
	}
	return a.Ceiling(set)
}

const credentialsWrite capability.Capability = "credentials:write"

// mayChange decides on turning agent before into next.
func (a *Actor) mayChange(before, next *idp.Agent) error {
	added, removed := without(next.Capabilities, before.Capabilities), without(before.Capabilities, next.Capabilities)
	if err := a.mayGrant(before.OrganizationID, added); err != nil {
		return err
	}
	if err := a.Ceiling(removed); err != nil {
		return err
	}
	// Whoever ends the tokens of an agent takes from it, for as long as it has
	// no other, all that it holds. Whoever sets its keys can become it: they are
	// what a secret is.
	if keyMembers(before, next) != nil && !a.Capabilities.Covers(credentialsWrite) {
		return apierr.New(apierr.Forbidden, "to set an agent's keys takes %s as well", credentialsWrite).WithReason("capability_missing").
			WithDetail("capability", string(credentialsWrite))
	}
	if before.Status == next.Status && !before.CutsTokens(next) && keyMembers(before, next) == nil {
		return nil
	}
	return a.Ceiling(before.Capabilities)
}

// without lists the members of set that are not literally in other.
func without(set, other capability.Set) capability.Set {
	return slices.DeleteFunc(slices.Clone(set), func(c capability.Capability) bool { return slices.Contains(other, c) })
}

// keepAdministrator refuses a change that leaves the organization without an active administrator.
func keepAdministrator(ctx context.Context, tx *store.Tx, before, next *idp.Agent) error {
	if !before.StopsAdministrating(next) {
		return nil
	}
	others, err := tx.Agents.OtherAdministrators(ctx, before.OrganizationID, before.ID)
	if err != nil {
		return err
	}
	if others == 0 {
		return apierr.New(apierr.LastAdministrator, "the organization would be left without an active administrator").
			WithReason("last_administrator")
	}
	return nil
}

// mayTouch refuses members outside the actor's obligation.
func (a *Actor) mayTouch(members ...string) error {
	if a.Only == nil {
		return nil
	}
	refused := slices.DeleteFunc(slices.Clone(members), func(m string) bool { return slices.Contains(a.Only, m) })
	if len(refused) == 0 {
		return nil
	}
	return apierr.New(apierr.Forbidden, "an agent may change only some members of itself").
		WithReason("self_field_not_allowed").WithDetail("members", refused)
}

// operate refuses everyone outside the operator's organization.
func (a *Actor) operate() error {
	if a.Operator() {
		return nil
	}
	return apierr.New(apierr.Forbidden, "only agents of the operator's organization can do this").WithReason("operator_only")
}
